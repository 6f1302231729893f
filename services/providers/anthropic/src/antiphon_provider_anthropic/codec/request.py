"""Owns the translation of a contract request into the body of a streaming message, or of a count of its tokens."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from antiphon.llm.v1 import chat_pb2, http_pb2, response_pb2
from antiphon_provider_anthropic.codec.messages import encode_conversation
from antiphon_provider_anthropic.codec.models import Facts
from antiphon_provider_anthropic.codec.params import add_params
from antiphon_provider_anthropic.codec.scope import KEYS, NAME, Native, Scope, Sources, invalid
from antiphon_provider_anthropic.codec.tools import encode_tools
from antiphon_wires import json_text, merge_patch
from antiphon_wires.losses import Losses

# What a patch of the whole call may not touch: routing, the way the answer comes, and credentials.
_PROTECTED: Final[tuple[merge_patch.Path, ...]] = (("model",), ("stream",), ("api_key",), ("authorization",))
_ALLOWED_HEADERS: Final = frozenset({"anthropic-beta"})
# MessageCountTokensParams of anthropic 2.14; the call refuses everything else.
_COUNTED: Final = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed"}
)
_encode: Final = msgspec.json.Encoder().encode


class Encoded(NamedTuple):
    """A request ready to be sent: JSON body, the headers its caller asked for, what was left out or changed, and
    what its documents are called."""

    body: bytes
    headers: Mapping[str, str]
    warnings: tuple[response_pb2.Warning, ...]
    sources: Sources


def encode_request(
    request: chat_pb2.StreamGenerateRequest,
    *,
    model: str,
    facts: Facts,
    max_output_tokens: int = 0,
    state_domain: str = "",
) -> Encoded:
    """The native request. `max_output_tokens` counts where the caller set none; 0: the model's maximum.

    Ranges and contradictions that no provider would take have been refused before, by the kit.
    Raises CallFailure: INVALID_REQUEST, or PARAM_UNSUPPORTED for what the vendor lacks and the caller's policy does
    not let go; `param` names the field.
    """
    scope = Scope(Losses(NAME, request.options.unsupported_policy), state_domain)
    body = _body(request, model, scope, facts, max_output_tokens)
    headers = _headers(request.options.provider_headers, scope)
    return Encoded(_encode(body), headers, tuple(scope.losses.warnings()), scope.sources())


def encode_count(
    request: chat_pb2.StreamGenerateRequest, *, model: str, facts: Facts, state_domain: str = ""
) -> Encoded:
    """The native request for a count of the input tokens that `encode_request` would have."""
    scope = Scope(Losses(NAME, request.options.unsupported_policy), state_domain)
    body = _body(request, model, scope, facts, 0)
    counted = {member: value for member, value in body.items() if member in _COUNTED}
    headers = _headers(request.options.provider_headers, scope)
    return Encoded(_encode(counted), headers, tuple(scope.losses.warnings()), scope.sources())


def _body(
    request: chat_pb2.StreamGenerateRequest, model: str, scope: Scope, facts: Facts, max_output_tokens: int
) -> Native:
    body: Native = {"model": model, "stream": True}
    # Tools, system, messages: the order in which the vendor caches them.
    if request.prompt.tools or request.HasField("params"):
        body |= encode_tools(request, scope)
    body |= encode_conversation(request.prompt, scope)
    add_params(body, request.params, scope, facts, max_output_tokens)
    merge_patch.apply(body, request.options.provider_json, KEYS, param="options.provider_json", protected=_PROTECTED)
    _check(body)
    return body


def _check(body: Native) -> None:
    """Limits hold for what is really sent, patches included. 0 tokens warm the prompt cache up."""
    limit = _plain(body.get("max_tokens"))
    if not (type(limit) is int and 0 <= limit < 2**31):
        raise invalid("max_tokens must be a whole number", "params.max_output_tokens")


def _plain(value: Any) -> Any:
    return json_text.read(bytes(value)) if isinstance(value, msgspec.Raw) else value


def _headers(wanted: Mapping[str, http_pb2.HttpHeaders], scope: Scope) -> dict[str, str]:
    """The caller's headers that are allowed; a repeated name becomes one comma-separated value (RFC 9110, 5.3)."""
    allowed: dict[str, str] = {}
    for key in KEYS if wanted else ():
        # Looking up a missing key in a protobuf map would add it.
        for header in wanted[key].headers if key in wanted else ():
            name = header.name.lower()
            if name not in _ALLOWED_HEADERS:
                scope.losses.hint(f'options.provider_headers["{key}"]', f"header {name} is not on the allow-list")
            elif any(ord(char) < 32 or ord(char) > 255 for char in header.value):
                raise invalid(f"header {name} holds characters no header can carry", "options.provider_headers")
            else:
                allowed[name] = f"{allowed[name]}, {header.value}" if name in allowed else header.value
    return allowed
