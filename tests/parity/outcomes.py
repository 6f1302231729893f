"""Owns what is asked of a codec for whatever bytes: one outcome, and events that keep to the grammar up to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from codecs_under_test import Codec, Reads
from google.protobuf.message import Message

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract.errors import CallFailure
from antiphon_contract.fold import Fold

_DELTAS = frozenset({"text_delta", "reasoning_delta", "tool_input_delta", "part_update"})


@dataclass(frozen=True)
class Outcome:
    """`answer` is what a caller has in the end, byte for byte; `reason` is empty for a whole one."""

    answer: bytes
    reason: str = ""
    code: str = ""


def of(codec: Codec, reads: Reads, request: dict[str, Any]) -> Outcome:
    """Raises everything that is no CallFailure, and AssertionError for events that break the grammar."""
    made: list[Message] = []
    reason = code = ""
    try:
        for message in codec.read(reads, request):
            made.append(message)  # what came before a failure counts
    except CallFailure as failed:
        reason, code = error_pb2.ErrorReason.Name(failed.error.reason), failed.error.native_code
    assert reason != "ERROR_REASON_UNSPECIFIED", "a failure without a reason"
    if not codec.streams:
        return Outcome(b"".join(one.SerializeToString(deterministic=True) for one in made), reason, code)
    complaint = complaint_about(made, cut=bool(reason))
    assert not complaint, complaint
    return Outcome(folded(made), reason, code)


def folded(made: Iterable[Message]) -> bytes:
    """The answer and what stands beside it, however its deltas were cut."""
    fold = Fold()
    events = [event for event in made if isinstance(event, response_pb2.StreamEvent)]
    fold.feed_events(events)
    beside = [event for event in events if event.WhichOneof("kind") in ("native_event", "warning")]
    parts: list[Message] = [fold.response(), *([fold.usage] if fold.usage is not None else []), *beside]
    return b"".join(part.SerializeToString(deterministic=True) for part in parts)


def complaint_about(made: Sequence[Message], *, cut: bool) -> str:
    """What is wrong with the events of an answer; "" if nothing. `cut`: a failure ended them."""
    open_parts: set[tuple[int, int]] = set()
    begun: dict[int, int] = {}
    ended: set[int] = set()
    for number, event in enumerate(made):
        assert isinstance(event, response_pb2.StreamEvent)
        kind, candidate = event.WhichOneof("kind"), event.candidate_index
        key = (candidate, event.part_index)
        if (kind == "start") != (number == 0):
            return f"{kind} is event {number}"
        if kind in ("part_start", "part_end", "candidate_end", *_DELTAS) and candidate in ended:
            return f"{kind} after the end of candidate {candidate}"
        if kind == "part_start":
            if event.part_index != begun.get(candidate, 0):
                return f"part {event.part_index} after {begun.get(candidate, 0)} parts"
            begun[candidate] = event.part_index + 1
            open_parts.add(key)
        elif kind in _DELTAS or kind == "part_end":
            if key not in open_parts:
                return f"{kind} for {key}, which is not open"
            if kind == "part_end":
                open_parts.discard(key)
        elif kind == "candidate_end":
            if any(one == candidate for one, _ in open_parts):
                return f"candidate {candidate} ends with open parts"
            ended.add(candidate)
    if not cut and (not ended or begun.keys() - ended or open_parts):
        return f"candidates {sorted(begun)} began, {sorted(ended)} ended, {sorted(open_parts)} are open"
    return ""
