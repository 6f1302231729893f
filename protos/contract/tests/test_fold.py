import pytest

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2
from antiphon_contract.fold import Fold, StreamViolation

Event = response_pb2.StreamEvent
TEXT, CALL = (
    content_pb2.Part(text=content_pb2.TextPart()),
    content_pb2.Part(tool_call=content_pb2.ToolCall(id="c", name="f")),
)


def event(**fields) -> Event:
    return Event(**fields)


def part_start(part, **at) -> Event:
    return Event(part_start=response_pb2.PartStart(part=part), **at)


def frame(first, *events) -> chat_pb2.StreamGenerateResponse:
    return chat_pb2.StreamGenerateResponse(first_sequence=first, events=events)


def end(count, outcome=response_pb2.ResponseEnd.OUTCOME_COMPLETED) -> Event:
    return Event(end=response_pb2.ResponseEnd(outcome=outcome, event_count=count))


START = Event(start=response_pb2.ResponseStart(response_id="i.1", model="m"))
STOP = Event(candidate_end=response_pb2.CandidateEnd(reason=response_pb2.FINISH_REASON_STOP))


def fold_all(frames) -> Fold:
    fold = Fold()
    for one in frames:
        fold.feed(one)
    return fold


def test_interleaved_parts_come_out_whole_and_in_order():
    fold = Fold()
    fold.feed(frame(1, START, part_start(TEXT), event(text_delta="Hel")))
    fold.feed(
        frame(4, part_start(CALL, part_index=1), event(tool_input_delta='{"a":', part_index=1), event(text_delta="lo"))
    )
    tail = content_pb2.Part(tool_call=content_pb2.ToolCall(input_state=content_pb2.ToolCall.INPUT_STATE_COMPLETE))
    fold.feed(
        frame(
            7, event(tool_input_delta="1}", part_index=1), Event(part_end=response_pb2.PartEnd(tail=tail), part_index=1)
        )
    )
    fold.feed(frame(9, STOP, end(10)))
    message = fold.response().candidates[0].message
    assert message.role == content_pb2.ROLE_ASSISTANT
    assert message.parts[0].text.text == "Hello"
    call = message.parts[1].tool_call
    assert (call.id, call.name, call.input, call.input_state) == (
        "c",
        "f",
        '{"a":1}',
        content_pb2.ToolCall.INPUT_STATE_COMPLETE,
    )
    assert fold.response().end.event_count == fold.sequence == 10


def test_reading_twice_gives_the_same_answer():
    fold = Fold()
    fold.feed(frame(1, START, part_start(TEXT), event(text_delta="a"), STOP, end(5)))
    assert fold.response() == fold.response()


def test_updates_and_media_are_applied():
    fold = Fold()
    audio = content_pb2.Part(media=content_pb2.Media(mime_type="audio/wav"))
    fold.feed(frame(1, START, part_start(TEXT), part_start(audio, part_index=1)))
    update = response_pb2.PartUpdate(citations=[content_pb2.Citation(cited_text="q")], provider_json={"openai": "{}"})
    update.opaque.add(issuer="openai", data=b"s")
    fold.feed(frame(4, Event(part_update=update)))
    for piece, heard in ((b"ab", "A"), (b"cd", "B")):
        fold.feed(
            frame(
                fold.sequence + 1,
                Event(part_update=response_pb2.PartUpdate(media_data=piece, transcript_delta=heard), part_index=1),
            )
        )
    text, media = fold.response().candidates[0].message.parts
    assert (text.text.citations[0].cited_text, text.opaque[0].data, text.provider_json["openai"]) == ("q", b"s", "{}")
    assert (media.media.data, media.media.transcript) == (b"abcd", "AB")


def test_reasoning_refusal_and_logprobs():
    fold = Fold()
    reasoning = content_pb2.Part(reasoning=content_pb2.ReasoningPart(text="so "))
    refusal = content_pb2.Part(refusal=content_pb2.RefusalPart())
    token = response_pb2.TokenLogprob(token="x", logprob=-0.5)
    fold.feed(frame(1, START, part_start(reasoning), event(reasoning_delta="far")))
    fold.feed(frame(4, part_start(refusal, part_index=1), event(text_delta="no", part_index=1, logprobs=[token])))
    fold.feed(frame(6, Event(part_end=response_pb2.PartEnd(), part_index=1, logprobs=[token])))
    candidate = fold.response().candidates[0]
    assert [p.WhichOneof("kind") for p in candidate.message.parts] == ["reasoning", "refusal"]
    assert (candidate.message.parts[0].reasoning.text, candidate.message.parts[1].refusal.text) == ("so far", "no")
    assert (candidate.logprobs[0].part_index, len(candidate.logprobs[0].tokens)) == (1, 2)


def test_candidates_are_sorted_and_an_empty_one_exists():
    fold = Fold()
    fold.feed(frame(1, START, part_start(TEXT, candidate_index=1), event(text_delta="b", candidate_index=1)))
    fold.feed(frame(4, STOP, Event(candidate_end=STOP.candidate_end, candidate_index=1)))
    assert [len(c.message.parts) for c in fold.response().candidates] == [0, 1]


def test_a_restart_voids_everything_but_the_attempts():
    fold = Fold()
    fold.feed(frame(1, START, part_start(TEXT), event(text_delta="void"), Event(usage={"input_tokens": 3})))
    fold.feed(frame(0, Event(attempt=response_pb2.Attempt(number=1)), Event(keepalive=response_pb2.Keepalive())))
    fold.feed(frame(0, Event(restart=response_pb2.Restart(voided_attempt=1, next_attempt=2, voided_events=4))))
    assert (fold.sequence, fold.usage, fold.start) == (0, None, None)
    fold.feed(frame(1, START, part_start(TEXT), event(text_delta="kept"), STOP, end(5)))
    assert fold.response().candidates[0].message.parts[0].text.text == "kept"
    assert ([a.number for a in fold.attempts], fold.restarts) == ([1], 1)


def test_unknown_kinds_count_and_are_skipped():
    fold = Fold()
    fold.feed(
        frame(1, START, Event(), part_start(TEXT), Event(warning={"path": "p"}), Event(native_event={"name": "n"}))
    )
    fold.feed(frame(6, STOP, end(7)))
    assert fold.sequence == 7


@pytest.mark.parametrize(
    "frames",
    [
        [frame(2, START)],
        [frame(1, START), frame(3, STOP)],
        [frame(1, START, event(text_delta="no part"))],
        [frame(1, START, part_start(TEXT), part_start(TEXT))],
        [frame(1, START, end(2), STOP)],
        [frame(1, START), frame(0, Event(restart=response_pb2.Restart(voided_events=9)))],
        [frame(0, Event(restart=response_pb2.Restart()))],
        [frame(1, START, end(2)), frame(0, Event(restart=response_pb2.Restart(voided_events=2)))],
        [frame(1, START), frame(0, Event(restart=response_pb2.Restart(voided_events=1))), frame(2, STOP)],
    ],
    ids=[
        "late", "gap", "unopened", "twice", "after end", "restart", "restart of nothing", "restart after end",
        "goes on counting",
    ],
)  # fmt: skip
def test_a_stream_that_breaks_the_grammar_is_refused(frames):
    with pytest.raises(StreamViolation):
        fold_all(frames)


def test_folding_does_not_change_the_events():
    start = part_start(TEXT)
    fold = Fold()
    fold.feed_events(
        [
            START,
            start,
            Event(part_update=response_pb2.PartUpdate(citations=[content_pb2.Citation()])),
            event(text_delta="a"),
        ]
    )
    fold.response()
    assert start == part_start(TEXT)
