"""What comes from Cohere: every event type, in the contract's words; and what is kept as it came."""

import json

import pytest
from cohere_recording import (
    DOCUMENT,
    RAG,
    THINKING,
    TOOLS,
    USAGE,
    arguments,
    call,
    called,
    cited,
    closed,
    end,
    event,
    opened,
    plan,
    said,
    start,
)

from antiphon.llm.v1 import content_pb2, error_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import CallFailure
from antiphon_contract.fold import Fold
from antiphon_provider_cohere.codec import ChatStream

Finish = response_pb2.FinishReason
State = content_pb2.ToolCall


def events(*pieces, **options):
    stream = ChatStream(mint=lambda: "minted", **options)
    found = []
    for piece in pieces:
        found += stream.feed(piece)
        stream.check()
    return found + list(stream.close())


def fold(*pieces, **options):
    folded = Fold()
    folded.feed_events(events(*pieces, **options))
    return folded


def parts(*pieces, **options):
    return fold(*pieces, **options).response().candidates[0].message.parts


def kinds(found):
    return [one.WhichOneof("kind") for one in found]


def failure(*pieces):
    with pytest.raises(CallFailure) as raised:
        events(*pieces)
    return raised.value.error


# -- text and reasoning


def test_text():
    folded = fold(RAG, request_id="req-1", model="command-a")
    [part] = folded.response().candidates[0].message.parts
    assert part.text.text == "The key bénéfices are 😀."
    assert (folded.start.provider_response_id, folded.start.provider_request_id) == ("68475c80", "req-1")
    finished = folded.response().candidates[0].end
    assert (finished.reason, finished.native_reason) == (Finish.FINISH_REASON_STOP, "COMPLETE")


def test_an_announcement_is_no_content():
    assert kinds(events_of(start(), opened(), said(""))) == ["start"]
    assert kinds(events(start(), opened(), closed(), end(usage=None))) == ["start", "candidate_end"]


def events_of(*pieces):
    stream = ChatStream()
    return [one for piece in pieces for one in stream.feed(piece)]


def test_thinking_is_a_part_of_its_own_and_ends_before_the_text():
    thought, said_ = parts(THINKING)
    assert thought.reasoning == content_pb2.ReasoningPart(
        text="Hm, so", visibility=content_pb2.ReasoningPart.VISIBILITY_FULL, label="thinking"
    )
    assert said_.text.text == "It is four."
    found = events(THINKING)
    ends = [one.part_index for one in found if one.HasField("part_end")]
    assert ends == [0, 1]
    assert kinds(found).index("part_end") < kinds(found).index("text_delta")


def test_thinking_after_its_end_is_another_part():
    labels = parts(start(), said("a", 0, "thinking"), closed(), said("b", 0, "thinking"), end())
    assert [part.reasoning.text for part in labels] == ["a", "b"]


def test_deltas_without_an_announcement_and_without_an_index():
    bare = event("content-delta", {"content": {"text": "x"}}, name=False)
    assert [part.text.text for part in parts(bare, bare, bare, end())] == ["xxx"]


def test_text_in_the_announcement_counts():
    assert parts(start(), event("content-start", {"content": {"type": "text", "text": "a"}}, index=0), end())[0].text


def test_malformed_contents_are_no_text():
    odd = [event("content-delta", {"content": 5}, index=0), event("content-delta", {"content": {"text": 5}})]
    odd += [event("content-delta", 5), event("content-delta", delta=5), event("tool-plan-delta", {"tool_plan": 5})]
    assert kinds(events(start(), *odd, end(usage=None)))[0] == "start"
    assert "text_delta" not in kinds(events(start(), *odd, end(usage=None)))


@pytest.mark.parametrize("kind", ["text", "thinking"])
def test_halves_of_a_code_point_are_joined(kind):
    halves = [f'data: {{"type":"content-delta","delta":{{"message":{{"content":{{"{kind}":"{half}"}}}}}}}}\n\n'
              for half in ("a\\ud83d", "\\ude00b")]  # fmt: skip
    found = fold(start(), *(half.encode() for half in halves), end())
    [part] = found.response().candidates[0].message.parts
    assert (part.text.text or part.reasoning.text) == "a😀b"


