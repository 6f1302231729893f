"""Owns what the router reads of messages that it does not decode: a few bytes in front, and one frame at the end.

Forbids itself: decoding in a call that goes well.
"""

from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from antiphon.llm.v1 import chat_pb2, error_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import Reason, failure
from antiphon_kit.recorder import set_duration

# About 4 bytes of text make a token; a delta that travels alone adds as much again for its frame.
_REQUEST_BYTES_PER_TOKEN: Final = 4
_ANSWER_BYTES_PER_TOKEN: Final = 8
_MODEL_TAG: Final = 0x0A
_NUMBERED: Final = 0x08
_UNNUMBERED: Final = 0x12
_CANCELLED: Final = frozenset({Reason.ERROR_REASON_CANCELLED, Reason.ERROR_REASON_DEADLINE_EXCEEDED})


def model_of(body: bytes) -> str:
    """Field 1 of a request, the routing key. Raises CallFailure (INVALID_REQUEST) where `body` is no message."""
    try:
        return _model(body)
    except (IndexError, ValueError):
        raise failure(
            Reason.ERROR_REASON_INVALID_REQUEST,
            "the request is no valid protobuf message, or its model is no UTF-8 text; send what the method takes",
        ) from None


def _model(body: bytes) -> str:
    start = _model_start(body)
    if start is None:
        return ""
    size, start = _varint(body, start)
    if start + size > len(body):
        raise ValueError
    return body[start : start + size].decode()


def _model_start(body: bytes) -> int | None:
    """Where the length of field 1 stands: behind the first byte for official serialisers, else wherever it is."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        if tag == _MODEL_TAG:
            return at
        at = _skipped(body, at, tag & 7)
    return None


def _skipped(body: bytes, at: int, wire_type: int) -> int:
    if wire_type == 0:
        return _varint(body, at)[1]
    if wire_type == 2:
        size, at = _varint(body, at)
        return at + size
    if wire_type in (1, 5):
        return at + (8 if wire_type == 1 else 4)
    raise ValueError


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError


def is_numbered(frame: bytes) -> bool:
    """Whether a frame commits the call. Raises DecodeError for what is no frame."""
    first = frame[0] if frame else _UNNUMBERED
    if first == _NUMBERED:
        return True
    if first == _UNNUMBERED:
        return False
    # A serialiser that does not write fields in order.
    return bool(chat_pb2.StreamGenerateResponse.FromString(frame).first_sequence)


def attempts_frame(attempts: list[response_pb2.Attempt]) -> bytes:
    """The unnumbered frame that announces failed attempts."""
    frame = chat_pb2.StreamGenerateResponse()
    for attempt in attempts:
        frame.events.add().attempt.CopyFrom(attempt)
    return frame.SerializeToString()


class Passed(NamedTuple):
    """What went through the router of a stream whose service died: all there is to account for it by."""

    first: bytes
    """The first numbered frame; it tells which response it was."""
    request_bytes: int
    answer_bytes: int
    """Of the numbered frames after the first."""
    total_s: float
    """How long the call took."""


def last_word(last: bytes) -> response_pb2.ResponseEnd | None:
    """The `end` in a service's `last` frame; None if it still owes that."""
    try:
        frame = chat_pb2.StreamGenerateResponse.FromString(last)
    except DecodeError:
        return None
    return frame.events[-1].end if frame.events and frame.events[-1].HasField("end") else None


def closing_frame(
    last: bytes, error: error_pb2.CallError, passed: Passed | None = None
) -> chat_pb2.StreamGenerateResponse | None:
    """The frame with the `end` that a service owes after its `last` frame; None if that has it already.

    Usage is the last one that `last` tells, else an estimate from the bytes that `passed`.
    """
    try:
        frame = chat_pb2.StreamGenerateResponse.FromString(last)
    except DecodeError:
        return None
    if frame.events and frame.events[-1].HasField("end"):
        return None
    sequence = frame.first_sequence + len(frame.events)
    end = end_of(error)
    end.event_count = sequence
    if passed is not None:
        _account(end, frame, passed)
    closing = chat_pb2.StreamGenerateResponse(first_sequence=sequence)
    closing.events.add().end.CopyFrom(end)
    return closing


def _account(end: response_pb2.ResponseEnd, last: chat_pb2.StreamGenerateResponse, passed: Passed) -> None:
    set_duration(end.timing.total_duration, passed.total_s)
    end.usage.input_tokens = max(1, passed.request_bytes // _REQUEST_BYTES_PER_TOKEN)
    end.usage.output_tokens = max(1, passed.answer_bytes // _ANSWER_BYTES_PER_TOKEN)
    begun = chat_pb2.StreamGenerateResponse.FromString(passed.first)
    for event in (*begun.events[:1], *last.events):
        if event.HasField("usage"):
            end.usage.CopyFrom(event.usage)
            end.usage.source = usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL
        elif event.HasField("start"):
            end.response_id = event.start.response_id
            end.provider = event.start.provider
            end.model = event.start.model


def end_of(error: error_pb2.CallError) -> response_pb2.ResponseEnd:
    """The terminal record of a call that no adapter has written one for. What it used is not known."""
    end = response_pb2.ResponseEnd(
        outcome=response_pb2.ResponseEnd.OUTCOME_CANCELLED
        if error.reason in _CANCELLED
        else response_pb2.ResponseEnd.OUTCOME_FAILED,
        error=error,
        provider=error.provider,
        model=error.model,
    )
    end.usage.source = usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
    return end
