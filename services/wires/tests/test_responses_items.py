"""Items of answers of the Responses API: calls, reasoning, tools that the vendor runs, kinds without a word."""

import json

import pytest
from responses_wire import KEY, Finish, State, Visibility, added, answer, at, created, done, ended, parts, read, told

from antiphon.llm.v1 import content_pb2

Kind = content_pb2.ToolCall


def arguments(index, text):
    return at("function_call_arguments.delta", index, delta=text)


def called(index, text="", **members):
    return added(index, "function_call", call_id=f"c{index}", name="f", arguments=text, **members)


def complete(index, text, **members):
    return done(index, "function_call", call_id=f"c{index}", name="f", arguments=text, **members)


def test_calls_that_interleave():
    sent = [created(), called(0), called(1), arguments(0, '{"a"'), arguments(1, "{}"), arguments(0, ":1}")]
    sent += [at("function_call_arguments.done", 0, arguments='{"a":1}', name="f"), complete(0, '{"a":1}')]
    candidate = answer(*sent, complete(1, "{}"), ended())
    calls = [part.tool_call for part in candidate.message.parts]
    assert [(call.id, call.name, call.input, call.kind) for call in calls] == [
        ("c0", "f", '{"a":1}', Kind.KIND_FUNCTION),
        ("c1", "f", "{}", Kind.KIND_FUNCTION),
    ]
    assert {call.input_state for call in calls} == {State.INPUT_STATE_COMPLETE}
    assert [part.id for part in candidate.message.parts] == ["i0", "i1"]
    assert candidate.end.reason == Finish.FINISH_REASON_TOOL_CALLS


@pytest.mark.parametrize(
    ("text", "status", "how", "state"),
    [
        ("{}", "completed", "completed", State.INPUT_STATE_COMPLETE),
        ("{}", "completed", "incomplete", State.INPUT_STATE_COMPLETE),
        ("", "completed", "completed", State.INPUT_STATE_COMPLETE),
        ("", "completed", "incomplete", State.INPUT_STATE_TRUNCATED),
        ("{", "completed", "completed", State.INPUT_STATE_INVALID_JSON),
        ("{", "completed", "incomplete", State.INPUT_STATE_TRUNCATED),
        ("{", "incomplete", "completed", State.INPUT_STATE_TRUNCATED),
    ],
)
def test_how_far_an_input_can_be_relied_on(text, status, how, state):
    for sent in ([called(0), complete(0, text, status=status)], [complete(0, text, status=status)]):
        [part] = parts(created(), *sent, ended(how))
        assert (part.tool_call.input, part.tool_call.input_state) == (text, state)


def test_only_the_last_call_can_have_been_cut():
    first, second = parts(created(), complete(0, "{"), complete(1, "{"), ended("incomplete"))
    assert first.tool_call.input_state == State.INPUT_STATE_INVALID_JSON
    assert second.tool_call.input_state == State.INPUT_STATE_TRUNCATED


def test_a_call_that_the_vendor_did_not_end():
    [part] = parts(created(), called(0), arguments(0, "{}"), ended("incomplete"))
    assert (part.tool_call.input, part.tool_call.input_state) == ("{}", State.INPUT_STATE_COMPLETE)


def test_halves_of_a_character_in_an_input():
    sent = [called(0), arguments(0, '"\ud83d'), arguments(0, '\ude00"'), complete(0, ""), ended()]
    [part] = parts(created(), *sent)
    assert part.tool_call.input == '"\U0001f600"'
    [part] = parts(created(), called(0), arguments(0, '"x"\ud83d'), complete(0, ""), ended())
    assert part.tool_call.input == '"x"\ufffd'
    assert part.tool_call.input_state == State.INPUT_STATE_INVALID_JSON


def test_a_custom_call():
    sent = [added(0, "custom_tool_call", call_id="c", name="sql"), at("custom_tool_call_input.delta", 0, delta="SEL")]
    sent += [at("custom_tool_call_input.delta", 0, delta="ECT"), done(0, "custom_tool_call", call_id="c", name="sql")]
    for how, state in (("completed", State.INPUT_STATE_COMPLETE), ("incomplete", State.INPUT_STATE_TRUNCATED)):
        [part] = parts(created(), *sent, ended(how))
        assert (part.tool_call.input, part.tool_call.kind) == ("SELECT", Kind.KIND_CUSTOM)
        assert part.tool_call.input_state == state


def test_what_a_call_says_beside_goes_back_with_it():
    more = {"async": True, "caller": {"type": "program", "caller_id": "p1"}, "namespace": "crm", "nothing": None}
    [part] = parts(created(), called(0), complete(0, "{}", **more), ended())
    assert (part.tool_call.caller_id, part.tool_call.tool_namespace) == ("p1", "crm")
    del more["nothing"]
    assert json.loads(part.provider_json[KEY]) == more


