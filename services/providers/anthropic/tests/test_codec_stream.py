"""From the vendor's bytes to events: blocks, deltas, stops, usage, and every way to cut the bytes."""

import json

import pytest
from anthropic_reading import answer, events, fold, kinds, merged, natives, parts
from anthropic_speech import (
    CITATION,
    MESSAGE,
    NOTHING,
    RECORDED,
    SEARCH,
    USAGE,
    begin,
    called,
    delta,
    end,
    event,
    said,
    start,
    stop,
)

from antiphon.llm.v1 import chat_pb2, content_pb2, error_pb2, response_pb2
from antiphon_contract.errors import CallFailure
from antiphon_provider_anthropic.codec import Facts, MessageStream, Sources, encode_request

Finish = response_pb2.FinishReason
Call = content_pb2.ToolCall
Malformed = response_pb2.Warning.KIND_UPSTREAM_MALFORMED


# -- a recorded answer


def test_an_answer_with_everything():
    thinking, search, found, redacted, text, tool, empty = parts(RECORDED, state_domain="acc")
    assert thinking.reasoning.text == "Let me see. ü😀"
    assert thinking.reasoning.visibility == content_pb2.ReasoningPart.VISIBILITY_SUMMARY
    [state] = thinking.opaque
    assert (state.issuer, state.kind, state.data, state.state_domain, state.model) == (
        "anthropic", "thinking.signature", b"EqQBCgIYAhIM1gbcDa9GJwZA2b3h", "acc", "claude-opus-5-5",
    )  # fmt: skip
    assert (search.tool_call.kind, search.tool_call.capability) == (Call.KIND_PROVIDER, "web_search")
    assert (search.tool_call.id, search.tool_call.input) == ("srvtoolu_1", '{"query": "grün"}')
    assert json.loads(search.provider_json["anthropic"]) == {"type": "server_tool_use"}
    assert (found.native.provider, found.native.native_type) == ("anthropic", "web_search_tool_result")
    assert json.loads(found.native.native_json) == SEARCH
    assert redacted.reasoning.visibility == content_pb2.ReasoningPart.VISIBILITY_REDACTED
    assert [(one.kind, one.data) for one in redacted.opaque] == [("redacted_thinking.data", b"EmwKAhgBEgy3va3pzix")]
    assert text.text.text == 'It is "green".\n\n漢'
    assert json.loads(text.text.citations[0].provider_json["anthropic"]) == CITATION
    assert tool.tool_call.input == '{"city": "Zürich", "n": 9007199254740993}'
    assert (empty.tool_call.input, empty.tool_call.input_state) == ("{}", Call.INPUT_STATE_COMPLETE)
    assert {one.tool_call.input_state for one in (search, tool)} == {Call.INPUT_STATE_COMPLETE}


def test_start_usage_and_end():
    made = events(RECORDED, request_id="req_1", warnings=[response_pb2.Warning(path="x")])
    assert kinds(made)[:3] == ["start", "warning", "usage"]
    opened = made[0].start
    assert (opened.model, opened.provider_response_id, opened.provider_request_id) == (
        "claude-opus-5-5", "msg_1", "req_1",
    )  # fmt: skip
    told = [one.usage for one in made if one.HasField("usage")]
    assert [(one.input_tokens, one.output_tokens) for one in told] == [(123, 1), (123, 88)]
    last = made[-1].candidate_end
    assert (last.reason, last.native_reason) == (Finish.FINISH_REASON_TOOL_CALLS, "tool_use")
    assert natives(made) == []


def test_every_split_gives_the_same_events():
    whole = merged(events(RECORDED, state_domain="acc"))
    for place in range(1, len(RECORDED)):
        assert merged(events(RECORDED[:place], RECORDED[place:], state_domain="acc")) == whole, place
    assert merged(events(*(bytes([byte]) for byte in RECORDED), state_domain="acc")) == whole
    apart = RECORDED.split(b"\n\n")[:-1]
    assert merged(events(*(one + b"\n\n" for one in apart), state_domain="acc")) == whole


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"])
def test_other_line_ends_give_the_same_events(ends):
    whole = RECORDED.replace(b"\n", ends)
    assert merged(events(whole)) == merged(events(RECORDED))
    assert merged(events(whole[:500], whole[500:])) == merged(events(RECORDED))


