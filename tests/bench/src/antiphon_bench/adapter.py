"""Owns our side of a provider call: the openai adapter in this process, driven as the kit drives it."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Self

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2
from antiphon_bench.processes import BenchError
from antiphon_bench.vendor import CHUNKS, DRIP_MODEL, MODEL, TEXT
from antiphon_contract.fold import Fold
from antiphon_kit.provider import Turn
from antiphon_kit.secrets import EnvSecret
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import OPENAI

_KEY = "OPENAI_API_KEY"


class Adapter:
    """The adapter against the scripted vendor."""

    def __init__(self, adapter: OpenAIChatAdapter) -> None:
        self._adapter = adapter

    @classmethod
    @asynccontextmanager
    async def opened(cls, base_url: str) -> AsyncIterator[Self]:
        """With its connections, closed afterwards. Raises BenchError when it does not give the vendor's answer."""
        adapter = OpenAIChatAdapter(replace(OPENAI, base_url=base_url), EnvSecret({_KEY: "bench"}, _KEY))
        try:
            ours = cls(adapter)
            for model in (MODEL, DRIP_MODEL):
                if await ours._answer(model) != TEXT:
                    raise BenchError(f"the adapter does not give the answer of model {model!r}; nothing to measure")
            yield ours
        finally:
            await adapter.aclose()

    async def unary(self) -> None:
        """One whole answer: the stream, folded, as every unary RPC is made."""
        await self._answer(MODEL)

    async def stream(self) -> int:
        """One stream, read to its end. Returns how many chunks the vendor sent for it."""
        return await self._stream(MODEL)

    async def dripped_stream(self) -> int:
        """The same with each chunk in a TCP read of its own."""
        return await self._stream(DRIP_MODEL)

    async def _answer(self, model: str) -> str:
        fold = Fold()
        async with aclosing(self._generate(model)) as batches:
            async for batch in batches:
                fold.feed_events(batch)
        fold.feed_events([response_pb2.StreamEvent(end=response_pb2.ResponseEnd())])
        return "".join(part.text.text for part in fold.response().candidates[0].message.parts)

    async def _stream(self, model: str) -> int:
        async with aclosing(self._generate(model)) as batches:
            async for _ in batches:
                pass
        # Chunks of one read may become one event; the unit of both sides is what the vendor sent.
        return CHUNKS

    def _generate(self, model: str) -> Any:
        message = content_pb2.Message(
            role=content_pb2.ROLE_USER, parts=[content_pb2.Part(text=content_pb2.TextPart(text="hi"))]
        )
        request = chat_pb2.StreamGenerateRequest(model=model, prompt=chat_pb2.Prompt(messages=[message]))
        return self._adapter.generate(Turn(request=request, model=model))