def test_a_call_without_id_and_name():
    found = read(created(), added(0, "function_call"), done(0, "function_call"), ended())
    assert found[1].warning.message == "a tool call came without a name"
    assert found[2].part_start.part.tool_call.id == "minted0"


def test_a_delta_for_nothing_is_told():
    delta, odd = arguments(7, "{}"), {**arguments(0, ""), "delta": 7}
    assert [data for _, data in told(read(created(), called(0), delta, odd, ended()))] == [delta, odd]


# -- reasoning


def summary(index, at_, text):
    return at("reasoning_summary_text.delta", index, summary_index=at_, delta=text)


def test_summaries_are_parts_of_one_item_and_its_state_is_on_the_last():
    block = {"type": "summary_text", "text": "one"}
    item = {"summary": [block, {"type": "summary_text", "text": "two"}], "encrypted_content": "gAAA=", "status": "x"}
    sent = [
        added(0, "reasoning", summary=[]),
        at("reasoning_summary_part.added", 0, summary_index=0, part={"type": "summary_text", "text": ""}),
        summary(0, 0, "o"),
        summary(0, 0, "ne"),
        at("reasoning_summary_text.done", 0, summary_index=0, text="one"),
        at("reasoning_summary_part.done", 0, summary_index=0, part=block, status="completed"),
        summary(0, 1, "two"),
        done(0, "reasoning", **item),
    ]
    found = read(created(), *sent, ended())
    assert told(found) == []
    one, two = parts(created(), *sent, ended())
    assert (one.reasoning.text, two.reasoning.text) == ("one", "two")
    assert one.reasoning.visibility == Visibility.VISIBILITY_SUMMARY
    assert (one.id, two.id) == ("i0", "i0")
    assert list(one.opaque) == []
    [state] = two.opaque
    assert (state.issuer, state.kind, state.data) == ("openai", "reasoning.encrypted_content", b"gAAA=")
    assert (state.state_domain, state.model) == ("acc", "gpt-6")


def test_reasoning_itself():
    sent = [at("reasoning_text.delta", 0, content_index=0, delta="hm"), done(0, "reasoning")]
    [part] = parts(created(), *sent, ended())
    assert (part.reasoning.text, part.reasoning.visibility) == ("hm", Visibility.VISIBILITY_FULL)
    assert list(part.opaque) == []


def test_reasoning_that_is_only_repeated_at_its_end():
    item = {"summary": [{"type": "summary_text", "text": "s"}], "content": [{"type": "reasoning_text", "text": "c"}]}
    one, two = parts(created(), done(0, "reasoning", **item), ended())
    assert [(part.reasoning.text, part.reasoning.visibility) for part in (one, two)] == [
        ("s", Visibility.VISIBILITY_SUMMARY),
        ("c", Visibility.VISIBILITY_FULL),
    ]


def test_reasoning_that_is_not_shown():
    [part] = parts(created(), added(0, "reasoning"), done(0, "reasoning", encrypted_content="x"), ended())
    assert part.reasoning.visibility == Visibility.VISIBILITY_REDACTED
    assert part.opaque[0].data == b"x"


def test_reasoning_that_is_not_shown_yet_begins_when_it_is_complete():
    sent = [added(0, "reasoning"), at("output_text.delta", 1, delta="x"), done(0, "reasoning", encrypted_content="x")]
    text, reasoning = parts(created(), *sent, ended())
    assert (text.text.text, reasoning.opaque[0].data) == ("x", b"x")


def test_what_is_stored_is_known_by_its_id():
    [part] = parts(created(store=True), done(0, "reasoning"), ended())
    assert [(state.kind, state.data) for state in part.opaque] == [("reasoning.id", b"i0")]


def test_reasoning_comes_before_what_follows_it():
    sent = [added(0, "reasoning"), summary(0, 0, ""), added(1, "message"), at("output_text.delta", 1, delta="x")]
    sent += [summary(0, 0, "late"), done(0, "reasoning")]
    one, two = parts(created(), *sent, ended())
    assert (one.reasoning.text, two.text.text) == ("late", "x")


def test_a_summary_that_is_complete_gets_no_more_and_what_came_is_told():
    late = summary(0, 0, "late")
    strange = {**summary(0, 1, ""), "delta": 7}
    elsewhere = summary(2, 0, "x")
    sent = [summary(0, 0, "a"), summary(0, 1, "b"), late, strange, added(2, "message"), elsewhere]
    found = read(created(), *sent, ended())
    assert [data for _, data in told(found)] == [late, strange, elsewhere]