def test_the_answer_goes_back_byte_for_byte():
    request = chat_pb2.StreamGenerateRequest()
    request.prompt.messages.add(role=content_pb2.ROLE_USER).parts.add().text.text = "hi"
    turn = request.prompt.messages.add(role=content_pb2.ROLE_ASSISTANT)
    turn.parts.extend(parts(RECORDED, state_domain="acc"))
    encoded = encode_request(request, model="m", facts=Facts(), state_domain="acc")
    assert [warning.path for warning in encoded.warnings] == []
    [_, sent] = json.loads(encoded.body)["messages"]
    assert [block["type"] for block in sent["content"]] == [
        "thinking", "server_tool_use", "web_search_tool_result", "redacted_thinking", "text", "tool_use", "tool_use",
    ]  # fmt: skip
    verbatim = [
        '"thinking":"Let me see. ü😀","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"}'.encode(),
        b'{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix"}',
        json.dumps(SEARCH, separators=(",", ":")).encode(),
        b'"input":{"city": "Z\xc3\xbcrich", "n": 9007199254740993}',
        json.dumps(CITATION, separators=(",", ":")).encode(),
    ]
    assert [one for one in verbatim if one not in encoded.body] == []


# -- text and thinking


def test_nothing_binds_the_router_before_there_is_something_to_say():
    stream = MessageStream()
    made = stream.feed(begin() + start(0, type="text", text="") + event("ping") + delta(0, "text", text=""))
    assert kinds(made) == ["start", "usage"]
    assert kinds(stream.feed(delta(0, "text", text="a"))) == ["part_start", "text_delta"]


def test_texts_of_one_read_are_one_delta():
    read = b"".join(delta(0, "text", text=f"{number} ") for number in range(9))
    made = events(begin() + start(0, type="text", text="") + delta(0, "text", text="x "), read, stop(0) + end())
    assert [one.text_delta for one in made if one.text_delta] == ["x ", "0 1 2 3 4 5 6 7 8 "]


# Padding against traffic analysis, seen 2026-11 at https://api.anthropic.com.
def test_padded_events_are_read_the_short_way_too():
    padded = delta(0, "text", text="a").replace(b"}}\n", b"}}      \n")
    head = begin() + start(0, type="text", text="") + delta(0, "text", text="x")
    made = events(head, padded + delta(0, "text", text="b") + padded + b": comment\n\n" + padded, stop(0) + end())
    assert "".join(one.text_delta for one in made) == "xabaa"


HEAD = begin() + start(0, type="text", text="") + delta(0, "text", text="x")


@pytest.mark.parametrize(("plain", "tricky"), [(b'"a"}', b'"a","x":"b"}'), (b'"a"}', b'"a"},"x":1')])
def test_an_event_that_only_looks_plain_is_not_taken_for_one(plain, tricky):
    made = events(HEAD, delta(0, "text", text="a").replace(plain, tricky), stop(0) + end())
    assert "".join(one.text_delta for one in made) == "xa"
    assert [name for name, _ in natives(made)] == ["content_block_delta"]


def test_two_values_are_not_taken_for_one():
    stream = MessageStream()
    stream.feed(HEAD)
    assert stream.feed(delta(0, "text", text="b").replace(b'"b"', b'"b","c"')) == []
    with pytest.raises(CallFailure):
        stream.check()


@pytest.mark.parametrize(
    ("plain", "written"),
    [
        (b'"text":', b'"te\\u0078t":'),
        (b'"delta":{', b'"delta":{"text":"no",'),
        (b'"type":"content_block_delta"', b'"none":null'),
    ],
)
def test_odd_ways_to_write_a_delta(plain, written):
    odd = [delta(0, "text", text=one).replace(plain, written) for one in ("a", "b", "c")]
    made = events(begin() + start(0, type="text", text="") + odd[0], odd[1] + odd[2] + stop(0) + end())
    assert "".join(one.text_delta for one in made) == "abc"


def test_the_place_of_the_text_is_proven():
    odd = [delta(0, "text", text="a").replace(b'"delta":{', b'"delta":{"text":"%d",' % number) for number in range(3)]
    made = events(begin() + start(0, type="text", text="") + odd[0], odd[1] + odd[2] + stop(0) + end())
    assert "".join(one.text_delta for one in made) == "aaa"


def test_an_empty_text_is_a_part():
    assert [part.WhichOneof("kind") for part in parts(begin() + said(0) + called(1) + end())] == ["text", "tool_call"]


def test_parts_keep_the_order_of_their_blocks():
    blocks = start(0, type="text", text="") + called(1) + delta(0, "text", text="late") + stop(0)
    assert [part.WhichOneof("kind") for part in parts(begin() + blocks + end())] == ["text", "tool_call"]


def test_a_block_that_is_announced_with_its_content():
    found = parts(
        begin()
        + start(0, type="thinking", thinking="hm", signature="sig")
        + stop(0)
        + start(1, type="text", text="a", citations=[CITATION, 5], phase="x", none=None)
        + delta(1, "text", text="b")
        + stop(1)
        + end()
    )
    assert (found[0].reasoning.text, found[0].opaque[0].data) == ("hm", b"sig")
    assert found[1].text.text == "ab"
    assert len(found[1].text.citations) == 1
    assert json.loads(found[1].provider_json["anthropic"]) == {"phase": "x"}


