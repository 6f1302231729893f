"""Requests that break a documented range or contradict themselves, and their neighbours that do not."""

import re

import grpc
import pytest

from antiphon.llm.v1 import content_pb2, params_pb2, response_pb2
from antiphon_kit.request_rules import RANGES


def good(events):
    return [[events.start(), events.part(), events.text("a"), events.part_end(), events.stop(), events.usage(1, 1)]]


def _without_model(request):
    request.model = ""


def _long_model(request):
    request.model = "m" * 257


def _no_messages(request):
    del request.prompt.messages[:]


def _no_role(request):
    request.prompt.messages[0].role = content_pb2.ROLE_UNSPECIFIED


def _no_parts(request):
    del request.prompt.messages[0].parts[:]


def _long_name(request):
    request.prompt.messages[0].name = "n" * 65


def _prefill_of_user(request):
    request.prompt.messages[0].prefill = True


def _prefill_not_last(request):
    request.prompt.messages[0].role = content_pb2.ROLE_ASSISTANT
    request.prompt.messages[0].prefill = True
    request.prompt.messages.append(request.prompt.messages[0])
    request.prompt.messages[1].prefill = False


def _tool_name(request):
    request.prompt.tools.add().function.name = "not good"


def _tool_twice(request):
    request.prompt.tools.add().function.name = "a"
    request.prompt.tools.add().custom.name = "a"


def _mcp_http(request):
    request.prompt.tools.add().mcp.server_label = "label"
    request.prompt.tools[0].mcp.server_url = "http://mcp.example"


def _mcp_label(request):
    request.prompt.tools.add().mcp.server_label = ""


def _document_twice(request):
    request.prompt.documents.add().id = "d"
    request.prompt.documents.add().id = "d"


def _param(name, value):
    def change(request):
        setattr(request.params, name, value)

    return change


def _logprobs_contradiction(request):
    request.params.logprobs = False
    request.params.top_logprobs = 2


def _disabled_effort(request):
    request.params.reasoning.mode = params_pb2.ReasoningParams.MODE_DISABLED
    request.params.reasoning.effort = "high"


def _disabled_budget(request):
    request.params.reasoning.mode = params_pb2.ReasoningParams.MODE_DISABLED
    request.params.reasoning.budget_tokens = 5


def _negative_budget(request):
    request.params.reasoning.budget_tokens = -1


def _schema_name(request):
    request.params.output_format.json_schema.schema_json = "{}"


def _timeout(name, milliseconds):
    def change(request):
        getattr(request.options.timeouts, name).FromMilliseconds(milliseconds)

    return change


def _labels(count, key="k", value="v"):
    def change(request):
        for index in range(count):
            request.options.labels[f"{key}{index}"] = value

    return change


def _coalesce(milliseconds):
    def change(request):
        request.stream.max_coalesce_delay.FromMilliseconds(milliseconds)

    return change


