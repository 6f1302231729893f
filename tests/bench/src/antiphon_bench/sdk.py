"""Owns the yardstick of a provider call: the vendor's own SDK, used as its documentation shows."""

import openai

from antiphon_bench.vendor import DRIP_MODEL, MODEL


class Sdk:
    """The SDK's client against the scripted vendor; retries off, as everywhere here."""

    def __init__(self, base_url: str) -> None:
        self._client = openai.AsyncOpenAI(api_key="bench", base_url=base_url, max_retries=0)

    async def unary(self) -> None:
        """One `create()`."""
        answer = await self._client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content

    async def stream(self) -> int:
        """One stream, read to its end. Returns how many chunks came."""
        return await self._stream(MODEL)

    async def dripped_stream(self) -> int:
        """The same with each chunk in a TCP read of its own."""
        return await self._stream(DRIP_MODEL)

    async def _stream(self, model: str) -> int:
        stream = await self._client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        return len([chunk async for chunk in stream])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()
