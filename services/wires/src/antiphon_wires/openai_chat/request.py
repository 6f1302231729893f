"""Owns the translation of a contract request into the body of a streaming chat completion."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from antiphon.llm.v1 import chat_pb2, http_pb2, params_pb2, response_pb2
from antiphon_wires import json_text, merge_patch
from antiphon_wires.losses import Losses
from antiphon_wires.openai_chat.dialect import PARAMS, Dialect, Loss, Param
from antiphon_wires.openai_chat.messages import encode_messages
from antiphon_wires.openai_chat.reasoning import encode_reasoning, reasons
from antiphon_wires.openai_chat.scope import Native, Scope, invalid
from antiphon_wires.openai_chat.tools import encode_tools

# What a patch of the whole call may not touch: routing, the way the answer comes, and credentials.
_PROTECTED: Final[tuple[merge_patch.Path, ...]] = (
    ("model",),
    ("stream",),
    ("stream_options", "include_usage"),
    ("api_key",),
    ("authorization",),
)
_encode: Final = msgspec.json.Encoder().encode


class Encoded(NamedTuple):
    """A request ready to be sent: JSON body, the headers its caller asked for, and what was left out or changed.

    `path`, below the base URL, is set where it is not the usual one.
    """

    body: bytes
    headers: Mapping[str, str]
    warnings: tuple[response_pb2.Warning, ...]
    path: str = ""


def encode_request(
    request: chat_pb2.StreamGenerateRequest,
    dialect: Dialect,
    *,
    model: str,
    max_output_tokens: int = 0,
    state_domain: str = "",
) -> Encoded:
    """The native request. `max_output_tokens` counts where the caller set none; 0: no bound.

    Ranges and contradictions that no provider would take have been refused before, by the kit.
    Raises CallFailure: INVALID_REQUEST, or PARAM_UNSUPPORTED for what the dialect lacks and the caller's policy does
    not let go; `param` names the field.
    """
    losses = Losses(dialect.name, request.options.unsupported_policy)
    scope = Scope(dialect, losses, state_domain, reasons(request.params.reasoning, dialect))
    body: Native = {"model": model, "messages": encode_messages(request.prompt, scope), "stream": True}
    if dialect.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if request.prompt.tools or request.HasField("params"):
        body |= encode_tools(request, scope)
    _add_params(body, request.params, scope, max_output_tokens)
    if request.params.HasField("reasoning"):
        body |= encode_reasoning(request.params.reasoning, scope)
    if request.params.HasField("output_format"):
        _add_format(body, request.params.output_format, scope)
    options = request.options
    merge_patch.apply(body, options.provider_json, dialect.keys, param="options.provider_json", protected=_PROTECTED)
    check_limits(body, dialect, losses)
    headers = allowed_headers(options.provider_headers, scope, dialect.keys)
    path = f"{dialect.beta_path}/chat/completions" if dialect.beta_path and _is_beta(request) else ""
    return Encoded(_encode(body), headers, tuple(losses.warnings()), path)


def _is_beta(request: chat_pb2.StreamGenerateRequest) -> bool:
    strict = any(tool.function.strict for tool in request.prompt.tools)
    return strict or any(message.prefill for message in request.prompt.messages)


def _add_params(body: Native, params: params_pb2.GenerateParams, scope: Scope, max_output_tokens: int) -> None:
    thinking = scope.dialect.thinking
    idle = thinking.ignores if thinking is not None and scope.reasons else frozenset()
    for param, value in param_values(params):
        native = scope.dialect.native(param)
        if native is not None and param.field not in idle:
            body[native] = value
            continue
        if native is None and value == param.default:
            continue
        path = f"params.{param.field}"
        lose = scope.losses.hint if param.loss is Loss.HINT else scope.losses.shape
        why = "has no such parameter" if native is None else "ignores it while the model reasons"
        lose(path, f"{scope.dialect.name} {why}")
    if max_output_tokens and not params.HasField("max_output_tokens"):
        body[scope.dialect.max_tokens_field] = max_output_tokens


def param_values(params: params_pb2.GenerateParams) -> Iterator[tuple[Param, Any]]:
    """What the caller set, as JSON, in the order of PARAMS."""
    given = {field.name: value for field, value in params.ListFields()}
    if given.get("top_logprobs"):
        given["logprobs"] = True
    for param in PARAMS if given else ():
        if param.field not in given:
            continue
        value = given[param.field]
        if param.field == "logit_bias":
            value = {str(token): _bias(bias) for token, bias in sorted(value.items())}
        elif param.field in ("stop", "output_modalities"):
            value = list(value)
        yield param, value


def _bias(bias: float) -> int | float:
    if not math.isfinite(bias):
        raise invalid("params.logit_bias must hold finite numbers", "params.logit_bias")
    return int(bias) if bias.is_integer() else bias


def _add_format(body: Native, output: params_pb2.OutputFormat, scope: Scope) -> None:
    kind = output.WhichOneof("format")
    if kind is None:
        return
    path = f"params.output_format.{kind}"
    if kind == "grammar" or kind in scope.dialect.lacks:
        scope.losses.shape(path, f"{scope.dialect.name} has no such output format")
        return
    if kind == "json_object":
        body["response_format"] = {"type": "json_object"}
        return
    schema = output.json_schema
    native: Native = {"name": schema.name}
    if schema.description:
        native["description"] = schema.description
    if schema.schema_json:
        native["schema"] = json_text.verbatim(schema.schema_json, f"{path}.schema_json")
    if schema.HasField("strict"):
        if "strict" in scope.dialect.lacks:
            scope.losses.shape(f"{path}.strict", f"{scope.dialect.name} enforces no schemas")
        else:
            native["strict"] = schema.strict
    body["response_format"] = {"type": "json_schema", "json_schema": native}


def check_limits(body: Native, dialect: Dialect, losses: Losses) -> None:
    """Limits hold for what is really sent, patches included."""
    stop = _plain(body.get("stop"))
    if isinstance(stop, list) and len(stop) > dialect.max_stop:
        losses.shape("params.stop", f"{dialect.name} takes at most {dialect.max_stop} stop texts")
        body["stop"] = stop[: dialect.max_stop]
    for member, minimum, maximum in (
        (dialect.max_tokens_field, 1, 2**31 - 1),
        ("n", 1, 128),
        ("top_logprobs", 0, 20),
    ):
        value = _plain(body.get(member))
        if value is not None and not (type(value) is int and minimum <= value <= maximum):
            raise invalid(f"{member} must be a whole number of {minimum} to {maximum}", _path(member, dialect))


def _plain(value: Any) -> Any:
    return json_text.read(bytes(value)) if isinstance(value, msgspec.Raw) else value


def _path(member: str, dialect: Dialect) -> str:
    return next((f"params.{param.field}" for param in PARAMS if dialect.native(param) == member), member)


def allowed_headers(wanted: Mapping[str, http_pb2.HttpHeaders], scope: Scope, keys: Sequence[str]) -> dict[str, str]:
    """The caller's headers under `keys` that are allowed; a repeated name becomes one value (RFC 9110, 5.3)."""
    allowed: dict[str, str] = {}
    for key in keys if wanted else ():
        # Looking up a missing key in a protobuf map would add it.
        for header in wanted[key].headers if key in wanted else ():
            name = header.name.lower()
            if name not in scope.dialect.allowed_headers:
                scope.losses.hint(f'options.provider_headers["{key}"]', f"header {name} is not on the allow-list")
            elif any(ord(char) < 32 or ord(char) > 255 for char in header.value):
                raise invalid(f"header {name} holds characters no header can carry", "options.provider_headers")
            else:
                allowed[name] = f"{allowed[name]}, {header.value}" if name in allowed else header.value
    return allowed