def test_a_lone_half_is_replaced_with_a_warning():
    halves = [said("ok "), b'data: {"type":"content-delta","delta":{"message":{"content":{"text":"a\\ud83d"}}}}\n\n']
    for last in (said("b"), b""):
        found = events(start(), *halves, last, end())
        text = "".join(one.text_delta for one in found)
        assert text == "ok a\ufffd" + ("b" if last else "")
        [warning] = [one.warning for one in found if one.HasField("warning")]
        assert warning.kind == response_pb2.Warning.KIND_UPSTREAM_MALFORMED


def test_a_half_alone_is_a_part_too():
    half = b'data: {"type":"content-delta","delta":{"message":{"content":{"text":"\\ud83d"}}}}\n\n'
    assert parts(start(), half, end())[0].text.text == "\ufffd"


def test_bytes_that_are_no_utf8():
    broken = b'data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a\xff"}}}}\n\n'
    found = events(start(), broken, end())
    assert "".join(one.text_delta for one in found) == "a\ufffd"
    assert "warning" in kinds(found)


def test_logprobs():
    told = {"text": "Hi there", "token_ids": [12, 13], "logprobs": [-0.5, -1]}
    folded = fold(start(), said("Hi there", logprobs=told), said("!", logprobs={"logprobs": [None, "x"]}), end())
    [row] = folded.response().candidates[0].logprobs
    assert [(t.token, t.token_id, t.logprob) for t in row.tokens] == [("Hi there", 12, -0.5), ("", 13, -1.0)]
    without_text = event("content-delta", {"content": {}}, index=0, logprobs={"logprobs": [-1], "token_ids": [-5]})
    [row] = fold(start(), without_text, end()).response().candidates[0].logprobs
    assert not row.tokens[0].HasField("token_id")
    assert not parts(start(), said("x", logprobs=[1]), said("y", logprobs={"logprobs": 1}), end())[0].cache.ttl


# -- tools


def test_a_plan_and_calls():
    planned, weather, now = parts(TOOLS)
    assert (planned.reasoning.label, planned.reasoning.text) == ("tool_plan", "I will look.")
    assert weather.tool_call == State(
        id="weather_e8p4", name="weather", input='{"city": "Zürich"}', kind=State.KIND_FUNCTION,
        input_state=State.INPUT_STATE_COMPLETE,
    )  # fmt: skip
    assert (now.tool_call.id, now.tool_call.input) == ("now_y46a", "")
    assert now.tool_call.input_state == State.INPUT_STATE_COMPLETE


