"""Answers of the Responses API: text and what stands beside it, the beginning, the ends."""

import json

import pytest
from responses_wire import (
    Finish,
    added,
    answer,
    at,
    created,
    done,
    ended,
    event,
    events,
    failed,
    fold,
    parts,
    read,
    said,
    sse,
    stream,
    told,
    warned,
)

from antiphon.llm.v1 import response_pb2, usage_pb2
from antiphon_contract.errors import reason_name

HELLO = (created(), said("Hel"), said("lo"), ended())
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {
        "cached_tokens": 5,
        "cache_write_tokens": 7,
        "cache_write_tokens_details": {"ttl_30m_tokens": 3, "ttl_12h_tokens": 4},
    },
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 6},
    "total_tokens": 29,
}


def kinds(found):
    return [one.WhichOneof("kind") for one in found]


def test_the_beginning_and_the_end():
    found = read(created(service_tier="flex"), *HELLO[1:], request_id="req_1", model="asked")
    assert kinds(found) == ["start", "part_start", "text_delta", "text_delta", "part_end", "candidate_end"] or kinds(
        found
    ) == ["start", "part_start", "text_delta", "part_end", "candidate_end"]
    start = found[0].start
    assert (start.provider_response_id, start.model, start.service_tier) == ("resp_1", "gpt-6", "flex")
    assert (start.provider_request_id, start.create_time.seconds) == ("req_1", 1741569952)
    end = found[-1].candidate_end
    assert (end.reason, end.native_reason, end.native_json) == (Finish.FINISH_REASON_STOP, "completed", "")


def test_texts_of_one_read_are_one_delta():
    found = read(created(), *(said(f"t{n} ", sequence_number=n, obfuscation="x" * n) for n in range(9)), ended())
    # The first is learned from; the rest goes the short way.
    assert [one.text_delta for one in found if one.text_delta] == ["t0 ", "".join(f"t{n} " for n in range(1, 9))]


def test_the_short_way_is_that_of_the_open_text():
    sent = [said("a"), said("b"), said("c", 1), said("d", 1), said("e", 1), said("f"), said("g")]
    one, two = parts(created(), *sent, ended())
    assert (one.text.text, two.text.text) == ("abfg", "cde")


@pytest.mark.parametrize("text", ['say "hi"\\', "\u00e9\U0001f600", "\n\t\0", ""])
def test_any_text_goes_the_short_way_too(text):
    sent = sse(created(), said("a"), said(text), said("b"), ended())
    for cut in range(1, len(sent), 7):
        found = events(sent, cut)
        assert "".join(one.text_delta for one in found) == f"a{text}b"


def test_halves_of_a_character_are_joined_across_deltas():
    assert parts(created(), said("a\ud83d"), said("\ude00b"), ended())[0].text.text == "a\U0001f600b"
    found = read(created(), said("a"), said("b\ud83d"), said("c"), said("\ud83d"), ended())
    assert "".join(one.text_delta for one in found) == "ab\ufffdc\ufffd"
    assert warned(found) == ["half of a surrogate pair became U+FFFD"] * 2


def test_broken_bytes_are_replaced_with_a_warning():
    data = sse(*HELLO).replace(b"Hel", b"H\xffl")
    found = events(data)
    assert "".join(one.text_delta for one in found) == "H\ufffdllo"
    assert warned(found) == ["bytes that are no UTF-8 became U+FFFD"]


