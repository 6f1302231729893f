"""What comes from the vendor: chunks, cut anywhere, as contract events that fold into the answer."""

import pytest
from chat_wire import HEAD, ROLE, STOP, Finish, answer, chunk, events, fold, kinds, parts, sse, stream, warned

from antiphon.llm.v1 import content_pb2, error_pb2, response_pb2
from antiphon_contract.fold import Fold


def test_plain_text():
    usage = {**HEAD, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    found = events(sse(ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP, usage))
    assert kinds(found) == [
        "start", "part_start", "text_delta", "text_delta", "usage", "part_end", "candidate_end",
    ]  # fmt: skip
    folded = Fold()
    folded.feed_events(found)
    assert folded.start.model == "gpt-6"
    assert folded.start.provider_response_id == "chatcmpl-1"
    assert folded.start.create_time.seconds == 1741569952
    [candidate] = folded.response().candidates
    assert [part.text.text for part in candidate.message.parts] == ["Hello"]
    assert candidate.end.reason == Finish.FINISH_REASON_STOP
    assert candidate.end.native_reason == "stop"
    assert folded.usage.input_tokens == 3


def test_start_carries_what_the_vendor_told():
    limit = error_pb2.RateLimit(name="tokens")
    warning = response_pb2.Warning(path="params.top_k")
    found = events(
        sse(chunk({"content": "x"}, system_fingerprint="fp", service_tier="flex", created=1.5), STOP),
        request_id="req-1",
        rate_limits=[limit],
        warnings=[warning],
    )
    start = found[0].start
    assert (start.provider_request_id, start.system_fingerprint, start.service_tier) == ("req-1", "fp", "flex")
    assert start.create_time.ToMilliseconds() == 1500
    assert list(start.rate_limits) == [limit]
    assert found[1].warning == warning


def test_facts_of_a_wrong_type_are_left_out():
    start = events(sse({**chunk({"content": "x"}, "stop"), "id": 7, "created": "now", "model": None}))[0].start
    assert start == response_pb2.ResponseStart()


EVERYTHING = sse(
    ROLE,
    chunk({"reasoning_content": "hm "}),
    chunk({"content": "naïve "}),
    chunk({"content": "日本 \U0001f600"}, extra={"a": 1}),
    b'{"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}',
    b'{"choices": [{"index": 0, "delta": {"content": "\\ude00!"}}]}',
    chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
    chunk({}, "tool_calls"),
    {**HEAD, "choices": [], "usage": {"prompt_tokens": 3}},
)


def test_a_cut_at_any_byte_changes_nothing():
    whole = events(EVERYTHING)
    for at in range(len(EVERYTHING) + 1):
        assert events(EVERYTHING, at) == whole, at
    assert events(EVERYTHING, *range(1, len(EVERYTHING))) == whole


def test_an_answer_without_words():
    found = events(sse(ROLE, STOP))
    assert kinds(found) == ["start", "candidate_end"]


def test_nothing_but_more_text_takes_the_short_way():
    decoder = stream()
    decoder.feed(sse(chunk({"content": "a"}), done=False))
    chunks = [chunk({"content": "b"}), chunk({"role": "assistant", "content": "c"}), chunk({"content": ""})]
    for each in chunks:
        assert decoder._extends(each)
    slow = [
        [], {}, {"choices": []}, {"choices": [1]}, {"choices": None}, {"choices": [{"delta": 1}]},
        chunk({"content": None}), chunk({"content": "b"}, "stop"), chunk({"content": "b"}, index=1),
        chunk({"content": "b", "x": 1}), chunk({"content": "b"}, choice={"x": 1}), chunk({"content": "b"}, x=1),
        chunk({"content": "b"}, usage={}), chunk({"content": "b"}, choice={"logprobs": {}}),
        chunk({"content": "b"}, error=None), {"choices": [{"index": 0, "delta": []}]},
    ]  # fmt: skip
    for each in slow:
        assert not decoder._extends(each)


def test_chunks_alike_are_learned_anew_when_they_change_and_not_in_native_mode():
    decoder, native = stream(), stream(native=True)
    for second in range(40):
        data = sse(chunk({"content": "a"}, created=second), chunk({"content": "b"}, created=second), done=False)
        texts = [event.text_delta for event in decoder.feed(data) if event.text_delta]
        assert texts == ["a", "b"]
        assert [event.text_delta for event in native.feed(data) if event.text_delta] == ["a", "b"]
    assert decoder._lessons == 0
    assert native._shape is None


def test_two_candidates_interleave():
    folded = fold(
        chunk({"content": "a"}), chunk({"content": "x"}, index=1), chunk({"content": "b"}),
        chunk({"content": "y"}, index=1), chunk({}, "stop"), chunk({}, "length", index=1),
    )  # fmt: skip
    first, second = folded.response().candidates
    assert first.message.parts[0].text.text == "ab"
    assert second.message.parts[0].text.text == "xy"
    assert second.end.reason == Finish.FINISH_REASON_MAX_OUTPUT_TOKENS


def test_the_short_way_for_another_candidate_and_a_later_part():
    found = events(sse(chunk({"content": "a"}, index=2), chunk({"content": "b"}, index=2), chunk({}, "stop", index=2)))
    assert {event.candidate_index for event in found[1:]} == {2}
    found = events(sse(chunk({"reasoning": "r"}), chunk({"content": "a"}), chunk({"content": "b"}), STOP))
    assert [(event.part_index, event.text_delta) for event in found if event.text_delta] == [(1, "a"), (1, "b")]


def test_reasoning_text_and_refusal_are_parts_of_their_own():
    found = parts(
        chunk({"reasoning_content": "a", "reasoning": "a"}), chunk({"reasoning_content": "b", "content": None}),
        chunk({"reasoning_content": None, "content": "c"}), chunk({"reasoning": "d"}), chunk({"refusal": "no"}), STOP,
    )  # fmt: skip
    assert [part.WhichOneof("kind") for part in found] == ["reasoning", "text", "reasoning", "refusal"]
    assert found[0].reasoning.text == "ab"
    assert found[0].reasoning.visibility == content_pb2.ReasoningPart.VISIBILITY_FULL
    assert found[3].refusal.text == "no"


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("stop", "STOP"),
        ("length", "MAX_OUTPUT_TOKENS"),
        ("tool_calls", "TOOL_CALLS"),
        ("function_call", "TOOL_CALLS"),
        ("content_filter", "CONTENT_FILTER"),
        ("insufficient_system_resource", "OVERLOADED"),
        ("error", "ERROR"),
        ("abort", "OTHER"),
        (7, "OTHER"),
    ],
)
def test_finish_reasons(native, reason):
    end = answer(chunk({"content": "a"}, native)).end
    assert Finish.Name(end.reason) == f"FINISH_REASON_{reason}"
    assert end.native_reason == str(native)