def test_omitted_thinking_is_its_signature():
    block = start(0, type="thinking", thinking="", signature="") + delta(0, "signature", signature="sig") + stop(0)
    [part] = parts(begin() + block + end())
    assert part.reasoning.visibility == content_pb2.ReasoningPart.VISIBILITY_REDACTED
    assert (part.reasoning.text, part.opaque[0].data) == ("", b"sig")
    assert not parts(begin() + start(0, type="thinking", thinking="") + stop(0) + end())[0].opaque


def test_usage_that_tells_nothing_new_is_no_event():
    silent = event("message_delta", delta={"stop_reason": None}, usage=USAGE)
    assert kinds(events(begin() + silent + said(0, "a") + end()))[:3] == ["start", "usage", "part_start"]


def test_thinking_and_text_by_turns():
    thought = start(0, type="thinking", thinking="") + delta(0, "thinking", thinking="a")
    more = delta(0, "thinking", thinking="b") + delta(0, "thinking", thinking="c") + stop(0)
    made = events(begin() + thought, more + said(1, "d", "e") + said(2, "f") + end())
    assert [one.reasoning_delta for one in made if one.reasoning_delta] == ["a", "bc"]
    texts = [(one.part_index, one.text_delta) for one in made if one.text_delta]
    assert texts == [(1, "d"), (1, "e"), (2, "f")]


def test_halves_of_a_character():
    half = [{"text": "a\ud83d"}, {"text": "\ude00b"}, {"text": "\ud83d"}]
    text = start(0, type="text", text="") + b"".join(delta(0, "text", **one) for one in half) + stop(0)
    made = events(begin() + text + end())
    assert "".join(one.text_delta for one in made) == "a😀b\ufffd"
    assert [one.warning.kind for one in made if one.HasField("warning")] == [Malformed]


def test_bytes_that_are_no_utf_8():
    stream = MessageStream()
    assert kinds(stream.feed(begin().replace(b"msg_1", b"msg_\xff"))) == ["start", "usage"]
    made = stream.feed(start(0, type="text", text="") + delta(0, "text", text="a?b").replace(b"?", b"\xff"))
    assert "".join(one.text_delta for one in made) == "a\ufffdb"
    assert [one.warning.kind for one in made if one.HasField("warning")] == [Malformed, Malformed]


def test_the_short_way_is_not_learned_for_ever():
    many = b"".join(said(index, "a", "b") for index in range(80))
    assert "".join(part.text.text for part in parts(begin() + many + end())) == "ab" * 80


# -- other blocks


def test_blocks_without_a_word_here_are_kept_verbatim():
    block = {"type": "fallback", "from": {"model": "a"}, "n": 1}
    made = events(begin() + start(0, **block) + delta(0, "new", x=1) + stop(0) + end())
    [part] = fold(made).response().candidates[0].message.parts
    assert part.native.native_type == "fallback"
    assert part.native.native_json == '{"type":"fallback","from":{"model":"a"},"n":1}'
    assert natives(made) == [
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "x": 1}})
    ]


def test_redacted_thinking_with_more():
    [part] = parts(begin() + start(0, type="redacted_thinking", data="d", x=1) + stop(0) + end())
    assert part.provider_json["anthropic"] == '{"x":1}'


def test_a_compaction_is_told_when_it_is_complete():
    block = start(0, type="compaction", content=None, tool_changes=[])
    deltas = delta(0, "compaction", content="sum", encrypted_content="enc") + delta(0, "signature", signature="sig")
    made = events(begin() + block + deltas + delta(0, "new", x=1) + stop(0) + end("compaction"))
    [candidate] = fold(made).response().candidates
    [part] = candidate.message.parts
    assert part.compaction.summary == "sum"
    assert [(one.kind, one.data) for one in part.opaque] == [
        ("compaction.encrypted_content", b"enc"), ("compaction.signature", b"sig"),
    ]  # fmt: skip
    assert part.provider_json["anthropic"] == '{"tool_changes":[]}'
    assert candidate.end.reason == Finish.FINISH_REASON_COMPACTION
    assert len(natives(made)) == 1
    failed = parts(begin() + start(0, type="compaction") + called(1) + stop(0) + end("compaction"))
    assert [one.WhichOneof("kind") for one in failed] == ["tool_call", "compaction"]


# -- what is told beside


