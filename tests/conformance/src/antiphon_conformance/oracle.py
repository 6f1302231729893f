"""Owns a second, independent assembly of answers, so that a fault in the gateway's own fold is seen.

It works on plain values, and merges a part's tail by concatenating encodings, which protobuf defines as a merge.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2

_APPENDED = {"text_delta": "text", "reasoning_delta": "text", "tool_input_delta": "input"}


@dataclass(slots=True)
class Answer:
    """What a call delivered, however it was made. `parts` and `finishes` are keyed by candidate."""

    start: response_pb2.ResponseStart | None = None
    parts: dict[int, list[content_pb2.Part]] = field(default_factory=dict)
    finishes: dict[int, response_pb2.CandidateEnd] = field(default_factory=dict)
    end: response_pb2.ResponseEnd | None = None

    @property
    def text(self) -> str:
        return "".join(part.text.text for part in self.parts.get(0, []))

    @property
    def tools(self) -> list[content_pb2.ToolCall]:
        return [part.tool_call for part in self.parts.get(0, []) if part.HasField("tool_call")]

    @property
    def finish(self) -> response_pb2.CandidateEnd:
        return self.finishes[0]


def of_unary(response: chat_pb2.GenerateResponse) -> Answer:
    answer = Answer(start=response.start, end=response.end)
    for index, candidate in enumerate(response.candidates):
        answer.parts[index] = list(candidate.message.parts)
        if candidate.HasField("end"):
            answer.finishes[index] = candidate.end
    return answer


def of_stream(frames: Iterable[chat_pb2.StreamGenerateResponse]) -> Answer:
    """The answer of the attempt that survived; as far as it came."""
    events: list[response_pb2.StreamEvent] = []
    for frame in frames:
        for event in frame.events:
            if event.HasField("restart"):
                events = []
            elif frame.first_sequence:
                events.append(event)
    answer = Answer()
    of_part: dict[tuple[int, int], list[response_pb2.StreamEvent]] = {}
    for event in events:
        kind = event.WhichOneof("kind")
        if kind == "start":
            answer.start = event.start
        elif kind == "end":
            answer.end = event.end
        elif kind == "candidate_end":
            answer.finishes[event.candidate_index] = event.candidate_end
        elif kind in ("part_start", "part_end", "part_update", *_APPENDED):
            of_part.setdefault((event.candidate_index, event.part_index), []).append(event)
    for candidate, index in sorted(of_part):
        answer.parts.setdefault(candidate, []).append(_part(of_part[candidate, index]))
    return answer


def _part(events: list[response_pb2.StreamEvent]) -> content_pb2.Part:
    part, appended, tail = content_pb2.Part(), "", b""
    pieces = []
    for event in events:
        kind = event.WhichOneof("kind")
        if kind == "part_start":
            part.CopyFrom(event.part_start.part)
        elif kind == "part_end":
            tail = event.part_end.tail.SerializeToString()
        elif kind == "part_update":
            if event.part_update.citations:  # touching `text` of another kind of part would change its kind
                part.text.citations.extend(event.part_update.citations)
            part.opaque.extend(event.part_update.opaque)
            part.provider_json.update(event.part_update.provider_json)
        else:
            pieces.append(getattr(event, str(kind)))
    appended = "".join(pieces)
    kind_of_part = part.WhichOneof("kind")
    if appended and kind_of_part is not None:
        grown = getattr(part, kind_of_part)
        member = "input" if kind_of_part == "tool_call" else "text"
        setattr(grown, member, getattr(grown, member) + appended)
    return content_pb2.Part.FromString(part.SerializeToString() + tail)