def test_a_stop_that_is_more_than_a_stop():
    call = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    assert answer(chunk(call), STOP).end.reason == Finish.FINISH_REASON_TOOL_CALLS
    assert answer(chunk({"refusal": "no"}), STOP).end.reason == Finish.FINISH_REASON_REFUSAL
    for member in ("stop_reason", "matched_stop"):
        end = answer(chunk({"content": "a"}, "stop", choice={member: "END"})).end
        assert (end.reason, end.matched_stop) == (Finish.FINISH_REASON_STOP_SEQUENCE, "END")
    assert answer(chunk({"content": "a"}, "stop", choice={"stop_reason": 128009})).end.matched_stop == ""


def halves(*deltas, member="content"):
    return [f'{{"choices": [{{"index": 0, "delta": {{"{member}": "{delta}"}}}}]}}'.encode() for delta in deltas]


@pytest.mark.parametrize("member", ["content", "refusal", "reasoning_content", "reasoning"])
def test_a_pair_split_across_chunks_is_one_character(member):
    found = events(sse(*halves("a\\ud83d", "\\ude00b", member=member), STOP))
    assert warned(found) == []
    text = "".join(event.text_delta + event.reasoning_delta for event in found)
    assert text == "a\U0001f600b"


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        (("a\\ud83d", "b"), "a\ufffdb"),
        (("a", "\\ude00", "b"), "a\ufffdb"),
        (("a\\ud83d",), "a\ufffd"),
        (("\\ud83dx\\ud83d\\ude00",), "\ufffdx\U0001f600"),
    ],
)
def test_a_lone_half_is_replaced_and_told(deltas, text):
    found = events(sse(*halves(*deltas), STOP))
    assert "".join(event.text_delta for event in found) == text
    assert warned(found) == ["half of a surrogate pair became U+FFFD"]


def test_the_short_way_waits_for_the_other_half():
    found = events(sse(*halves("x", "a\\ud83d"), chunk({"content": "b"}), STOP))
    assert "".join(event.text_delta for event in found) == "xa\ufffdb"


def test_bytes_that_are_no_utf8():
    found = events(sse(chunk({"content": "x"}), b'{"choices": [{"index": 0, "delta": {"content": "a\xff"}}]}', STOP))
    assert "".join(event.text_delta for event in found) == "xa\ufffd"
    assert warned(found) == ["bytes that are no UTF-8 became U+FFFD"]
    first = events(sse(b'{"choices": [{"index": 0, "delta": {"content": "a\xff"}}]}', STOP))
    assert kinds(first)[0] == "start"
    assert warned(first) == ["bytes that are no UTF-8 became U+FFFD"]


def test_nul_and_a_real_replacement_character_pass():
    found = events(sse(chunk({"content": "a\0\ufffd"}), STOP))
    assert found[2].text_delta == "a\0\ufffd"
    assert warned(found) == []
