"""Owns the assembly of a stream's events into a whole answer, restarts included.

The finished part is PartStart.part, deltas appended, updates applied, then merged with PartEnd.tail.
Deltas are collected in lists: appending to a message's string is quadratic.
"""

from collections.abc import Iterable

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2


class StreamViolation(Exception):
    """The stream breaks the grammar of the contract: a gap, a missing start, something after the end."""


class _OpenPart:
    """`part`: that of the event which began it, until an update needs one to change."""

    __slots__ = ("logprobs", "media", "part", "tail", "text", "transcript", "updated")

    def __init__(self, part: content_pb2.Part, logprobs: Iterable[response_pb2.TokenLogprob]) -> None:
        self.part = part
        self.text: list[str] = []
        self.transcript: list[str] = []
        self.media: list[bytes] = []
        self.logprobs = list(logprobs)
        self.tail: content_pb2.Part | None = None
        self.updated = False


class Fold:
    """Feed frames, then read `response()`. `attempts` and `restarts` outlive a restart, all else begins anew."""

    def __init__(self) -> None:
        self.attempts: list[response_pb2.Attempt] = []
        self.restarts = 0
        self._begin()

    def _begin(self) -> None:
        self.start: response_pb2.ResponseStart | None = None
        self.end: response_pb2.ResponseEnd | None = None
        self.usage: response_pb2.Usage | None = None  # type: ignore[name-defined]  # re-exported by the generated module
        self._parts: dict[tuple[int, int], _OpenPart] = {}
        self._ends: dict[int, response_pb2.CandidateEnd] = {}
        self._sequence = 0

    def feed(self, frame: chat_pb2.StreamGenerateResponse) -> None:
        """Take one frame. Raises StreamViolation on a gap or on events after `end`."""
        if frame.first_sequence == 0:
            for event in frame.events:
                self._unnumbered(event)
            return
        if frame.first_sequence != self._sequence + 1:
            raise StreamViolation(f"expected sequence {self._sequence + 1}, got {frame.first_sequence}")
        self.feed_events(frame.events)

    def feed_events(self, events: Iterable[response_pb2.StreamEvent]) -> None:
        """Take numbered events in order, without their frame."""
        for event in events:
            if self.end is not None:
                raise StreamViolation("an event after `end`")
            self._sequence += 1
            kind = event.WhichOneof("kind")
            if kind == "text_delta":
                part = self._open(event)
                part.text.append(event.text_delta)
                if event.logprobs:
                    part.logprobs.extend(event.logprobs)
            else:
                self._other(kind, event)

    def _unnumbered(self, event: response_pb2.StreamEvent) -> None:
        kind = event.WhichOneof("kind")
        if kind == "attempt":
            self.attempts.append(event.attempt)
        elif kind == "restart":
            if self.end is not None:
                raise StreamViolation("a restart after `end`")
            if event.restart.voided_events != self._sequence or not self._sequence:
                raise StreamViolation(f"restart voids {event.restart.voided_events} of {self._sequence} events")
            self.restarts += 1
            self._begin()

    def _other(self, kind: str | None, event: response_pb2.StreamEvent) -> None:
        if kind == "reasoning_delta":
            self._open(event).text.append(event.reasoning_delta)
        elif kind == "tool_input_delta":
            self._open(event).text.append(event.tool_input_delta)
        elif kind == "part_start":
            key = (event.candidate_index, event.part_index)
            if key in self._parts:
                raise StreamViolation(f"part {key} starts twice")
            self._parts[key] = _OpenPart(event.part_start.part, event.logprobs)
        elif kind == "part_update":
            _update(self._open(event), event.part_update)
        elif kind == "part_end":
            part = self._open(event)
            if event.part_end.HasField("tail"):
                part.tail = event.part_end.tail
            part.logprobs.extend(event.logprobs)
        elif kind == "start":
            self.start = event.start
        elif kind == "candidate_end":
            self._ends[event.candidate_index] = event.candidate_end
        elif kind == "usage":
            self.usage = event.usage
        elif kind == "end":
            self.end = event.end

    def _open(self, event: response_pb2.StreamEvent) -> _OpenPart:
        key = (event.candidate_index, event.part_index)
        try:
            return self._parts[key]
        except KeyError:
            raise StreamViolation(f"part {key} has not started") from None

    @property
    def sequence(self) -> int:
        """Sequence of the last numbered event; 0 before the first."""
        return self._sequence

    def response(self) -> chat_pb2.GenerateResponse:
        """What has arrived so far, as the answer of a unary call."""
        response = chat_pb2.GenerateResponse(start=self.start, end=self.end)
        keys = sorted(self._parts)
        for candidate_index in sorted(self._ends.keys() | {candidate for candidate, _ in keys}):
            candidate = response.candidates.add()
            candidate.message.role = content_pb2.ROLE_ASSISTANT
            if candidate_index in self._ends:
                candidate.end.CopyFrom(self._ends[candidate_index])
            for key in keys:
                if key[0] != candidate_index:
                    continue
                position = len(candidate.message.parts)
                _finish(self._parts[key], candidate.message.parts.add())
                if logprobs := self._parts[key].logprobs:
                    candidate.logprobs.add(part_index=position, tokens=logprobs)
        return response


def _update(part: _OpenPart, update: response_pb2.PartUpdate) -> None:
    if not part.updated:
        part.part, part.updated = _copy(part.part), True
    if update.citations:
        part.part.text.citations.extend(update.citations)
    part.part.opaque.extend(update.opaque)
    if update.media_data:
        part.media.append(update.media_data)
    if update.transcript_delta:
        part.transcript.append(update.transcript_delta)
    for key, value in update.provider_json.items():
        part.part.provider_json[key] = value


def _finish(opened: _OpenPart, part: content_pb2.Part) -> None:
    part.CopyFrom(opened.part)
    text = "".join(opened.text)
    kind = part.WhichOneof("kind")
    if text and kind in ("text", "reasoning", "refusal"):
        getattr(part, kind).text += text
    elif text and kind == "tool_call":
        part.tool_call.input += text
    if opened.media:
        part.media.data += b"".join(opened.media)
    if opened.transcript:
        part.media.transcript += "".join(opened.transcript)
    if opened.tail is not None:
        part.MergeFrom(opened.tail)


def _copy(part: content_pb2.Part) -> content_pb2.Part:
    copied = content_pb2.Part()
    copied.CopyFrom(part)
    return copied