def test_a_whole_call_ends_at_once_and_the_plan_before_it():
    found = events(TOOLS)
    order = [(one.WhichOneof("kind"), one.part_index) for one in found if one.WhichOneof("kind").startswith("part_")]
    assert order == [
        ("part_start", 0), ("part_end", 0), ("part_start", 1), ("part_end", 1), ("part_start", 2), ("part_end", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pieces", "finish", "state"),
    [
        (['{"a": tru'], "TOOL_CALL", State.INPUT_STATE_INVALID_JSON),
        (['{"a": tru'], "MAX_TOKENS", State.INPUT_STATE_TRUNCATED),
        (['{"a": 1}'], "MAX_TOKENS", State.INPUT_STATE_COMPLETE),
        ([], "TOOL_CALL", State.INPUT_STATE_COMPLETE),
        ([], "MAX_TOKENS", State.INPUT_STATE_TRUNCATED),
        (['{"a": 1e400, "a": 9007199254740993}'], "TOOL_CALL", State.INPUT_STATE_COMPLETE),
    ],
)
def test_how_far_an_input_can_be_relied_on(pieces, finish, state):
    """Without tool-call-end the finish reason has to tell."""
    [part] = parts(start(), call(0, "c", "f"), *(arguments(0, piece) for piece in pieces), end(finish))
    assert (part.tool_call.input, part.tool_call.input_state) == ("".join(pieces), state)


def test_an_input_that_is_no_json_waits_for_the_reason():
    [part] = parts(start(), call(0, "c", "f"), arguments(0, "{"), called(0), end("MAX_TOKENS"))
    assert part.tool_call.input_state == State.INPUT_STATE_TRUNCATED


def test_a_half_in_an_input():
    half = (
        b'data: {"type":"tool-call-delta","delta":{"message":{"tool_calls":{"function":{"arguments":"\\ud83d"}}}}}\n\n'
    )
    found = events(start(), call(0, "c", "f"), half, called(0), end("TOOL_CALL"))
    assert "".join(one.tool_input_delta for one in found) == "\ufffd"


def test_calls_that_depart_from_the_form():
    nameless = event("tool-call-start", {"tool_calls": {"type": "function"}}, index=0)
    listed = event("tool-call-start", {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
                                                      {"id": "b", "function": {"name": "g"}}]}, index=1)  # fmt: skip
    again = call(1, "a", "f", " ")
    other = call(1, "z", "h")
    orphan = arguments(7, "{}")
    found = fold(start(), nameless, listed, again, other, orphan, called(9), end("TOOL_CALL"))
    calls = [part.tool_call for part in found.response().candidates[0].message.parts]
    assert [(one.id, one.name, one.input) for one in calls] == [
        ("minted", "", ""), ("a", "f", '{"x":1} '), ("b", "g", ""), ("z", "h", ""), ("minted", "", "{}"),
    ]  # fmt: skip
    assert not parts(start(), event("tool-call-start", {"tool_calls": 5}, index=0), end())[0].tool_call.name


def test_arguments_after_the_end_of_a_call_are_no_part_of_it():
    [part] = parts(start(), call(0, "c", "f", "{}"), called(0), arguments(0, "x"), called(0), end("TOOL_CALL"))
    assert part.tool_call.input == "{}"


def test_a_plan_may_be_all():
    [part] = parts(start(), plan("I give up."), end())
    assert part.reasoning.text == "I give up."


# -- citations


def test_a_citation_with_its_document():
    [part] = parts(RAG)
    [citation] = part.text.citations
    text = part.text.text
    assert text[citation.start : citation.end] == citation.cited_text == "key bénéfices"
    [source] = citation.sources
    assert (source.document.document_id, source.title) == ("doc:0", "Benefits")
    assert json.loads(citation.provider_json["cohere"])["sources"] == [DOCUMENT]
    assert RAG.find(citation.provider_json["cohere"].encode()) > 0, "not verbatim"


def test_a_citation_of_a_tool():
    raw = b'{"start":0,"end":2,"text":"20","sources":[{"type":"tool","id":"weather_1:0","tool_output":{"t":  2e1}}]}'
    cites = b'data: {"type":"citation-start","index":0,"delta":{"message":{"citations":' + raw + b"}}}\n\n"
    [part] = parts(start(), said("20"), closed(), cites, end())
    [citation] = part.text.citations
    assert citation.sources[0].tool.tool_call_id == "weather_1"
    assert citation.sources[0].tool.output_json == '{"t":  2e1}'
    assert citation.provider_json["cohere"].encode() == raw


def test_citations_belong_to_the_block_they_name():
    text = [said("one", 0), said("two", 1), cited(0, content_index=0, text="a"), cited(1, text="b")]
    first, second = parts(start(), *text, end())
    assert [citation.cited_text for citation in first.text.citations] == ["a"]
    assert [citation.cited_text for citation in second.text.citations] == ["b"], "without an index: the last text"


