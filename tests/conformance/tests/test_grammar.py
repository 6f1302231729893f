"""The grammar finds every breach, and nothing wrong with streams that are right. The oracle puts them together."""

from collections.abc import Callable
from typing import Any

import pytest

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2
from antiphon_conformance import grammar, oracle

End = response_pb2.ResponseEnd
Event = response_pb2.StreamEvent
Frames = list[chat_pb2.StreamGenerateResponse]


def frame(first: int, *events: Event) -> chat_pb2.StreamGenerateResponse:
    return chat_pb2.StreamGenerateResponse(first_sequence=first, events=events)


def start() -> Event:
    event = Event(start=response_pb2.ResponseStart(response_id="i.1", provider="p", model="m"))
    event.start.create_time.GetCurrentTime()
    return event


def opens(index: int = 0, **part: Any) -> Event:
    made = content_pb2.Part(**(part or {"text": content_pb2.TextPart()}))
    return Event(part_start=response_pb2.PartStart(part=made), part_index=index)


def closes(index: int = 0, **tail: Any) -> Event:
    return Event(part_end=response_pb2.PartEnd(tail=content_pb2.Part(**tail)), part_index=index)


def says(text: str, index: int = 0) -> Event:
    return Event(text_delta=text, part_index=index)


def done() -> Event:
    return Event(candidate_end=response_pb2.CandidateEnd(reason=response_pb2.FINISH_REASON_STOP))


def end(count: int, outcome: int = End.OUTCOME_COMPLETED, **more: Any) -> Event:
    made = End(outcome=outcome, response_id="i.1", provider="p", model="m", event_count=count, **more)
    made.timing.total_duration.seconds = 1
    if outcome == End.OUTCOME_COMPLETED:
        made.finish_reasons.append(response_pb2.FINISH_REASON_STOP)
    if outcome == End.OUTCOME_FAILED:
        made.error.code = 14
    return Event(end=made)


def good() -> Frames:
    return [frame(1, start(), opens(), says("a")), frame(4, says("b"), closes(), done()), frame(7, end(7))]


def failed() -> Frames:
    return [frame(1, start(), opens(), says("a")), frame(4, end(4, End.OUTCOME_FAILED))]


def restarted() -> Frames:
    restart = response_pb2.Restart(voided_attempt=1, next_attempt=2, voided_events=3)
    return [frame(1, start(), opens(), says("void")), frame(0, Event(restart=restart)), *good()]


def raw(frames: Frames) -> list[bytes]:
    return [frame.SerializeToString() for frame in frames]


@pytest.mark.parametrize("frames", [good, failed, restarted])
def test_nothing_is_wrong_with_a_right_stream(frames: Callable[[], Frames]) -> None:
    assert grammar.complaints(raw(frames())) == []
    assert grammar.complaints([frame(0, Event(keepalive=response_pb2.Keepalive())).SerializeToString()]) == []


BREACHES: dict[str, Frames] = {
    "first_sequence 5": [good()[0], frame(5, says("b"), closes(), done()), frame(8, end(8))],
    "did not wait for content": [frame(1, start()), frame(2, opens(), closes(), done()), frame(5, end(5))],
    "comes first": [frame(1, opens(), closes(), done(), end(4))],
    "has no `end`": good()[:2],
    "after `end`": [*good(), frame(8, says("c"))],
    "event_count is 9": [*good()[:2], frame(7, end(9))],
    "which is not open": [frame(1, start(), opens(), closes(), says("late"), done(), end(6))],
    "for a tool_call part": [frame(1, start(), opens(tool_call=content_pb2.ToolCall(id="1")), says("x"))],
    "starts after parts": [frame(1, start(), opens(1), closes(1), done(), end(5))],
    "ends before its parts": [frame(1, start(), opens(), done(), end(4))],
    "ends twice": [frame(1, start(), done(), done(), end(4))],
    "open parts": [frame(1, start(), opens(), end(3))],
    "shares its frame": [frame(1, start(), opens(), says("a"), end(4, End.OUTCOME_FAILED))],
    "in an unnumbered frame": [frame(0, says("a")), *good()],
    "keepalive is numbered": [frame(1, start(), opens(), Event(keepalive=response_pb2.Keepalive()))],
    "without an input_state": [
        frame(1, start(), opens(tool_call=content_pb2.ToolCall(id="1")), closes(), done(), end(5))
    ],
    "without events": [frame(1)],
    "not cumulative": [
        frame(1, start(), opens(), Event(usage={"output_tokens": 5}), Event(usage={"output_tokens": 4}), says("x"))
    ],
    "restart voids 2": [
        frame(1, start(), opens(), says("x")),
        frame(0, Event(restart=response_pb2.Restart(voided_events=2))),
        *good(),
    ],
    "if and only if": [frame(1, start(), done(), end(3, error={"code": 14}))],
}


@pytest.mark.parametrize("complaint", list(BREACHES))
def test_each_breach_is_found(complaint: str) -> None:
    found = grammar.complaints(raw(BREACHES[complaint]))
    assert any(complaint in one for one in found), found


def test_the_oracle_puts_a_stream_together() -> None:
    answer = oracle.of_stream(restarted())
    assert answer.text == "ab"
    assert answer.finish.reason == response_pb2.FINISH_REASON_STOP


def test_the_oracle_merges_what_was_not_streamed() -> None:
    opaque = content_pb2.OpaqueState(issuer="p", kind="signature", data=b"s")
    call = content_pb2.ToolCall(id="1", name="f")
    state = content_pb2.ToolCall(input_state=content_pb2.ToolCall.INPUT_STATE_COMPLETE)
    frames = [
        frame(1, start(), opens(tool_call=call), Event(tool_input_delta="{"), Event(tool_input_delta="}")),
        frame(5, Event(part_update=response_pb2.PartUpdate(opaque=[opaque])), closes(tool_call=state, opaque=[opaque])),
    ]
    (part,) = oracle.of_stream(frames).parts[0]
    assert (part.tool_call.id, part.tool_call.name, part.tool_call.input) == ("1", "f", "{}")
    assert part.tool_call.input_state == content_pb2.ToolCall.INPUT_STATE_COMPLETE
    assert [state.data for state in part.opaque] == [b"s", b"s"]
