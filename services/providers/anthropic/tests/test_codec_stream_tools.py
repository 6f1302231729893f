"""Calls of tools: input in pieces, how far it can be relied on, who runs them."""

import json

import pytest
from anthropic_reading import events, fold, natives, parts
from anthropic_speech import begin, called, delta, end, start, stop

from antiphon.llm.v1 import content_pb2, response_pb2

Call = content_pb2.ToolCall
Malformed = response_pb2.Warning.KIND_UPSTREAM_MALFORMED


def tool(*pieces, reason="tool_use", **block):
    [part] = parts(begin() + called(0, *pieces, **block) + end(reason))
    return part


@pytest.mark.parametrize(
    ("pieces", "reason", "given", "state"),
    [
        (("", '{"a"', ": 1}"), "tool_use", '{"a": 1}', Call.INPUT_STATE_COMPLETE),
        ((), "tool_use", "{}", Call.INPUT_STATE_COMPLETE),
        (("",), "tool_use", "{}", Call.INPUT_STATE_COMPLETE),
        ((), "max_tokens", "", Call.INPUT_STATE_TRUNCATED),
        (('{"a": ',), "max_tokens", '{"a": ', Call.INPUT_STATE_TRUNCATED),
        (('{"a": ',), "model_context_window_exceeded", '{"a": ', Call.INPUT_STATE_TRUNCATED),
        (('{"a": ',), "refusal", '{"a": ', Call.INPUT_STATE_TRUNCATED),
        (('{"a": tru}',), "tool_use", '{"a": tru}', Call.INPUT_STATE_INVALID_JSON),
        (('{"a": 1}',), "max_tokens", '{"a": 1}', Call.INPUT_STATE_COMPLETE),
    ],
)
def test_how_far_input_can_be_relied_on(pieces, reason, given, state):
    call = tool(*pieces, reason=reason).tool_call
    assert (call.input, call.input_state) == (given, state)


def test_only_the_last_call_can_have_been_cut():
    first, second = parts(begin() + called(0) + called(1, '{"a') + end("max_tokens"))
    assert first.tool_call.input_state == Call.INPUT_STATE_COMPLETE
    assert second.tool_call.input_state == Call.INPUT_STATE_TRUNCATED


def test_calls_that_end_together():
    opened = [start(i, type="tool_use", id=f"t{i}", name="f", input={}) for i in range(2)]
    found = parts(begin() + b"".join(opened) + stop(0) + stop(1) + end("tool_use"))
    assert [part.tool_call.input_state for part in found] == [Call.INPUT_STATE_COMPLETE] * 2


def test_a_call_that_is_announced_whole_or_never_stops():
    assert tool(input={"a": 1}).tool_call.input == '{"a":1}'
    [part] = parts(begin() + start(0, type="tool_use", id="t", name="f", input={}) + end("tool_use"))
    assert part.tool_call.input_state == Call.INPUT_STATE_COMPLETE


def test_an_input_that_comes_whole_and_in_pieces():
    made = events(begin() + called(0, '{"b":', "2}", input={"a": 1}) + end("tool_use"))
    [part] = fold(made).response().candidates[0].message.parts
    assert part.tool_call.input == '{"b":2}'
    [(name, told)] = natives(made)
    assert (name, told["content_block"]["input"]) == ("content_block_start", {"a": 1})


def test_who_called_and_from_which_toolset():
    caller = {"type": "code_execution_20260521", "tool_id": "srvtoolu_9"}
    part = tool("{}", caller=caller, toolset_name="computer", strange=None)
    assert (part.tool_call.caller_id, part.tool_call.tool_namespace) == ("srvtoolu_9", "computer")
    assert json.loads(part.provider_json["anthropic"]) == {"caller": caller, "toolset_name": "computer"}


def test_calls_that_the_vendor_runs():
    part = tool("{}", type="mcp_tool_use", server_name="files")
    assert (part.tool_call.kind, part.tool_call.capability) == (Call.KIND_PROVIDER, "")
    assert part.tool_call.tool_namespace == "files"
    assert json.loads(part.provider_json["anthropic"]) == {"type": "mcp_tool_use", "server_name": "files"}


def test_a_call_without_id_and_name_gets_an_id():
    made = events(begin() + start(0, type="tool_use", input={}) + stop(0) + end("tool_use"), mint=lambda: "minted")
    [part] = fold(made).response().candidates[0].message.parts
    assert part.tool_call.id == "minted"
    assert [one.warning.kind for one in made if one.HasField("warning")] == [Malformed]
    assert (
        parts(begin() + start(0, type="tool_use", name="f", input={}) + stop(0) + end())[0].tool_call.id[:6] == "toolu_"
    )


def test_a_delta_of_another_kind_in_a_call():
    made = events(begin() + start(0, type="tool_use", id="t", name="f", input={}) + delta(0, "new") + stop(0) + end())
    assert len(natives(made)) == 1


def test_half_a_character_in_an_input():
    made = events(begin() + called(0, '{"a": "\ud83d', '\ude00"}') + called(1, '"\ud83d') + end("tool_use"))
    first, second = fold(made).response().candidates[0].message.parts
    assert first.tool_call.input == '{"a": "😀"}'
    assert (second.tool_call.input, second.tool_call.input_state) == ('"\ufffd', Call.INPUT_STATE_INVALID_JSON)
