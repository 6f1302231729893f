"""Owns the grammar of a stream: what a sequence of frames may look like, judged from its bytes.

Forbids itself: assembling answers (that is the oracle's), and any code of the gateway.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2

_UNNUMBERED = frozenset({"attempt", "keepalive", "restart"})
CONTENT = frozenset(
    {"part_start", "text_delta", "reasoning_delta", "tool_input_delta", "candidate_end", "native_event"}
)
_DELTA_OF: dict[str | None, set[str | None]] = {
    "text_delta": {"text", "refusal"},
    "reasoning_delta": {"reasoning"},
    "tool_input_delta": {"tool_call"},
    "part_update": {"text", "reasoning", "refusal", "tool_call", "media", "native", None},
}
_NUMBERED_BYTE, _UNNUMBERED_BYTE = 0x08, 0x12
_RESPONSE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
Outcome = response_pb2.ResponseEnd.Outcome
End = response_pb2.ResponseEnd


@dataclass(slots=True)
class _Reader:
    complaints: list[str] = field(default_factory=list)
    sequence: int = 0
    start: response_pb2.ResponseStart | None = None
    end: response_pb2.ResponseEnd | None = None
    open_parts: dict[tuple[int, int], str | None] = field(default_factory=dict)
    closed_parts: set[tuple[int, int]] = field(default_factory=set)
    candidates: dict[int, int] = field(default_factory=dict)
    output_tokens: int = 0

    def complain(self, complaint: str) -> None:
        self.complaints.append(f"after event {self.sequence}: {complaint}")

    def _begin_anew(self) -> None:
        self.sequence, self.output_tokens, self.start, self.end = 0, 0, None, None
        self.open_parts, self.closed_parts, self.candidates = {}, set(), {}

    def frame(self, raw: bytes) -> None:
        frame = chat_pb2.StreamGenerateResponse.FromString(raw)
        kinds = [event.WhichOneof("kind") for event in frame.events]
        if not kinds:
            self.complain("a frame without events")
        if self.end is not None:
            self.complain(f"{kinds} after `end`")
        if frame.first_sequence == 0:
            self._unnumbered(raw, frame, kinds)
            return
        if raw[0] != _NUMBERED_BYTE:
            self.complain(f"a numbered frame begins with byte {raw[0]:#04x}")
        if frame.first_sequence != self.sequence + 1:
            self.complain(f"first_sequence {frame.first_sequence}")
        if frame.first_sequence == 1 and not CONTENT.intersection(kinds):
            self.complain(f"`start` did not wait for content: {kinds}")
        for event, kind in zip(frame.events, kinds, strict=True):
            self.sequence += 1
            self._numbered(event, kind)
        if self.end is not None and self.end.outcome == Outcome.OUTCOME_FAILED:
            self._failed_alone(raw, kinds)

    def _unnumbered(self, raw: bytes, frame: chat_pb2.StreamGenerateResponse, kinds: list[str | None]) -> None:
        if raw[:1] != bytes([_UNNUMBERED_BYTE]):
            self.complain("an unnumbered frame does not begin with its events")
        if strange := set(kinds) - _UNNUMBERED:
            self.complain(f"{strange} in an unnumbered frame")
        for event in frame.events:
            if event.HasField("restart"):
                if event.restart.voided_events != self.sequence or not self.sequence:
                    self.complain(f"restart voids {event.restart.voided_events} events")
                self._begin_anew()

    def _failed_alone(self, raw: bytes, kinds: list[str | None]) -> None:
        if len(kinds) != 1:
            self.complain(f"a failed `end` shares its frame: {kinds}")
        rest = raw[1:].lstrip(bytes(range(0x80, 0x100)))[1:]  # behind the varint of first_sequence
        body = rest[1:].lstrip(bytes(range(0x80, 0x100)))[1:]  # behind the length of the event
        if rest[:1] != b"\x12" or body[:1] != b"\x52":
            self.complain("a failed `end` is not to be seen by one byte")

    def _numbered(self, event: response_pb2.StreamEvent, kind: str | None) -> None:
        if kind in _UNNUMBERED:
            self.complain(f"{kind} is numbered")
        if (self.sequence == 1) != (kind == "start"):
            self.complain(f"`start` and nothing else comes first, not {kind}")
        key = (event.candidate_index, event.part_index)
        if kind == "start":
            self.start = event.start
        elif kind == "part_start":
            self._open(key, event.part_start.part)
        elif kind == "part_end":
            self._close(key, event.part_end.tail)
        elif kind in _DELTA_OF:
            self._delta(key, kind)
        elif kind == "candidate_end":
            self._candidate(event)
        elif kind == "usage":
            if event.usage.output_tokens < self.output_tokens:
                self.complain("usage is not cumulative")
            self.output_tokens = event.usage.output_tokens
        elif kind == "end":
            self.end = event.end

    def _delta(self, key: tuple[int, int], kind: str | None) -> None:
        if key not in self.open_parts:
            self.complain(f"{kind} for part {key}, which is not open")
        elif self.open_parts[key] not in _DELTA_OF[kind]:
            self.complain(f"{kind} for a {self.open_parts[key]} part")

    def _open(self, key: tuple[int, int], part: content_pb2.Part) -> None:
        seen = {index for candidate, index in (*self.open_parts, *self.closed_parts) if candidate == key[0]}
        if key[1] != len(seen):
            self.complain(f"part {key} starts after parts {sorted(seen)}")
        if key[0] in self.candidates:
            self.complain(f"part {key} starts after its candidate ended")
        self.open_parts[key] = part.WhichOneof("kind")

    def _close(self, key: tuple[int, int], tail: content_pb2.Part) -> None:
        if key not in self.open_parts:
            self.complain(f"part {key} ends, but is not open")
            return
        kind = self.open_parts.pop(key)
        self.closed_parts.add(key)
        if kind == "tool_call" and not tail.tool_call.input_state:
            self.complain(f"tool call {key} ends without an input_state")

    def _candidate(self, event: response_pb2.StreamEvent) -> None:
        index = event.candidate_index
        if index in self.candidates:
            self.complain(f"candidate {index} ends twice")
        if still := [key for key in self.open_parts if key[0] == index]:
            self.complain(f"candidate {index} ends before its parts {still}")
        if not event.candidate_end.reason:
            self.complain(f"candidate {index} ends without a reason")
        self.candidates[index] = event.candidate_end.reason

    def finish(self) -> None:
        if self.sequence == 0:
            return
        if self.end is None or self.start is None:
            self.complain("the stream has no `end`")
            return
        end, start = self.end, self.start
        if end.event_count != self.sequence:
            self.complain(f"event_count is {end.event_count}")
        if (end.response_id, end.provider, end.model) != (start.response_id, start.provider, start.model):
            self.complain("`start` and `end` speak of different responses")
        if not start.HasField("create_time"):
            self.complain("`start` has no create_time")
        if end.outcome in (Outcome.OUTCOME_COMPLETED, Outcome.OUTCOME_INCOMPLETE):
            if self.open_parts or not self.candidates:
                self.complain(f"the call completed with open parts {list(self.open_parts)} or without candidates")
            if list(end.finish_reasons) != [reason for _, reason in sorted(self.candidates.items())]:
                self.complain("finish_reasons are not those of the candidates")
        self.complaints += record_complaints(end)


def record_complaints(end: End) -> list[str]:
    """What is wrong with a terminal record by itself."""
    wrong = []
    if not end.outcome:
        wrong.append("the record has no outcome")
    if (end.outcome in (Outcome.OUTCOME_FAILED, Outcome.OUTCOME_CANCELLED)) != end.HasField("error"):
        wrong.append("the record has an error if and only if the call failed")
    if not end.provider or not _RESPONSE_ID.fullmatch(end.response_id):
        wrong.append(f"the record names no provider or response: {end.provider!r}, {end.response_id!r}")
    if not end.timing.HasField("total_duration"):
        wrong.append("the record has no total_duration")
    if end.HasField("usage") and not end.usage.source:
        wrong.append("the usage does not tell its source")
    return wrong


def complaints(frames: Iterable[bytes], *, cut: bool = False) -> list[str]:
    """Every breach of the grammar in the frames of one stream, as received. `cut`: the caller itself ended it early."""
    reader = _Reader()
    for raw in frames:
        reader.frame(raw)
    if not cut:
        reader.finish()
    return reader.complaints
