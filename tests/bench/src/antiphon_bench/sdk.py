"""Owns the yardsticks of provider calls: each vendor's own SDK, used as its documentation shows, retries off."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import anthropic
import cohere
import httpx
import openai

from antiphon_bench.dialects import ANTHROPIC, COHERE, DRIP_MODEL, MODEL, OPENAI, TEXT, TOKENS, Dialect

_KEY: Final = "bench"
_HI: Final[Any] = [{"role": "user", "content": "hi"}]


class Sdk(Protocol):
    """One SDK's client against the scripted vendor."""

    dialect: Dialect

    async def answer(self) -> str:
        """The text of one whole answer."""
        ...

    async def chunks(self, model: str) -> int:
        """One stream, read to its end: how many chunks came."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class _OpenAI:
    dialect = OPENAI

    def __init__(self, base_url: str) -> None:
        self._client = openai.AsyncOpenAI(api_key=_KEY, base_url=base_url, max_retries=0)

    async def answer(self) -> str:
        answer = await self._client.chat.completions.create(model=MODEL, messages=_HI)
        return answer.choices[0].message.content or ""

    async def chunks(self, model: str) -> int:
        options: Any = {"include_usage": True}
        stream = await self._client.chat.completions.create(
            model=model, messages=_HI, stream=True, stream_options=options
        )
        return len([chunk async for chunk in stream])

    async def aclose(self) -> None:
        await self._client.close()


class _Anthropic:
    dialect = ANTHROPIC

    def __init__(self, base_url: str) -> None:
        self._client = anthropic.AsyncAnthropic(api_key=_KEY, base_url=base_url, max_retries=0)

    async def answer(self) -> str:
        answer = await self._client.messages.create(model=MODEL, messages=_HI, max_tokens=TOKENS)
        return "".join(block.text for block in answer.content if block.type == "text")

    async def chunks(self, model: str) -> int:
        stream = await self._client.messages.create(model=model, messages=_HI, max_tokens=TOKENS, stream=True)
        return len([event async for event in stream])

    async def aclose(self) -> None:
        await self._client.close()


class _Cohere:
    dialect = COHERE

    def __init__(self, base_url: str) -> None:
        self._http = httpx.AsyncClient()
        self._client = cohere.AsyncClientV2(_KEY, base_url=base_url, httpx_client=self._http, max_retries=0)

    async def answer(self) -> str:
        answer = await self._client.chat(model=MODEL, messages=_HI)
        return "".join(part.text for part in answer.message.content or () if part.type == "text")

    async def chunks(self, model: str) -> int:
        return len([event async for event in self._client.chat_stream(model=model, messages=_HI)])

    async def aclose(self) -> None:
        await self._http.aclose()


SDKS: Final[Mapping[str, type[_OpenAI | _Anthropic | _Cohere]]] = {
    kind.dialect.name: kind for kind in (_OpenAI, _Anthropic, _Cohere)
}


class Yardstick:
    """An SDK as it is measured."""

    def __init__(self, dialect: Dialect, vendor: str) -> None:
        """`vendor`: host:port."""
        self._units = dialect.units
        self._sdk: Sdk = SDKS[dialect.name](f"http://{vendor}{dialect.prefix}")

    async def unary(self) -> None:
        """One whole answer, asked for as such."""
        assert await self._sdk.answer() == TEXT

    async def stream(self) -> int:
        """One stream, read to its end. Returns how many chunks came."""
        return await self._stream(MODEL)

    async def dripped_stream(self) -> int:
        """The same with each chunk in a TCP read of its own."""
        return await self._stream(DRIP_MODEL)

    async def _stream(self, model: str) -> int:
        count = await self._sdk.chunks(model)
        assert count == self._units, (count, self._units)
        return count

    async def aclose(self) -> None:
        """Close the connections."""
        await self._sdk.aclose()
