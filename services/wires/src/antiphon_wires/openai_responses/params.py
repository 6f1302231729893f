"""Owns which parameters this wire takes, as data, and what its adapter tells of them in Model.support."""

from collections.abc import Iterator
from typing import Any, Final

from antiphon.llm.v1 import models_pb2, params_pb2
from antiphon_wires.openai_chat.dialect import Loss, Param

# https://developers.openai.com/api/reference/resources/responses/methods/create, as typed by openai 3.57 (2026-11).
# `stop`, `seed`, penalties, `n` and `logit_bias` of Chat Completions have no successor.
PARAMS: Final[tuple[Param, ...]] = (
    Param("max_output_tokens", "max_output_tokens", Loss.SHAPE),
    Param("temperature", "temperature", Loss.HINT),
    Param("top_p", "top_p", Loss.HINT),
    Param("top_k", None, Loss.HINT),
    Param("min_p", None, Loss.HINT),
    Param("frequency_penalty", None, Loss.HINT),
    Param("presence_penalty", None, Loss.HINT),
    Param("repetition_penalty", None, Loss.HINT),
    Param("stop", None, Loss.SHAPE),
    Param("seed", None, Loss.HINT),
    Param("candidate_count", None, Loss.SHAPE, default=1),
    Param("top_logprobs", "top_logprobs", Loss.SHAPE),
    Param("logit_bias", None, Loss.HINT),
    Param("parallel_tool_calls", "parallel_tool_calls", Loss.SHAPE),
    Param("max_tool_calls", "max_tool_calls", Loss.HINT),
    Param("service_tier", "service_tier", Loss.HINT),
    Param("output_modalities", None, Loss.SHAPE),
    Param("end_user_id", "safety_identifier", Loss.HINT),
    Param("prompt_cache_key", "prompt_cache_key", Loss.HINT),
)
# Fields that become something else than a member of their own.
SPELT: Final = frozenset({"logprobs", "store", "verbosity"})


def param_values(params: params_pb2.GenerateParams) -> Iterator[tuple[Param, Any]]:
    """What the caller set, in the order of PARAMS; the text modality is every answer's and says nothing."""
    given = {field.name: value for field, value in params.ListFields()}
    if list(params.output_modalities) == ["text"]:
        del given["output_modalities"]
    for param in PARAMS if given else ():
        if param.field in given and not (param.native is None and given[param.field] == param.default):
            yield param, given[param.field]


def support() -> dict[str, models_pb2.Support]:
    """Field path to how this adapter treats it, for Model.support."""
    lost = {Loss.HINT: models_pb2.SUPPORT_IGNORED, Loss.SHAPE: models_pb2.SUPPORT_REJECTED}
    table = {
        f"params.{param.field}": lost[param.loss] if param.native is None else models_pb2.SUPPORT_NATIVE
        for param in PARAMS
    }
    native = (
        *(f"params.{field}" for field in SPELT),
        *("params.reasoning.effort", "params.reasoning.summary", "params.reasoning.include_opaque_state"),
        *("params.output_format.json_object", "params.output_format.json_schema", "params.tool_choice.allowed_names"),
        *("prompt.tools.function", "prompt.tools.custom", "prompt.tools.provider_tool", "prompt.tools.mcp"),
    )
    return table | {
        **dict.fromkeys(native, models_pb2.SUPPORT_NATIVE),
        "params.reasoning.budget_tokens": models_pb2.SUPPORT_IGNORED,
        "params.output_format.grammar": models_pb2.SUPPORT_REJECTED,
        "prompt.documents": models_pb2.SUPPORT_EMULATED,
    }
