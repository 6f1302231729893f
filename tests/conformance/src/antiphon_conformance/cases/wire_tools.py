"""Owns the cases about tool calls: arguments byte for byte, order, identity, and how far they can be relied on."""

import json

import pytest

from antiphon.llm.v1 import content_pb2, params_pb2, response_pb2
from antiphon_conformance.calling import Ask
from antiphon_conformance.cases.scripted import Scripted
from antiphon_conformance.vendor import scenes
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Vendor
from antiphon_conformance.wires import Tool

State = content_pb2.ToolCall.InputState
Finish = response_pb2.FinishReason
# Ten thousand fragments take seconds, and minutes where each costs a copy of those before.
HUGE_LIMIT_S = 60.0
SCHEMA = '{"type":"object","properties":{"z":{"const":9007199254740993},"a":{"maximum":1e400}},"z":1, "a":2}'


class ToolCases(Scripted):
    """Tool calls."""

    async def test_arguments_arrive_byte_for_byte(self, ask: Ask, vendor: Vendor) -> None:
        outcome = await ask(vendor.play(Scene.ONE_TOOL).model)
        assert _seen(outcome.answer.tools) == _told(scenes.ONE_TOOL)
        assert outcome.answer.tools[0].input_state == State.INPUT_STATE_COMPLETE
        assert outcome.answer.finish.reason == Finish.FINISH_REASON_TOOL_CALLS
        assert outcome.record.outcome == response_pb2.ResponseEnd.OUTCOME_COMPLETED

    async def test_arguments_are_streamed_as_they_come(self, stream: Ask, vendor: Vendor) -> None:
        outcome = await stream(vendor.play(Scene.ONE_TOOL).model)
        deltas = [event.tool_input_delta for frame in outcome.frames for event in frame.events]
        assert [delta for delta in deltas if delta] == list(scenes.ONE_TOOL.fragments)

    async def test_text_before_a_call_is_a_part_of_its_own(self, ask: Ask, vendor: Vendor) -> None:
        answer = (await ask(vendor.play(Scene.TEXT_THEN_TOOL).model)).answer
        assert [part.WhichOneof("kind") for part in answer.parts[0]] == ["text", "tool_call"]
        assert answer.text == "Let me see."
        assert _seen(answer.tools) == _told(scenes.ONE_TOOL)

    async def test_calls_that_interleave_are_kept_apart(self, ask: Ask, vendor: Vendor) -> None:
        answer = (await ask(vendor.play(Scene.PARALLEL_TOOLS).model)).answer
        assert _seen(answer.tools) == _told(*scenes.PARALLEL)
        assert {tool.input_state for tool in answer.tools} == {State.INPUT_STATE_COMPLETE}

    @pytest.mark.parametrize(
        ("scene", "tool"),
        [(Scene.EMPTY_TOOL_INPUT, scenes.EMPTY_TOOL), (Scene.BRACES_TOOL_INPUT, scenes.BRACES_TOOL)],
        ids=["nothing", "braces"],
    )
    async def test_an_empty_input_is_complete(self, ask: Ask, vendor: Vendor, scene: Scene, tool: Tool) -> None:
        answer = (await ask(vendor.play(scene).model)).answer
        assert [(called.id, called.name) for called in answer.tools] == [(tool.id, tool.name)]
        assert answer.tools[0].input in ("", "{}")
        assert answer.tools[0].input_state == State.INPUT_STATE_COMPLETE

    async def test_huge_arguments_arrive_in_time(self, ask: Ask, vendor: Vendor) -> None:
        outcome = await ask.send(ask.request(vendor.play(Scene.HUGE_TOOL_INPUT).model), timeout_s=HUGE_LIMIT_S)
        assert outcome.answer.tools[0].input == scenes.HUGE_TOOL.input

    async def test_arguments_that_are_no_json_are_kept_and_marked(self, ask: Ask, vendor: Vendor) -> None:
        answer = (await ask(vendor.play(Scene.INVALID_TOOL_INPUT).model)).answer
        assert _seen(answer.tools) == _told(scenes.INVALID_TOOL)
        assert answer.tools[0].input_state == State.INPUT_STATE_INVALID_JSON

    async def test_arguments_cut_by_the_limit_are_kept_and_marked(self, ask: Ask, vendor: Vendor) -> None:
        outcome = await ask(vendor.play(Scene.TRUNCATED_TOOL_INPUT).model)
        assert _seen(outcome.answer.tools) == _told(scenes.TRUNCATED_TOOL)
        assert outcome.answer.tools[0].input_state == State.INPUT_STATE_TRUNCATED
        assert outcome.answer.finish.reason == Finish.FINISH_REASON_MAX_OUTPUT_TOKENS
        assert outcome.record.outcome == response_pb2.ResponseEnd.OUTCOME_INCOMPLETE

    async def test_a_tools_schema_goes_out_byte_for_byte(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.ONE_TOOL)
        request = ask.request(play.model)
        request.prompt.tools.add().function.CopyFrom(
            params_pb2.FunctionTool(name="weather", description="Wetter", input_schema_json=SCHEMA)
        )
        assert (await ask.send(request)).ok
        assert SCHEMA.encode() in play.last.request.body

    async def test_a_call_and_its_result_go_back(self, ask: Ask, vendor: Vendor) -> None:
        first = await ask(vendor.play(Scene.ONE_TOOL).model)
        play = vendor.play(Scene.PLAIN)
        request = ask.request(play.model)
        request.prompt.messages.add(role=content_pb2.ROLE_ASSISTANT, parts=first.answer.parts[0])
        result = request.prompt.messages.add(role=content_pb2.ROLE_TOOL).parts.add().tool_result
        result.tool_call_id = scenes.ONE_TOOL.id
        result.parts.add().text.text = "sunny"
        assert (await ask.send(request)).ok
        sent = play.last.request.body
        assert _holds(sent, scenes.ONE_TOOL.input)
        assert b"sunny" in sent
        assert sent.count(scenes.ONE_TOOL.id.encode()) == 2


def _holds(body: bytes, text: str) -> bool:
    """Whether a JSON body holds `text`, as JSON of its own or as a string; how a string is escaped is free."""
    if text.encode() in body:
        return True
    return json.dumps(text, ensure_ascii=False) in json.dumps(json.loads(body), ensure_ascii=False)


def _seen(tools: list[content_pb2.ToolCall]) -> list[tuple[str, str, str]]:
    return [(tool.id, tool.name, tool.input) for tool in tools]


def _told(*tools: Tool) -> list[tuple[str, str, str]]:
    return [(tool.id, tool.name, tool.input) for tool in tools]
