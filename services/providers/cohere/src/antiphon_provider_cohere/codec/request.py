"""Owns the translation of a contract request into the body of a streaming v2 chat."""

from typing import Any

import msgspec

from antiphon.llm.v1 import chat_pb2, params_pb2
from antiphon_provider_cohere.codec.capabilities import BOUNDS, HINTS, MAX_STOP, MEMBERS
from antiphon_provider_cohere.codec.documents import encode_document
from antiphon_provider_cohere.codec.messages import encode_messages
from antiphon_provider_cohere.codec.scope import Encoded, Native, Scope, invalid
from antiphon_provider_cohere.codec.tools import encode_tools
from antiphon_wires import json_text
from antiphon_wires.losses import Losses

_Reasoning = params_pb2.ReasoningParams


def encode_chat(request: chat_pb2.StreamGenerateRequest, *, model: str, max_output_tokens: int = 0) -> Encoded:
    """The native request. `max_output_tokens` counts where the caller set none; 0: no bound.

    Ranges and contradictions that no provider would take have been refused before, by the kit.
    Raises CallFailure: INVALID_REQUEST, or PARAM_UNSUPPORTED for what Cohere lacks and the caller's policy does not
    let go; `param` names the field.
    """
    scope = Scope("chat", Losses("Cohere", request.options.unsupported_policy))
    for index, document in enumerate(request.prompt.documents):
        if (native := encode_document(document, f"prompt.documents[{index}]", scope)) is not None:
            scope.documents.append(native)
    body: Native = {"model": model, "messages": encode_messages(request.prompt, scope), "stream": True}
    if scope.documents:
        body["documents"] = scope.documents
    if request.prompt.tools or request.HasField("params"):
        body |= encode_tools(request, scope)
    _add_params(body, request.params, scope)
    if max_output_tokens and not request.params.HasField("max_output_tokens"):
        body["max_tokens"] = max_output_tokens
    if request.params.HasField("reasoning"):
        _add_reasoning(body, request.params.reasoning, scope)
    if request.params.HasField("output_format"):
        _add_format(body, request.params.output_format, scope)
    scope.finish(body, request.options)
    _check(body, scope)
    return scope.encoded(body, request.options)


def _add_params(body: Native, params: params_pb2.GenerateParams, scope: Scope) -> None:
    if not (given := params.ListFields()):
        return
    for field, value in given:
        name = field.name
        if name in MEMBERS:
            body[MEMBERS[name]] = list(value) if name == "stop" else _bounded(name, value, scope)
        elif name in HINTS:
            scope.losses.hint(f"params.{name}", HINTS[name])
    if params.candidate_count > 1:
        scope.losses.shape("params.candidate_count", "Cohere gives one answer per call")
    if params.top_logprobs:
        scope.losses.shape("params.top_logprobs", "Cohere tells the chosen tokens only")
        body["logprobs"] = True
    if params.HasField("parallel_tool_calls") and not params.parallel_tool_calls:
        scope.losses.shape("params.parallel_tool_calls", "Cohere decides itself how many tools it calls in a turn")
    if set(params.output_modalities) - {"text"}:
        scope.losses.shape("params.output_modalities", "Cohere answers in text")


def _bounded(name: str, value: Any, scope: Scope) -> Any:
    """`value`, or the nearest one that Cohere does not refuse."""
    bounds = BOUNDS.get(name)
    if bounds is None or bounds.low <= value <= bounds.high:
        return value
    nearest = type(value)(max(bounds.low, min(value, bounds.high)))
    scope.losses.clamped(f"params.{name}", f"{nearest:g} is the nearest value Cohere takes")
    return nearest


def _add_reasoning(body: Native, reasoning: params_pb2.ReasoningParams, scope: Scope) -> None:
    """`thinking` is a switch with a budget (https://docs.cohere.com/v2/docs/reasoning, 2026-11)."""
    losses = scope.losses
    off = reasoning.mode == _Reasoning.MODE_DISABLED or reasoning.effort == "none"
    if reasoning.HasField("budget_tokens") and reasoning.budget_tokens == 0:
        off = True
    if off:
        body["thinking"] = {"type": "disabled"}
    elif reasoning.mode or reasoning.effort or reasoning.budget_tokens:
        body["thinking"] = {"type": "enabled"}
        if reasoning.budget_tokens:
            body["thinking"]["token_budget"] = reasoning.budget_tokens
        if reasoning.mode == _Reasoning.MODE_ADAPTIVE:
            losses.emulated("params.reasoning.mode", "reasoning is switched on; the model cannot be left to decide")
        if reasoning.effort:
            losses.emulated("params.reasoning.effort", "reasoning is switched on; Cohere has a budget, no levels")
    if reasoning.summary not in ("", "none"):
        losses.hint("params.reasoning.summary", "Cohere shows its reasoning, not a summary")
    if reasoning.include_opaque_state:
        losses.hint("params.reasoning.include_opaque_state", "Cohere's reasoning is plain text and goes back as such")


def _add_format(body: Native, output: params_pb2.OutputFormat, scope: Scope) -> None:
    kind = output.WhichOneof("format")
    path = f"params.output_format.{kind}"
    if kind == "grammar":
        scope.losses.shape(path, "Cohere follows no grammars")
    elif kind is not None:
        native: Native = {"type": "json_object"}
        schema = output.json_schema
        if schema.schema_json:
            native["json_schema"] = json_text.verbatim(schema.schema_json, f"{path}.schema_json")
        if schema.description:
            scope.losses.hint(f"{path}.description", "Cohere takes the schema alone; describe it in the schema")
        if schema.HasField("strict") and not schema.strict:
            scope.losses.hint(f"{path}.strict", "Cohere always enforces a schema")
        body["response_format"] = native


def _check(body: Native, scope: Scope) -> None:
    """Limits hold for what is really sent, patches included."""
    stop = _plain(body.get("stop_sequences"))
    if isinstance(stop, list) and len(stop) > MAX_STOP:
        scope.losses.shape("params.stop", f"Cohere takes at most {MAX_STOP} stop texts")
        body["stop_sequences"] = stop[:MAX_STOP]
    limit = _plain(body.get("max_tokens"))
    if limit is not None and not (type(limit) is int and 1 <= limit < 2**31):
        raise invalid("max_tokens must be a whole number of 1 to 2147483647", "params.max_output_tokens")


def _plain(value: Any) -> Any:
    return json_text.read(bytes(value)) if isinstance(value, msgspec.Raw) else value