REFUSED = {
    "no model": (_without_model, "model"),
    "long model": (_long_model, "model"),
    "no messages": (_no_messages, "prompt.messages"),
    "no role": (_no_role, "prompt.messages[0].role"),
    "no parts": (_no_parts, "prompt.messages[0].parts"),
    "long name": (_long_name, "prompt.messages[0].name"),
    "prefill of a user": (_prefill_of_user, "prompt.messages[0].prefill"),
    "prefill not last": (_prefill_not_last, "prompt.messages[0].prefill"),
    "tool name": (_tool_name, "prompt.tools[0].function.name"),
    "tool twice": (_tool_twice, "prompt.tools"),
    "mcp over http": (_mcp_http, "prompt.tools[0].mcp.server_url"),
    "mcp without label": (_mcp_label, "prompt.tools[0].mcp.server_label"),
    "document twice": (_document_twice, "prompt.documents"),
    "max_output_tokens 0": (_param("max_output_tokens", 0), "params.max_output_tokens"),
    "temperature < 0": (_param("temperature", -0.1), "params.temperature"),
    "temperature NaN": (_param("temperature", float("nan")), "params.temperature"),
    "temperature infinite": (_param("temperature", float("inf")), "params.temperature"),
    "top_p 0": (_param("top_p", 0.0), "params.top_p"),
    "top_p > 1": (_param("top_p", 1.01), "params.top_p"),
    "top_k 0": (_param("top_k", 0), "params.top_k"),
    "min_p > 1": (_param("min_p", 1.5), "params.min_p"),
    "frequency_penalty NaN": (_param("frequency_penalty", float("nan")), "params.frequency_penalty"),
    "repetition_penalty 0": (_param("repetition_penalty", 0.0), "params.repetition_penalty"),
    "candidate_count 0": (_param("candidate_count", 0), "params.candidate_count"),
    "top_logprobs 21": (_param("top_logprobs", 21), "params.top_logprobs"),
    "max_tool_calls -1": (_param("max_tool_calls", -1), "params.max_tool_calls"),
    "long end_user_id": (_param("end_user_id", "u" * 65), "params.end_user_id"),
    "long prompt_cache_key": (_param("prompt_cache_key", "u" * 65), "params.prompt_cache_key"),
    "logprobs contradiction": (_logprobs_contradiction, "params.top_logprobs"),
    "reasoning off with effort": (_disabled_effort, "params.reasoning.effort"),
    "reasoning off with budget": (_disabled_budget, "params.reasoning.budget_tokens"),
    "negative budget": (_negative_budget, "params.reasoning.budget_tokens"),
    "schema without name": (_schema_name, "params.output_format.json_schema.name"),
    "timeout 0": (_timeout("first_event", 0), "options.timeouts.first_event"),
    "timeout < 0": (_timeout("between_events", -5), "options.timeouts.between_events"),
    "timeout > 1 h": (_timeout("per_attempt", 3_600_001), "options.timeouts.per_attempt"),
    "17 labels": (_labels(17), "options.labels"),
    "long label key": (_labels(1, key="k" * 64), "options.labels"),
    "long label value": (_labels(1, value="v" * 513), "options.labels"),
    "coalescing > 1 s": (_coalesce(1001), "stream.max_coalesce_delay"),
}


async def test_each_bad_request_names_its_field_and_a_remedy(events, scripted, dial):
    provider = scripted(good(events))
    async with dial(provider) as caller:
        for what, (change, param) in REFUSED.items():
            request = caller.request()
            change(request)
            for answer in (await caller.stream(request), await caller.generate(request)):
                assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"), what
                assert answer.error.param == param, what
                assert answer.message.startswith(f"{param}: "), what
                assert re.search(r"; ", answer.message), f"{what}: no remedy in {answer.message!r}"
                assert answer.record.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
    assert provider.turns == []


def _ends_of_ranges(request):
    request.params.max_output_tokens = 1
    request.params.temperature = 0.0
    request.params.top_p = 1.0
    request.params.top_k = 1
    request.params.min_p = 0.0
    request.params.frequency_penalty = -2.0
    request.params.top_logprobs = 20
    request.params.candidate_count = 1
    request.params.max_tool_calls = 0
    request.params.seed = -(2**63)


def _replayed_state(request):
    state = content_pb2.OpaqueState(issuer="x", data=b"1")
    request.prompt.messages.add(role=content_pb2.ROLE_ASSISTANT, opaque=[state])


def _unknown_part(request):
    request.prompt.messages[0].parts.add()


def _prefill(request):
    message = request.prompt.messages.add(role=content_pb2.ROLE_ASSISTANT, prefill=True)
    message.parts.add().text.text = "So"


@pytest.mark.parametrize(
    "change",
    [
        _ends_of_ranges,
        _replayed_state,
        _unknown_part,
        _prefill,
        _labels(16),
        _coalesce(1),
        _timeout("per_attempt", 3_600_000),
    ],
)
async def test_what_the_contract_allows_is_let_through(events, scripted, dial, change):
    async with dial(scripted(good(events))) as caller:
        request = caller.request()
        change(request)
        assert (await caller.stream(request)).code == grpc.StatusCode.OK


def test_ranges_cover_fields_that_exist():
    assert set(RANGES) <= set(params_pb2.GenerateParams.DESCRIPTOR.fields_by_name)
