"""Owns the way from an exchange to a decoder: reads in, batches out, and what is no stream at all.

Forbids itself: any knowledge of a vendor, and limits on progress (the kit's).
"""

from collections.abc import Mapping
from typing import Final, Self

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.egress import Exchange
from antiphon_kit.provider import Batch
from antiphon_wires.event_stream import EventStream

_NO_STREAMS: Final = frozenset({"application/json", "text/html", "application/problem+json"})


class Batches:
    """The events of the body, one batch per read. Raises CallFailure: the stream's or the exchange's own.

    No generator, which costs more than a short answer and has to be closed: it holds nothing.
    """

    def __init__(self, exchange: Exchange, stream: EventStream) -> None:
        self._exchange = exchange
        self._stream = stream
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        stream = self._stream
        while not self._over:
            # What went wrong comes after what was read before it.
            stream.check()
            if data := await self._read():
                batch = stream.feed(data)
            else:
                self._over = True
                batch = stream.close()
            if batch:
                return batch
        raise StopAsyncIteration

    async def _read(self) -> bytes:
        """The next piece of the body; none after its last word, and where a whole answer lost only the end of it."""
        if self._stream.done:
            await self._exchange.read_rest()
            return b""
        try:
            return await self._exchange.next_chunk()
        except CallFailure:
            if self._stream.finished:
                return b""
            raise


def is_stream(headers: Mapping[str, str]) -> bool:
    """Whether to read an answer as a stream. Header names are lower case.

    Small servers forget the type or call it text; what is surely something else is not read as a stream.
    """
    return _media_type(headers) not in _NO_STREAMS


def no_stream(provider: str, model: str, headers: Mapping[str, str]) -> error_pb2.CallError:
    """The error for an answer with status 200 that is neither a stream nor a refusal."""
    what = _media_type(headers) or "no type"
    return unreadable(provider, model, f"answered with {what} instead of a stream; check its base URL")


def unreadable(provider: str, model: str, problem: str) -> error_pb2.CallError:
    """The error for an answer with status 200 that is not the wanted one; `problem` goes on after the provider."""
    return call_error(
        Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
        f"{provider} {problem}",
        provider=provider,
        model=model,
        http_status=200,
        native_type="content_type",
    )


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
