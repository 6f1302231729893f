"""Calls of tools in a stream: fragments, interleaved, unnamed, without ids, invalid."""

import pytest
from chat_wire import STOP, State, chunk, events, kinds, parts, sse, stream, warned

from antiphon.llm.v1 import content_pb2
from antiphon_contract.fold import Fold
from antiphon_wires.openai_chat.codec import OPENAI, ChatStream


def call(index=0, **members):
    return chunk({"tool_calls": [{"index": index, **members}]})


def test_eight_calls_interleaved():
    starts = [call(n, id=f"c{n}", type="function", function={"name": f"f{n}", "arguments": ""}) for n in range(8)]
    fragments = [call(n, function={"arguments": text}) for text in ('{"n"', ": 1}") for n in range(8)]
    found = parts(chunk({"content": "let me"}), *starts, *fragments, chunk({}, "tool_calls"))
    calls = [part.tool_call for part in found[1:]]
    assert [(c.id, c.name, c.input, c.input_state) for c in calls] == [
        (f"c{n}", f"f{n}", '{"n": 1}', State.INPUT_STATE_COMPLETE) for n in range(8)
    ]
    assert {c.kind for c in calls} == {content_pb2.ToolCall.KIND_FUNCTION}


@pytest.mark.parametrize(
    ("text", "finish", "state"),
    [
        ("", "tool_calls", "COMPLETE"),
        ("{}", "tool_calls", "COMPLETE"),
        ('{"a": 1e400, "a": 123456789012345678901234567890}', "tool_calls", "COMPLETE"),
        ('{"a": "\\ud83d"}', "tool_calls", "COMPLETE"),
        ('{"a"', "tool_calls", "INVALID_JSON"),
        ('{"a"', "length", "TRUNCATED"),
        ("", "length", "TRUNCATED"),
        ("{}", "length", "COMPLETE"),
        ('{"a"', "content_filter", "TRUNCATED"),
    ],
)
def test_input_states(text, finish, state):
    [part] = parts(call(id="c", function={"name": "f", "arguments": text}), chunk({}, finish))
    assert part.tool_call.input == text
    assert State.Name(part.tool_call.input_state) == f"INPUT_STATE_{state}"


@pytest.mark.parametrize(("finish", "state"), [("tool_calls", "COMPLETE"), ("length", "TRUNCATED")])
def test_custom_calls(finish, state):
    [part] = parts(
        call(id="c", type="custom", custom={"name": "sql", "input": "SELECT"}), call(custom={"input": " 1"}),
        chunk({}, finish),
    )  # fmt: skip
    assert (part.tool_call.name, part.tool_call.input) == ("sql", "SELECT 1")
    assert part.tool_call.kind == content_pb2.ToolCall.KIND_CUSTOM
    assert State.Name(part.tool_call.input_state) == f"INPUT_STATE_{state}"


def test_fragments_before_the_name_wait_for_it():
    found = events(
        sse(
            call(function={"arguments": '{"a"'}), call(id="c", function={"arguments": ": "}),
            call(custom={"input": "1"}), call(function={"name": "f", "arguments": "}"}), chunk({}, "tool_calls"),
        )
    )  # fmt: skip
    assert kinds(found) == ["start", "part_start", "tool_input_delta", "part_end", "candidate_end"]
    assert found[1].part_start.part.tool_call.id == "c"
    assert found[2].tool_input_delta == '{"a": 1}'


def test_a_call_that_never_gets_a_name():
    found = events(sse(call(function={"arguments": "{}"}), chunk({}, "tool_calls")))
    assert warned(found) == ["a tool call came without a name"]
    folded = Fold()
    folded.feed_events(found)
    [part] = folded.response().candidates[0].message.parts
    assert (part.tool_call.id, part.tool_call.input) == ("minted0", "{}")
    assert part.tool_call.input_state == State.INPUT_STATE_COMPLETE


def test_ids_are_minted_where_the_vendor_gives_none():
    found = parts(call(function={"name": "f"}), call(index=1, id="", function={"name": "g"}), chunk({}, "tool_calls"))
    assert [part.tool_call.id for part in found] == ["minted0", "minted1"]
    assert stream()._mint() != ChatStream(OPENAI)._mint()


def test_every_call_with_the_index_0_is_told_apart_by_its_id():
    found = parts(
        call(id="a", function={"name": "f", "arguments": "1"}), call(id="b", function={"name": "g", "arguments": "2"}),
        call(function={"arguments": "3"}), chunk({}, "tool_calls"),
    )  # fmt: skip
    assert [(part.tool_call.id, part.tool_call.input) for part in found] == [("a", "1"), ("b", "23")]


def test_whole_calls_without_an_index():
    calls = [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}, {"id": "b", "function": {"name": "g"}}]
    found = parts(chunk({"tool_calls": calls}), chunk({}, "tool_calls"))
    assert [(part.tool_call.id, part.tool_call.input) for part in found] == [("a", '{"x":1}'), ("b", "")]


def test_a_repeated_id_and_name_change_nothing():
    again = [call(id="a", function={"name": "f", "arguments": text}) for text in ("[", "1", "]")]
    [part] = parts(*again, chunk({}, "tool_calls"))
    assert part.tool_call.input == "[1]"


def test_malformed_calls_are_skipped():
    found = parts(
        chunk({"tool_calls": "x"}), chunk({"tool_calls": [1]}), chunk({"content": "a", "tool_calls": None}), STOP
    )
    assert [part.text.text for part in found] == ["a"]
    [part] = parts(call(id=7, function={"name": "f", "arguments": 5}), call(function=1), chunk({}, "tool_calls"))
    assert (part.tool_call.id, part.tool_call.input) == ("minted0", "")


def test_the_call_of_the_old_days():
    [part] = parts(
        chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}}),
        chunk({}, "function_call"),
    )  # fmt: skip
    assert (part.tool_call.id, part.tool_call.name, part.tool_call.input) == ("minted0", "f", "{}")


def test_half_a_character_in_an_input():
    def pieces(*texts):
        start = call(id="c", function={"name": "f", "arguments": ""})
        more = [
            b'{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "%s"}}]}}]}'
            % text.encode()
            for text in texts
        ]
        return events(sse(start, *more, chunk({}, "tool_calls")))

    found = pieces('\\"\\ud83d', '\\ude00\\"')
    assert "".join(event.tool_input_delta for event in found) == '"\U0001f600"'
    assert warned(found) == []
    found = pieces('\\"\\ud83d')
    assert "".join(event.tool_input_delta for event in found) == '"\ufffd'
    assert found[-2].part_end.tail.tool_call.input_state == State.INPUT_STATE_INVALID_JSON


def test_an_input_of_10_000_fragments():
    fragments = [call(function={"arguments": "x" * 100}) for _ in range(10_000)]
    [part] = parts(call(id="c", function={"name": "f"}), *fragments, chunk({}, "tool_calls"))
    assert len(part.tool_call.input) == 1_000_000
