"""Owns parameters on their way to the vendor: limits, tiers, output format, and all that it has no word for."""

from typing import Final

from antiphon.llm.v1 import params_pb2
from antiphon_provider_anthropic.codec.models import Facts
from antiphon_provider_anthropic.codec.reasoning import add_reasoning
from antiphon_provider_anthropic.codec.scope import NAME, Native, Scope
from antiphon_wires import json_text

# Removed from the API: https://platform.claude.com/docs/en/api/migration-2026-10-21 (2026-11). 400 even at defaults.
_REMOVED: Final = frozenset({"temperature", "top_p", "top_k"})
_HINTS: Final = frozenset(
    {"min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "logit_bias", "max_tool_calls"}
    | {"store", "prompt_cache_key", "verbosity"}
)
_SHAPES: Final = frozenset({"logprobs", "top_logprobs"})
# https://platform.claude.com/docs/en/api/service-tiers (2026-11).
_STANDARD: Final = frozenset({"default", "standard"})
_FOREIGN_TIERS: Final = frozenset({"flex", "priority", "batch", "scale"})


def add_params(
    body: Native, params: params_pb2.GenerateParams, scope: Scope, facts: Facts, max_output_tokens: int
) -> None:
    """`max_output_tokens`: what the operator wants where the caller asked for nothing; 0: the model's maximum."""
    if params.HasField("max_output_tokens"):
        body["max_tokens"] = params.max_output_tokens
    else:
        body["max_tokens"] = min(max_output_tokens or facts.max_tokens, facts.max_tokens)
    if params.ListFields():
        _add_given(body, params, scope, facts)


def _add_given(body: Native, params: params_pb2.GenerateParams, scope: Scope, facts: Facts) -> None:
    for field, value in params.ListFields():
        # No log probabilities is what there is.
        if value or field.name not in _SHAPES:
            _lose(field.name, scope)
    if params.stop:
        body["stop_sequences"] = list(params.stop)
    if params.end_user_id:
        body["metadata"] = {"user_id": params.end_user_id}
    if params.service_tier:
        _add_tier(body, params.service_tier, scope)
    if params.candidate_count > 1:
        scope.losses.shape("params.candidate_count", f"{NAME} gives one answer")
    if any(kind != "text" for kind in params.output_modalities):
        scope.losses.shape("params.output_modalities", f"{NAME} writes text only")
    config: Native = {}
    if params.HasField("reasoning"):
        add_reasoning(body, config, params.reasoning, scope, facts)
    if params.HasField("output_format"):
        _add_format(config, params.output_format, scope)
    if config:
        body["output_config"] = config


def _lose(name: str, scope: Scope) -> None:
    if name in _REMOVED:
        scope.losses.hint(f"params.{name}", f"{NAME} has had none since API version 2026-10-21")
    elif name in _HINTS:
        scope.losses.hint(f"params.{name}", f"{NAME} has no such parameter")
    elif name in _SHAPES:
        scope.losses.shape(f"params.{name}", f"{NAME} tells no probabilities")


def _add_tier(body: Native, tier: str, scope: Scope) -> None:
    """Words outside the known vocabularies pass: it grows."""
    if tier in _FOREIGN_TIERS:
        scope.losses.hint("params.service_tier", f"{NAME} has the tiers auto and standard_only")
        return
    if tier in _STANDARD:
        scope.losses.clamped("params.service_tier", "standard_only is what it is called here")
        tier = "standard_only"
    body["service_tier"] = tier


def _add_format(config: Native, output: params_pb2.OutputFormat, scope: Scope) -> None:
    kind = output.WhichOneof("format")
    if kind is None:
        return
    path = f"params.output_format.{kind}"
    if kind != "json_schema":
        scope.losses.shape(path, f"{NAME} has no such output format; give a schema")
        return
    schema = output.json_schema
    for field in ("name", "description"):
        if getattr(schema, field):
            scope.losses.hint(f"{path}.{field}", f"{NAME} shows the model the schema only")
    if schema.HasField("strict") and not schema.strict:
        scope.losses.hint(f"{path}.strict", f"{NAME} always enforces a schema")
    native: Native = {"type": "json_schema", "schema": {"type": "object"}}
    if schema.schema_json:
        native["schema"] = json_text.verbatim(schema.schema_json, f"{path}.schema_json")
    config["format"] = native
