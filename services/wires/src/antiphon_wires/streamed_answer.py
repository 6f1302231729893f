"""Owns the way from an exchange to a decoder: reads in, batches out, and what is no stream at all.

Forbids itself: any knowledge of a vendor, and limits on progress (the kit's).
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Final

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.egress import Exchange
from antiphon_kit.provider import Batch
from antiphon_wires.event_stream import EventStream

_NO_STREAMS: Final = frozenset({"application/json", "text/html", "application/problem+json"})


async def batches(exchange: Exchange, stream: EventStream) -> AsyncGenerator[Batch, None]:
    """The events of the body, one batch per read. Raises CallFailure: the stream's or the exchange's own."""
    while data := await _read(exchange, stream):
        if batch := stream.feed(data):
            yield batch
        stream.check()
        if stream.done:
            await exchange.read_rest()
            break
    if batch := stream.close():
        yield batch


async def _read(exchange: Exchange, stream: EventStream) -> bytes:
    """The next piece of the body; none at its end, and where a whole answer lost nothing but the end of its body."""
    try:
        return await exchange.next_chunk()
    except CallFailure:
        if stream.finished:
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