def test_a_server_without_indices_is_read_by_ids():
    """As llama.cpp sends it (2026-11)."""
    sent = (
        event("created", response={"id": "r", "object": "response", "status": "in_progress"}),
        {"type": "response.output_item.added", "item": {"id": "m", "type": "message", "content": []}},
        {"type": "response.content_part.added", "item_id": "m", "part": {"type": "output_text", "text": ""}},
        {"type": "response.output_text.delta", "item_id": "m", "delta": "He"},
        {"type": "response.output_text.delta", "item_id": "m", "delta": "llo"},
        {"type": "response.output_text.done", "item_id": "m", "text": "Hello"},
        {
            "type": "response.output_item.done",
            "item": {"id": "m", "type": "message", "content": [{"type": "output_text", "text": "Hello"}]},
        },
        ended(output=[{"id": "m", "type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]),
    )
    [part] = parts(*sent)
    assert (part.text.text, part.id) == ("Hello", "m")


@pytest.mark.parametrize("named", [True, False])
def test_event_names_or_types_alone_will_do(named):
    folded = [one for one in events(sse(*HELLO, named=named)) if one.text_delta]
    assert "".join(one.text_delta for one in folded) == "Hello"
    nameless = {name: value for name, value in said("x").items() if name != "type"}
    data = sse(created()) + b"event: response.output_text.delta\n" + sse(nameless) + sse(ended())
    assert "".join(one.text_delta for one in events(data)) == "x"


def test_what_no_delta_said_is_taken_from_where_it_is_repeated():
    block = {"type": "output_text", "text": "whole", "annotations": []}
    refusal = {"type": "refusal", "refusal": "no"}
    whole = {"content": [block, refusal], "phase": "final_answer"}
    for sent in (
        [done(0, "message", **whole)],
        [added(0, "message"), done(0, "message", **whole)],
        [ended(output=[{"id": "i0", "type": "message", **whole}])],
        [at("content_part.done", 0, content_index=0, part=block), done(0, "message", **whole)],
    ):
        text, no = parts(created(), *sent, *([] if sent[-1]["type"].endswith("completed") else [ended()]))
        assert (text.text.text, no.refusal.text) == ("whole", "no")
        assert no.phase == "final_answer"


def test_what_was_said_is_not_said_again():
    block = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    item = {"id": "i0", "type": "message", "role": "assistant", "status": "completed", "content": [block]}
    found = read(
        created(),
        added(0, "message", role="assistant", phase="commentary", content=[]),
        at("content_part.added", 0, content_index=0, part={**block, "text": ""}),
        said("Hello"),
        at("output_text.done", 0, content_index=0, text="Hello", logprobs=[]),
        at("content_part.done", 0, content_index=0, part=block),
        event("output_item.done", output_index=0, item=item),
        event("output_item.done", output_index=0, item={**item, "late": 1}),
        ended(output=[item, "no item"]),
    )
    assert "".join(one.text_delta for one in found) == "Hello"
    assert found[1].part_start.part.phase == "commentary"
    # An item that ended twice is no part of the answer, but it was said.
    assert [name for name, _ in told(found)] == ["response.output_item.done"]


def test_a_part_that_stays_empty_is_a_part():
    sent = (created(), added(0, "message"), said(""), added(1, "function_call", call_id="c", name="f"), ended())
    text, call = parts(*sent)
    assert (text.text.text, call.tool_call.id) == ("", "c")


def test_citations_of_every_kind():
    annotations = [
        {"type": "url_citation", "url": "https://x.test/", "title": "X", "start_index": 0, "end_index": 3},
        {"type": "file_citation", "file_id": "file_1", "filename": "a.pdf", "index": 4},
        {"type": "file_path", "file_id": "file_2", "index": 0},
        {"type": "container_file_citation", "container_id": "c", "file_id": "cf", "filename": "b", "start_index": 1},
        {"type": "of_next_year", "start_index": -1},
    ]
    citing = [at("output_text.annotation.added", 0, content_index=0, annotation=one) for one in annotations[:2]]
    block = {"type": "output_text", "text": "Hello", "annotations": [*annotations[:2], 7, *annotations[2:]]}
    [part] = parts(created(), said("Hello"), *citing, done(0, "message", content=[block]), ended())
    url, file, path, container, other = part.text.citations
    assert (url.start, url.end, url.sources[0].uri.uri, url.sources[0].title) == (0, 3, "https://x.test/", "X")
    assert (file.start, file.end, file.sources[0].file.file_id) == (4, 4, "file_1")
    assert (file.sources[0].file.provider, file.sources[0].file.state_domain) == ("openai", "acc")
    assert (path.sources[0].file.file_id, path.HasField("start")) == ("file_2", False)
    assert (container.start, list(container.sources)) == (1, [])
    assert [json.loads(one.provider_json["openai/responses"]) for one in part.text.citations] == annotations
    assert not other.HasField("start")


def test_logprobs():
    token = {"token": "He", "logprob": -0.5, "top_logprobs": [{"token": "Ho", "logprob": -1.5}]}
    delta = {**said("He"), "logprobs": [token]}
    last = {**said("llo"), "logprobs": [{"token": "llo", "logprob": -0.25, "bytes": [108, 108, 111]}]}
    found = read(created(), delta, delta, last, ended())
    tokens = [token for one in found for token in one.logprobs]
    assert [token.logprob for token in tokens] == [-0.5, -0.5, -0.25]
    assert tokens[0].top[0].token == "Ho"
    assert tokens[2].raw_bytes == b"llo"
    strange = {**said("x"), "logprobs": [{"token": "x", "strange": 1}]}
    assert [name for name, _ in told(read(created(), strange, ended()))] == ["response.output_text.delta"]


def test_bytes_of_tokens_that_only_the_end_tells_are_told():
    block = {"type": "output_text", "text": "a", "logprobs": [{"token": "a", "logprob": -1.0, "bytes": [97]}]}
    delta = {**said("a"), "logprobs": [{"token": "a", "logprob": -1.0}]}
    late = done(0, "message", content=[block])
    assert [name for name, _ in told(read(created(), delta, late, ended()))] == ["response.output_item.done"]
    early = {**said("a"), "logprobs": block["logprobs"]}
    assert told(read(created(), early, late, ended())) == []
    assert [token.raw_bytes for one in read(created(), late, ended()) for token in one.logprobs] == [b"a"]


def test_usage():
    folded = fold(*HELLO[:-1], ended(usage=USAGE, tool_usage={"web_search": {"num_requests": 2}}))
    usage = folded.usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (20, 9, 6)
    assert (usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (5, 7)
    assert dict(usage.cache_write_by_ttl) == {"30m": 3, "12h": 4}
    assert dict(usage.provider_tool_calls) == {"web_search": 2}
    assert usage.source == usage_pb2.Usage.SOURCE_PROVIDER
    assert json.loads(usage.native_json) == USAGE
    bare = fold(*HELLO[:-1], ended(usage={"input_tokens": -1, "output_tokens": 3.0}, tool_usage=[])).usage
    assert (bare.HasField("input_tokens"), bare.output_tokens) == (False, 3)
    assert fold(*HELLO[:-1], ended(usage=None)).usage is None


@pytest.mark.parametrize(
    ("kind", "details", "reason", "word"),
    [
        ("completed", None, Finish.FINISH_REASON_STOP, "completed"),
        ("incomplete", {"reason": "max_output_tokens"}, Finish.FINISH_REASON_MAX_OUTPUT_TOKENS, "max_output_tokens"),
        ("incomplete", {"reason": "content_filter"}, Finish.FINISH_REASON_CONTENT_FILTER, "content_filter"),
        ("incomplete", {"reason": "steered", "more": 1}, Finish.FINISH_REASON_OTHER, "steered"),
        ("incomplete", None, Finish.FINISH_REASON_OTHER, "incomplete"),
    ],
)
def test_how_it_ends(kind, details, reason, word):
    end = answer(*HELLO[:-1], ended(kind, incomplete_details=details)).end
    assert (end.reason, end.native_reason) == (reason, word)
    assert json.loads(end.native_json or "null") == details


def test_a_refusal():
    sent = (created(), at("refusal.delta", 0, content_index=0, delta="I can"), at("refusal.delta", 0, delta="not"))
    candidate = answer(*sent, ended())
    assert candidate.message.parts[0].refusal.text == "I cannot"
    assert candidate.end.reason == Finish.FINISH_REASON_REFUSAL


def test_what_the_whole_answer_tells_beside_is_told_once():
    first = created(store=False, metadata={"a": "b"}, brand_new={"x": 1}, tools=[{"type": "t"}], instructions="long")
    [(name, data)] = told(
        read(first, said("x"), {**ended(metadata={"a": "c"}, truncation="auto", user=None), "timings": {"ms": 1}})
    )
    assert name == "response.completed"
    assert data == {
        "type": "response.completed",
        "timings": {"ms": 1},
        "response": {"brand_new": {"x": 1}, "metadata": {"a": "c"}, "truncation": "auto"},
    }
    assert told(read(created(store=False), said("x"), ended())) == []


def test_what_the_vendor_took_out_of_the_input_is_warned_of():
    removed = [{"type": "reasoning", "id": "rs_1", "action": "removed", "reason": "organization_mismatch"}]
    later = [*removed, 7, {"type": "reasoning", "id": "rs_2", "reason": "turn_boundary"}]
    found = read(created(input_transformations=removed), said("x"), ended(input_transformations=later))
    warnings = [one.warning for one in found if one.HasField("warning")]
    assert {one.kind for one in warnings} == {response_pb2.Warning.KIND_INPUT_TRANSFORMED}
    assert [one.message.rpartition(": ")[2] for one in warnings] == ["organization_mismatch", "turn_boundary"]
    assert json.loads(warnings[0].native_json) == removed[0]


def test_events_without_a_meaning_go_out_as_they_came_and_wait_for_content():
    strange = event("of_next_year", a=1)
    found = read(created(), strange, said("x"), {"type": "ping"}, {**said("y"), "fresh": 2}, ended())
    assert kinds(found)[:4] == ["start", "part_start", "text_delta", "native_event"]
    assert told(found) == [
        ("response.of_next_year", strange),
        ("response.output_text.delta", {**said("y"), "fresh": 2}),
    ]
    silent = read(created(), strange, ended())
    assert kinds(silent) == ["start", "candidate_end", "native_event"]


@pytest.mark.parametrize(
    "sent",
    [
        event("in_progress", response={}, fresh=1),
        added(0, "message", fresh=1),
        at("content_part.added", 0, part={"type": "output_text", "fresh": 1}),
        at("content_part.done", 0, part={"type": "output_text", "text": "x", "fresh": 1}),
        at("content_part.done", 0, part={"type": "of_next_year"}),
        at("content_part.done", 9, part={"type": "reasoning_text", "fresh": 1}),
        at("output_text.delta", 0, delta=7),
        at("refusal.delta", 0, delta=7),
        at("output_text.done", 0, logprobs=[7]),
        at("output_text.annotation.added", 0, annotation={"type": "x"}, fresh=1),
        done(0, "message", content=[7]),
        done(0, "message", content=7, fresh=1),
        done(0, "message", content=[{"type": "of_next_year"}]),
    ],
)
def test_news_are_told(sent):
    found = read(created(), added(0, "message"), sent, ended())
    assert told(found) == [(sent["type"], sent)]
    item = {"id": "late", "type": "message", "content": [], "fresh": 1}
    assert told(read(created(), ended(output=[item]))) == [("response.output_item.done", {"item": item})]


def test_native_bytes_are_attached():
    last = ended(brand_new=1, output=[{"type": "message", "fresh": 1}])
    sent = [created(brand_new=1), said("a"), said("b"), event("of_next_year"), last]
    found = read(*sent, native=True)
    attached = [json.loads(one.native) for one in found if one.native]
    beside = [data for _, data in told(found)]
    assert sorted(one["type"] for one in (*attached, *beside)) == sorted(one["type"] for one in sent)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"data: <html>\n\n", "bad_json"),
        (b"data: [1]\n\n", "bad_event"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "bad_json"),
        (b'data: {"a":' + b"[" * 600 + b"]" * 600 + b',"b":"\\ud83d"}\n\n', "bad_json"),
        (sse(event("created", response=7)), "bad_event"),
        (sse(created(), added(0, "function_call", call_id="c", name="f"), said("x")), "bad_event"),
        (sse(created(), said("x")) + b"data: [DONE]\n\n", "done_without_finish_reason"),
        (sse(created(), said("x")), "eof_without_finish_reason"),
        (sse(created(), said("x")) + b"data: {", "eof_without_finish_reason"),
        (b"data: {", "bad_json"),
        (b"", "eof_without_finish_reason"),
    ],
)
def test_what_is_no_answer(data, code):
    _, error = failed(data=data)
    assert (error.native_code, error.provider) == (code, "openai")


def test_nothing_is_read_after_the_end():
    decoder = stream()
    decoder.feed(sse(*HELLO))
    assert decoder.done
    assert decoder.finished
    assert decoder.feed(b"data: <html>\n\ndata: [DONE]\n\n") == []
    decoder.check()
    assert decoder.close() == []


def test_a_last_event_without_a_blank_line_counts():
    data = sse(*HELLO)
    assert kinds(events(data[:-2]))[-1] == "candidate_end"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"type": "error", "code": "server_is_overloaded", "message": "busy", "param": None}, "PROVIDER_OVERLOADED"),
        ({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "slow"}}, "RATE_LIMITED"),
        ({"error": {"message": "oops"}}, "PROVIDER_ERROR"),
        (event("failed", response={"error": {"code": "server_error", "message": "x"}}), "PROVIDER_ERROR"),
        (event("failed", response={"error": {"code": "rate_limit_exceeded", "message": "x"}}), "RATE_LIMITED"),
        (event("failed", response={"error": {"code": "invalid_prompt", "message": "x"}}), "CONTENT_BLOCKED"),
        (event("failed", response={"error": {"code": "bio_policy", "message": "x"}}), "CONTENT_BLOCKED"),
        (event("failed", response={"error": {"code": "invalid_image_url", "message": "x"}}), "INVALID_REQUEST"),
        (event("failed", response={}), "PROVIDER_ERROR"),
    ],
)
def test_the_vendor_fails(sent, reason):
    for before in ((), (created(), said("x"))):
        found, error = failed(*before, sent)
        assert reason_name(error.reason) == reason
        assert "".join(one.text_delta for one in found) == ("x" if before else "")
        assert bool(error.native_body) is (reason in ("CONTENT_BLOCKED", "INVALID_REQUEST"))


def test_a_failure_brings_its_usage_and_no_key():
    blocked = {"code": "invalid_prompt", "message": "sk-proj-0123456789abcdef is no prompt"}
    found, error = failed(created(), said("x"), event("failed", response={"usage": USAGE, "error": blocked}))
    assert found[-1].usage.output_tokens == 9
    assert b"0123456789" not in error.native_body
    assert b"[redacted]" in error.native_body
