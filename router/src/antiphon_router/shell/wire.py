"""Owns what the router reads of messages that it does not decode: a few bytes in front, and one frame at the end.

Forbids itself: decoding in a call that goes well.
"""

import functools
from collections.abc import Iterable
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from antiphon.llm.v1 import chat_pb2, error_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import Reason, failure
from antiphon_kit.recorder import set_duration

Frame = chat_pb2.StreamGenerateResponse

# About 4 bytes of text make a token; a delta that travels alone adds as much again for its frame.
_REQUEST_BYTES_PER_TOKEN: Final = 4
_ANSWER_BYTES_PER_TOKEN: Final = 8
_MODEL_TAG: Final = 0x0A
_TEXT: Final = frozenset({"text", "reasoning", "refusal"})
_TEXT_OR_NONE: Final = _TEXT | {None}
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
    if len(body) > 1 and body[0] == _MODEL_TAG and body[1] < 0x80 and len(body) >= body[1] + 2:
        return body[2 : body[1] + 2].decode()
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
    return bool(Frame.FromString(frame).first_sequence)


def attempts_frame(attempts: Iterable[response_pb2.Attempt]) -> bytes:
    """The unnumbered frame that announces failed attempts."""
    frame = Frame()
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


def frame_of(data: bytes) -> Frame | None:
    """The decoded frame; None for what is none."""
    try:
        return Frame.FromString(data)
    except DecodeError:
        return None


def last_word(frame: Frame) -> response_pb2.ResponseEnd | None:
    """The `end` in a service's last `frame`; None if it still owes that."""
    return frame.events[-1].end if frame.events and frame.events[-1].HasField("end") else None


def closing_frame(last: Frame, error: error_pb2.CallError, passed: Passed | None = None) -> Frame:
    """The frame with the `end` that a service owes after its `last` frame.

    Usage is the last one that `last` tells, else an estimate from the bytes that `passed`.
    """
    sequence = last_sequence(last) + 1
    end = end_of(error)
    end.event_count = sequence
    if passed is not None:
        _account(end, last, passed)
    closing = Frame(first_sequence=sequence)
    closing.events.add().end.CopyFrom(end)
    return closing


def last_sequence(frame: Frame) -> int:
    """Of the last event of a numbered `frame`."""
    return frame.first_sequence + len(frame.events) - 1


def restart_frame(restart: response_pb2.Restart) -> bytes:
    """The unnumbered frame that makes void what was delivered."""
    frame = Frame()
    frame.events.add().restart.CopyFrom(restart)
    return frame.SerializeToString()


def only_text(frame: Frame) -> bool:
    """Whether nothing in `frame` has effects of its own: no tool call, and nothing that this build does not know."""
    return all(_is_text(event) for event in frame.events)


def _is_text(event: response_pb2.StreamEvent) -> bool:
    kind = event.WhichOneof("kind")
    if kind == "part_start":
        return event.part_start.part.WhichOneof("kind") in _TEXT
    if kind == "part_end":
        return event.part_end.tail.WhichOneof("kind") in _TEXT_OR_NONE
    if kind == "part_update":
        return not event.part_update.media_data
    return kind is not None and kind != "tool_input_delta"


def estimated_usage(request_bytes: int, answer_bytes: int = 0) -> usage_pb2.Usage:
    """Usage from the bytes that went through; of an answer that did not begin nothing is known."""
    usage = usage_pb2.Usage(
        input_tokens=max(1, request_bytes // _REQUEST_BYTES_PER_TOKEN),
        source=usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE,
    )
    if answer_bytes:
        usage.output_tokens = max(1, answer_bytes // _ANSWER_BYTES_PER_TOKEN)
    return usage


def _account(end: response_pb2.ResponseEnd, last: Frame, passed: Passed) -> None:
    set_duration(end.timing.total_duration, passed.total_s)
    end.usage.CopyFrom(estimated_usage(passed.request_bytes, max(1, passed.answer_bytes)))
    begun = Frame.FromString(passed.first)
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


@functools.lru_cache(maxsize=32)
def used_tokens(end: bytes) -> tuple[int, int] | None:
    """Input and output tokens in a terminal record; None where it tells none. Of each record asked more than once."""
    try:
        record = response_pb2.ResponseEnd.FromString(end)
    except DecodeError:
        return None
    usage = record.usage
    if not (usage.HasField("input_tokens") or usage.HasField("output_tokens")):
        return None
    return usage.input_tokens, usage.output_tokens
