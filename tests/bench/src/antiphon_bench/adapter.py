"""Owns our side of a provider call: an adapter in this process, driven as the kit drives it."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Final, Self

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2
from antiphon_bench.dialects import DRIP_MODEL, MODEL, TEXT, Dialect
from antiphon_bench.processes import BenchError
from antiphon_contract.fold import Fold
from antiphon_kit.provider import ChatProvider, Turn
from antiphon_kit.secrets import EnvSecret
from antiphon_provider_anthropic.adapter import AnthropicAdapter
from antiphon_provider_cohere.adapter import CohereAdapter
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import OPENAI

_END: Final = response_pb2.StreamEvent(end=response_pb2.ResponseEnd())
_KEY: Final = EnvSecret({"KEY": "bench"}, "KEY")


def _made(name: str, base_url: str) -> ChatProvider:
    if name == "anthropic":
        return AnthropicAdapter(base_url, _KEY)
    if name == "cohere":
        return CohereAdapter(_KEY, base_url=base_url)
    return OpenAIChatAdapter(replace(OPENAI, base_url=base_url), _KEY)


class Adapter:
    """An adapter against the scripted vendor."""

    def __init__(self, adapter: ChatProvider, units: int) -> None:
        self._adapter = adapter
        self._units = units
        self._requests = {model: _request(model) for model in (MODEL, DRIP_MODEL)}

    @classmethod
    @asynccontextmanager
    async def opened(cls, dialect: Dialect, vendor: str) -> AsyncIterator[Self]:
        """With its connections, closed afterwards. `vendor`: host:port.

        Raises BenchError when it does not give the vendor's answer.
        """
        adapter = _made(dialect.name, f"http://{vendor}{dialect.prefix}")
        try:
            ours = cls(adapter, dialect.units)
            for model in (MODEL, DRIP_MODEL):
                if await ours._answer(model) != TEXT:
                    raise BenchError(f"{dialect.name}: not the answer of model {model!r}; nothing to measure")
            yield ours
        finally:
            await adapter.aclose()

    async def unary(self) -> None:
        """One whole answer: the stream, folded, as every unary RPC is made."""
        assert await self._answer(MODEL) == TEXT

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
        fold.feed_events([_END])
        return "".join(part.text.text for part in fold.response().candidates[0].message.parts)

    async def _stream(self, model: str) -> int:
        async with aclosing(self._generate(model)) as batches:
            async for _ in batches:
                pass
        # Chunks of one read may become one event; the unit of both sides is what the vendor sent.
        return self._units

    def _generate(self, model: str) -> Any:
        # As it comes from the wire.
        request = chat_pb2.StreamGenerateRequest.FromString(self._requests[model])
        return self._adapter.generate(Turn(request=request, model=model))


def _request(model: str) -> bytes:
    message = content_pb2.Message(
        role=content_pb2.ROLE_USER, parts=[content_pb2.Part(text=content_pb2.TextPart(text="hi"))]
    )
    return chat_pb2.StreamGenerateRequest(model=model, prompt=chat_pb2.Prompt(messages=[message])).SerializeToString()