@pytest.mark.parametrize(
    "citation",
    [
        {"type": "PLAN", "text": "x"},
        {"type": "THINKING_CONTENT", "content_index": 0},
        {"type": ["TEXT_CONTENT"]},
        {"type": {}},
        {"content_index": 9},
    ],
    ids=str,
)
def test_citations_of_other_parts_are_kept_as_parts(citation):
    *_, kept = parts(start(), said("hm", 0, "thinking"), said("text", 1), cited(0, **citation), end())
    assert (kept.native.provider, kept.native.native_type) == ("cohere", "citation")
    assert json.loads(kept.native.native_json) == citation


def test_odd_citations():
    listed = event("citation-start", {"citations": [{"text": "a"}, 5]}, index=0)
    sources = [{"type": "tool", "id": 5}, {"type": "document", "document": 5}, {"type": "moon"}, 5]
    odd = cited(1, start=-1, end=2**40, sources=sources) + cited(2, sources=5)
    none = event("citation-start", {}, index=3)
    first, *_ = parts(start(), said("x"), listed, odd, none, end())
    assert [citation.cited_text for citation in first.text.citations] == ["a", "", "", ""]
    kinds_ = [source.WhichOneof("source") for source in first.text.citations[2].sources]
    assert kinds_ == ["tool", "document", None]
    assert not first.text.citations[2].HasField("start")


# -- the end


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("COMPLETE", Finish.FINISH_REASON_STOP),
        ("STOP_SEQUENCE", Finish.FINISH_REASON_STOP_SEQUENCE),
        ("MAX_TOKENS", Finish.FINISH_REASON_MAX_OUTPUT_TOKENS),
        ("TOOL_CALL", Finish.FINISH_REASON_TOOL_CALLS),
        ("TIMEOUT", Finish.FINISH_REASON_OVERLOADED),
        ("NEXT_YEAR", Finish.FINISH_REASON_OTHER),
    ],
)
def test_finish_reasons(word, reason):
    finished = fold(start(), said("x"), end(word)).response().candidates[0].end
    assert (finished.reason, finished.native_reason) == (reason, word)


def test_usage_is_what_is_billed():
    usage = fold(RAG).usage
    assert usage == usage_pb2.Usage(
        input_tokens=39, output_tokens=27, cache_read_input_tokens=16, source=usage_pb2.Usage.SOURCE_PROVIDER,
        native_json=json.dumps(USAGE, separators=(",", ":")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("native", "wanted"),
    [
        ({}, {}),
        ({"billed_units": 5, "tokens": None}, {}),
        ({"tokens": {"input_tokens": 5, "output_tokens": 0}}, {"input_tokens": 5, "output_tokens": 0}),
        ({"billed_units": {"input_tokens": 1.5, "output_tokens": -1}}, {}),
        ({"billed_units": {"input_tokens": 5}, "cached_tokens": 448}, {"input_tokens": 5}),
        ({"cached_tokens": 1}, {}),
        ({"billed_units": {"search_units": 1, "images": 0.5, "x": True, "y": -1, "z": "a"}},
         {"billed_units": {"search_units": 1.0, "images": 0.5}}),
    ],
)  # fmt: skip
def test_usage_that_is_not_a_count_stays_unknown(native, wanted):
    usage = fold(start(), said("x"), end(usage=native)).usage
    assert usage == usage_pb2.Usage(
        source=usage_pb2.Usage.SOURCE_PROVIDER, native_json=json.dumps(native, separators=(",", ":")), **wanted
    )


def test_no_usage_is_none():
    assert fold(start(), said("x"), end(usage=None)).usage is None


def test_what_comes_after_the_end_is_not_read():
    stream = ChatStream()
    stream.feed(start() + said("x") + end())
    assert stream.done
    assert stream.feed(said("y") + b"data: [DONE]\n\n") == []
    assert stream.close() == []


def test_warnings_and_limits_follow_the_start():
    warning = response_pb2.Warning(path="params.min_p")
    limits = [error_pb2.RateLimit(name="requests", limit=20)]
    found = events(RAG, warnings=[warning], rate_limits=limits)
    assert found[0].start.rate_limits[0].limit == 20
    assert found[1].warning.path == "params.min_p"
