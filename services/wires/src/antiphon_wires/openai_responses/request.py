"""Owns the translation of a contract request into the body of a streaming response, or of a count of its tokens.

Nothing is stored at the vendor unless the caller asks for it: its default is to keep every answer for 30 days
(https://developers.openai.com/api/docs/guides/your-data, 2026-11), so `store` is always said. What the next turn needs
comes with the answer instead, as `reasoning.encrypted_content`.
"""

from typing import Any, Final

import msgspec

from antiphon.llm.v1 import chat_pb2, options_pb2, params_pb2
from antiphon_wires import json_text, merge_patch
from antiphon_wires.losses import Losses
from antiphon_wires.openai_chat.dialect import Dialect, Loss
from antiphon_wires.openai_chat.reasoning import is_off, offered
from antiphon_wires.openai_chat.request import Encoded, allowed_headers
from antiphon_wires.openai_chat.scope import Native, Scope, invalid
from antiphon_wires.openai_responses.input_items import encode_input
from antiphon_wires.openai_responses.params import PARAMS, param_values
from antiphon_wires.openai_responses.state import ENCRYPTED
from antiphon_wires.openai_responses.tools import encode_tools

LOGPROBS: Final = "message.output_text.logprobs"
# What a patch of the whole call may not touch: routing, the way the answer comes, and credentials.
_PROTECTED: Final[tuple[merge_patch.Path, ...]] = (("model",), ("stream",), ("api_key",), ("authorization",))
# What decides over the input: https://developers.openai.com/api/reference/resources/responses/subresources/input_tokens,
# as typed by openai 3.57 (2026-11).
_COUNTED: Final = frozenset(
    {"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "truncation"}
    | {"conversation", "previous_response_id", "personality"}
)
_Reasoning = params_pb2.ReasoningParams
_encode: Final = msgspec.json.Encoder().encode


def encode_request(
    request: chat_pb2.StreamGenerateRequest,
    dialect: Dialect,
    *,
    model: str,
    max_output_tokens: int = 0,
    state_domain: str = "",
) -> Encoded:
    """The native request. `max_output_tokens` counts where the caller set none; 0: no bound.

    Raises CallFailure: INVALID_REQUEST, or PARAM_UNSUPPORTED for what this wire lacks and the caller's policy does not
    let go; `param` names the field.
    """
    losses = Losses(dialect.name, request.options.unsupported_policy)
    scope = Scope(dialect, losses, state_domain, api="responses")
    body = _body(request, scope, model)
    if max_output_tokens and not request.params.HasField("max_output_tokens"):
        body["max_output_tokens"] = max_output_tokens
    _patch(body, request.options, scope)
    headers = allowed_headers(request.options.provider_headers, scope, scope.keys)
    return Encoded(_encode(body), headers, tuple(losses.warnings()))


def encode_count(
    request: chat_pb2.StreamGenerateRequest, dialect: Dialect, *, model: str, state_domain: str = ""
) -> Encoded:
    """The native request that counts the input of the same call. What does not decide over the input is left out."""
    losses = Losses(dialect.name, options_pb2.CallOptions.UNSUPPORTED_POLICY_WARN)
    scope = Scope(dialect, losses, state_domain, api="responses")
    body = _body(request, scope, model)
    _patch(body, request.options, scope)
    headers = allowed_headers(request.options.provider_headers, scope, scope.keys)
    return Encoded(_encode({name: value for name, value in body.items() if name in _COUNTED}), headers, ())


def _body(request: chat_pb2.StreamGenerateRequest, scope: Scope, model: str) -> Native:
    params = request.params
    body: Native = {"model": model, "input": encode_input(request.prompt, scope), "stream": True, "store": params.store}
    body |= encode_tools(request, scope)
    for param, value in param_values(params):
        if param.native is not None:
            body[param.native] = value
        else:
            lose = scope.losses.hint if param.loss is Loss.HINT else scope.losses.shape
            lose(f"params.{param.field}", f"the Responses API of {scope.dialect.name} has no such parameter")
    if reasoning := _reasoning(params.reasoning, scope):
        body["reasoning"] = reasoning
    if text := _text(params, scope):
        body["text"] = text
    if include := _include(params):
        body["include"] = include
    return body


def _include(params: params_pb2.GenerateParams) -> list[str]:
    """What the answer is to hold beside its text.

    Reasoning models send encrypted_content without being asked (docstring of openai 3.57); other models refuse to be
    asked (https://github.com/pydantic/pydantic-ai/issues/2865, 2025-09). So it is asked for where the caller does, or
    wants reasoning at all.
    """
    include = []
    reasoning = params.reasoning
    wanted = params.HasField("reasoning") and not is_off(reasoning) and not params.store
    if reasoning.include_opaque_state if reasoning.HasField("include_opaque_state") else wanted:
        include.append(ENCRYPTED)
    if params.logprobs or params.top_logprobs:
        include.append(LOGPROBS)
    return include


def _reasoning(reasoning: params_pb2.ReasoningParams, scope: Scope) -> Native:
    native: Native = {}
    effort = "none" if is_off(reasoning) else reasoning.effort
    if reasoning.mode == _Reasoning.MODE_ENABLED and not effort:
        effort = "medium"
        scope.losses.emulated("params.reasoning.mode", "there is no switch; effort medium is asked for")
    if effort:
        native["effort"] = offered(effort, scope)
    if reasoning.summary not in ("", "none"):
        native["summary"] = reasoning.summary
    if reasoning.HasField("budget_tokens"):
        scope.losses.hint("params.reasoning.budget_tokens", "the Responses API has no reasoning budget")
    return native


def _text(params: params_pb2.GenerateParams, scope: Scope) -> Native:
    text: Native = {}
    kind = params.output_format.WhichOneof("format")
    if kind == "json_object":
        text["format"] = {"type": "json_object"}
    elif kind == "json_schema":
        text["format"] = _schema(params.output_format.json_schema)
    elif kind is not None:
        scope.losses.shape(f"params.output_format.{kind}", f"{scope.dialect.name} has no such output format")
    if params.verbosity:
        text["verbosity"] = params.verbosity
    return text


def _schema(schema: params_pb2.JsonSchema) -> Native:
    native: Native = {"type": "json_schema", "name": schema.name}
    if schema.description:
        native["description"] = schema.description
    if schema.schema_json:
        native["schema"] = json_text.verbatim(schema.schema_json, "params.output_format.json_schema.schema_json")
    if schema.HasField("strict"):
        native["strict"] = schema.strict
    return native


def _patch(body: Native, options: options_pb2.CallOptions, scope: Scope) -> None:
    """The caller's patch comes last; limits hold for what is really sent."""
    merge_patch.apply(body, options.provider_json, scope.keys, param="options.provider_json", protected=_PROTECTED)
    for member, minimum, maximum in (("max_output_tokens", 1, 2**31 - 1), ("top_logprobs", 0, 20)):
        value: Any = body.get(member)
        value = json_text.read(bytes(value)) if isinstance(value, msgspec.Raw) else value
        if value is not None and not (type(value) is int and minimum <= value <= maximum):
            field = next(param.field for param in PARAMS if param.native == member)
            raise invalid(f"{member} must be a whole number of {minimum} to {maximum}", f"params.{field}")