def test_unknown_members_and_events_are_kept():
    container = {"id": "c1", "expires_at": "2026-11-25T00:00:00Z"}
    made = events(
        begin(container=container, diagnostics=None),
        event("new_event", x=1),
        said(0, "a").replace(b'"index":0}', b'"index":0,"y":null}'),
        b'data: {"type":"nameless"}\n\n',
        end(),
    )
    told = natives(made)
    assert [name for name, _ in told] == ["message_start", "new_event", "content_block_stop", "nameless"]
    assert told[0][1]["message"]["container"] == container
    # They wait for content, so that they do not bind the router.
    assert kinds(made).index("part_start") < kinds(made).index("native_event")


def test_native_mode_attaches_every_event():
    made = events(begin() + said(0, "a", "b") + event("ping") + end(), native=True)
    attached = [json.loads(one.native)["type"] for one in made if one.native]
    deltas = ["content_block_delta"] * 2
    assert attached == ["message_start", *deltas, "content_block_stop", "message_delta", "message_stop"]
    assert [payload["type"] for _, payload in natives(made)] == ["content_block_start", "ping"]
    unknown = events(begin() + event("new", x=1) + said(0, "a") + end(), native=True)
    assert [payload["type"] for _, payload in natives(unknown)] == ["new", "content_block_start"]


# -- stops, https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons (2026-11)


@pytest.mark.parametrize(
    ("word", "reason"),
    [("end_turn", "STOP"), ("stop_sequence", "STOP_SEQUENCE"), ("max_tokens", "MAX_OUTPUT_TOKENS"),
     ("model_context_window_exceeded", "CONTEXT_WINDOW"), ("tool_use", "TOOL_CALLS"), ("refusal", "REFUSAL"),
     ("pause_turn", "PAUSE"), ("compaction", "COMPACTION"), ("next_years", "OTHER")],
)  # fmt: skip
def test_reasons_to_stop(word, reason):
    last = answer(begin() + said(0, "a") + end(word)).end
    assert (last.reason, last.native_reason) == (Finish.Value(f"FINISH_REASON_{reason}"), word)
    assert last.native_json == ""


def test_what_was_told_once_of_the_stop_holds():
    later = event("message_delta", delta=NOTHING, usage={"output_tokens": 10}) + event("message_stop")
    last = answer(begin() + end("stop_sequence", stop_sequence="END").partition(b"event: message_stop")[0] + later).end
    assert (last.native_reason, last.matched_stop) == ("stop_sequence", "END")


def test_which_text_stopped_it_and_why_it_refused():
    assert answer(begin() + end("stop_sequence", stop_sequence="END")).end.matched_stop == "END"
    details = {"type": "refusal", "category": "bio", "explanation": None}
    last = answer(begin() + end("refusal", stop_details=details, container=None)).end
    assert json.loads(last.native_json)["stop_details"] == details


def test_what_comes_after_the_last_word_is_no_more_read():
    made = events(begin() + said(0, "a") + end(), said(1, "b") + b"garbage\n\ndata: {\n\n")
    assert "".join(one.text_delta for one in made) == "a"
    late = events(HEAD + end(), delta(0, "text", text="b"))
    assert "".join(one.text_delta for one in late) == "x"


def test_a_second_beginning_only_tells_usage():
    again = event("message_start", message={**MESSAGE, **NOTHING, "id": "msg_2", "usage": {"input_tokens": 8}})
    folded = fold(events(begin() + again + said(0, "a") + end()))
    assert (folded.start.provider_response_id, folded.usage.input_tokens) == ("msg_1", 8)


def test_an_index_that_is_announced_again_is_another_block():
    found = parts(begin() + start(0, type="text", text="a") + said(0, "b") + stop(7) + end())
    assert [part.text.text for part in found] == ["a", "b"]


def test_an_answer_that_begins_without_a_beginning():
    assert fold(events(said(0, "a") + end(), model="m")).start.model == ""
    assert fold(events(end())).start.model == ""


def test_service_tier_and_limits():
    limits = [error_pb2.RateLimit(name="requests", remaining=3)]
    made = events(begin(usage={**USAGE, "service_tier": "priority"}) + end(), rate_limits=limits)
    assert made[0].start.service_tier == "priority"
    assert made[0].start.rate_limits[0].remaining == 3
    silent = event("message_delta", delta={"stop_reason": "end_turn"}) + event("message_stop")
    assert kinds(events(begin(usage=None) + silent)) == ["start", "candidate_end"]


def test_citations_name_the_clients_documents():
    text = start(0, type="text", text="") + delta(0, "citations", citation=CITATION) + stop(0)
    [part] = parts(begin() + text + end(), sources=Sources(documents=("a", "b")))
    [source] = part.text.citations[0].sources
    assert (source.title, source.document.document_id, source.document.document_index) == ("Farben", "b", 1)
    strange = start(0, type="text", text="") + delta(0, "citations", citation=5) + stop(0)
    assert len(natives(events(begin() + strange + end()))) == 1