def test_news_of_reasoning_are_told():
    fresh = done(0, "reasoning", fresh=1, summary=[{"type": "summary_text", "text": "s"}])
    deep = done(1, "reasoning", summary=[{"type": "summary_text", "text": "s", "fresh": 1}])
    assert [data for _, data in told(read(created(), fresh, deep, ended()))] == [fresh, deep]


# -- tools that the vendor runs


@pytest.mark.parametrize(
    ("kind", "name", "capability"),
    [
        ("web_search_call", "web_search", "web_search"),
        ("file_search_call", "file_search", "file_search"),
        ("code_interpreter_call", "code_interpreter", "code_execution"),
        ("image_generation_call", "image_generation", "image_generation"),
        ("mcp_call", "ask", ""),
    ],
)
def test_tools_that_the_vendor_runs(kind, name, capability):
    item = {"name": "ask", "server_label": "wiki", "status": "completed", "anything": {"z": 1, "a": [1e400]}}
    candidate = answer(created(), added(0, kind, name="ask", server_label="wiki"), done(0, kind, **item), ended())
    [part] = candidate.message.parts
    call = part.tool_call
    assert (call.id, call.name, call.capability, call.kind) == ("i0", name, capability, Kind.KIND_PROVIDER)
    assert (call.tool_namespace, call.input_state) == ("wiki", State.INPUT_STATE_COMPLETE)
    assert json.loads(part.provider_json[KEY]) == {"id": "i0", "type": kind, **item}
    assert candidate.end.reason == Finish.FINISH_REASON_STOP


def test_their_input_is_streamed_or_repeated():
    code = [added(0, "code_interpreter_call"), at("code_interpreter_call_code.delta", 0, delta="1+\ud83d")]
    code += [at("code_interpreter_call_code.delta", 0, delta="\ude001"), done(0, "code_interpreter_call", code="x")]
    call = [added(1, "mcp_call", name="n"), done(1, "mcp_call", name="n", arguments="{}")]
    cut = [added(2, "mcp_call"), *(at("mcp_call_arguments.delta", 2, delta=piece) for piece in ('{"', ""))]
    one, two, three = parts(created(), *code, *call, *cut, ended())
    assert [part.tool_call.input for part in (one, two, three)] == ["1+\U0001f6001", "{}", '{"']
    # It was not ended, so there is no item to send back.
    assert dict(three.provider_json) == {}


def test_progress_of_tools_goes_out_as_it_came():
    searching = at("web_search_call.searching", 0)
    found = read(created(), added(0, "web_search_call"), searching, ended())
    assert told(found) == [("response.web_search_call.searching", searching)]


@pytest.mark.parametrize(
    ("kind", "members", "waits"),
    [
        ("computer_call", {}, True),
        ("local_shell_call", {}, True),
        ("apply_patch_call", {}, True),
        ("mcp_approval_request", {}, True),
        ("shell_call", {"environment": {"type": "local"}}, True),
        ("shell_call", {"environment": {"type": "container_reference"}}, False),
        ("shell_call", {}, False),
        ("tool_search_call", {"execution": "client"}, True),
        ("tool_search_call", {"execution": "server"}, False),
        ("mcp_list_tools", {}, False),
        ("of_next_year", {}, False),
    ],
)
def test_items_without_a_word_are_kept_whole(kind, members, waits):
    candidate = answer(created(), added(0, kind), added(1, "message"), done(0, kind, call_id="c", **members), ended())
    native = candidate.message.parts[0].native
    assert (native.provider, native.native_type) == (KEY, kind)
    assert json.loads(native.native_json) == {"id": "i0", "type": kind, "call_id": "c", **members}
    reason = Finish.FINISH_REASON_TOOL_CALLS if waits else Finish.FINISH_REASON_STOP
    assert candidate.end.reason == reason


def test_a_compaction():
    bare, whole = done(0, "compaction"), done(1, "compaction", encrypted_content="zz")
    sent = [added(0, "compaction"), at("output_text.delta", 2, delta="x"), bare, added(1, "compaction"), whole]
    text, one, two = parts(created(), *sent, ended())
    assert [part.WhichOneof("kind") for part in (text, one, two)] == ["text", "compaction", "compaction"]
    assert list(one.opaque) == []
    assert [(state.kind, state.data) for state in two.opaque] == [("compaction.encrypted_content", b"zz")]
    fresh = done(0, "compaction", fresh=1)
    assert [data for _, data in told(read(created(), fresh, ended()))] == [fresh]
