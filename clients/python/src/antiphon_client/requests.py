"""Owns the way from friendly arguments to a request and its metadata, and the checks that need no server.

Forbids itself: I/O. Everything it refuses is an InvalidRequest that names the argument.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypedDict, TypeVar

import grpc

from antiphon.llm.v1 import (
    chat_pb2,
    completion_pb2,
    content_pb2,
    embedding_pb2,
    native_pb2,
    rerank_pb2,
)
from antiphon.llm.v1.options_pb2 import CallOptions
from antiphon.llm.v1.params_pb2 import GenerateParams
from antiphon_client import errors
from antiphon_contract import metadata as names

MAX_REQUEST_BYTES: Final = 64 * 1024 * 1024
DEFAULT_TIMEOUT_S: Final = 600.0

AfterContent = Literal["fail", "restart", "hold"]
Turn = content_pb2.Message | tuple[str, str]
Prompt = str | Sequence[Turn]
Request = TypeVar("Request", chat_pb2.GenerateRequest, chat_pb2.StreamGenerateRequest, chat_pb2.CountTokensRequest)
Sent = TypeVar(
    "Sent",
    bound=chat_pb2.GenerateRequest
    | chat_pb2.StreamGenerateRequest
    | chat_pb2.CountTokensRequest
    | completion_pb2.CompleteRequest
    | completion_pb2.StreamCompleteRequest
    | embedding_pb2.EmbedRequest
    | rerank_pb2.RerankRequest
    | native_pb2.CallNativeRequest,
)

ROLES: Final[dict[str, content_pb2.Role]] = {
    "system": content_pb2.ROLE_SYSTEM,
    "developer": content_pb2.ROLE_DEVELOPER,
    "user": content_pb2.ROLE_USER,
    "assistant": content_pb2.ROLE_ASSISTANT,
}


class RouteArguments(TypedDict, total=False):
    """How a call is routed; travels as metadata.

    provider: only backends of this provider (several: comma list). timeout_s: deadline of the whole call, seconds;
    None: the client's. after_content: what the router does when an attempt fails after its first content. affinity:
    `ResponseStart.state_domain` of earlier turns. request_id: at most 128 characters; made up when absent.
    metadata: further request metadata, lower-case keys.
    """

    provider: str
    timeout_s: float | None
    after_content: AfterContent
    affinity: str
    request_id: str
    metadata: Mapping[str, str]


class CallArguments(RouteArguments, total=False):
    """What is asked of which model.

    model: model id, alias or route; "": the client's default, else the router's. system: instructions put before the
    conversation. max_output_tokens: overrides the same field of params. params, options: the contract's own messages.
    """

    model: str
    system: str | None
    max_output_tokens: int | None
    params: GenerateParams | None
    options: CallOptions | None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a client puts where a call says nothing."""

    model: str = ""
    timeout_s: float | None = DEFAULT_TIMEOUT_S
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """Metadata and deadline of one call."""

    metadata: tuple[tuple[str, str], ...]
    timeout_s: float | None
    request_id: str
    after_content: AfterContent = "fail"


@dataclass(frozen=True, slots=True)
class Prepared(Generic[Sent]):
    """A request that passed the checks, and its route."""

    request: Sent
    route: Route


def prepare(kind: type[Request], prompt: Prompt, call: CallArguments, defaults: Defaults) -> Prepared[Request]:
    """A request of `kind`. Raises InvalidRequest."""
    model = _model(call.get("model", ""), call, defaults)
    request = kind(
        model=model,
        prompt=chat_pb2.Prompt(messages=messages_from(prompt, call.get("system"))),
        params=params_from(call.get("params"), call.get("max_output_tokens")),
        options=call.get("options"),
    )
    return prepare_raw(request, call, defaults)


def prepare_raw(request: Request, call: RouteArguments, defaults: Defaults) -> Prepared[Request]:
    """The caller's own request with its route. Raises InvalidRequest."""
    _check_model_length(request.model)
    if not request.prompt.messages:
        raise errors.invalid("the prompt is empty; give at least one message", "prompt.messages")
    return _routed(request, call, defaults)


def finished(request: Sent, model: str, call: RouteArguments, defaults: Defaults) -> Prepared[Sent]:
    """A request that lacks nothing but its model, with its route. Raises InvalidRequest."""
    request.model = _model(model, call, defaults)
    _check_model_length(request.model)
    return _routed(request, call, defaults)


def _routed(request: Sent, call: RouteArguments, defaults: Defaults) -> Prepared[Sent]:
    size = request.ByteSize()
    if size > MAX_REQUEST_BYTES:
        raise _too_large(size)
    return Prepared(request, route(call, defaults, model=request.model))


def _model(given: str, call: RouteArguments, defaults: Defaults) -> str:
    model = given or ("" if call.get("provider") else defaults.model)
    check_text(model, "model")
    return model


def _check_model_length(model: str) -> None:
    if len(model.encode()) > names.MAX_MODEL_BYTES:
        raise errors.invalid(f"the model id is longer than {names.MAX_MODEL_BYTES} bytes", "model")


def messages_from(prompt: Prompt, system: str | None = None) -> list[content_pb2.Message]:
    """Messages of a text, of (role, text) pairs, of messages, or of a mix of the two. Raises InvalidRequest."""
    turns: Sequence[Turn] = [("user", prompt)] if isinstance(prompt, str) else list(prompt)
    if system:
        turns = [("system", system), *turns]
    if len(turns) <= bool(system):
        raise errors.invalid("the prompt is empty; give at least one message", "prompt.messages")
    return [_message(turn, f"prompt.messages[{index}]") for index, turn in enumerate(turns)]


def text_message(role: str, text: str, where: str = "prompt") -> content_pb2.Message:
    """A message of one text part. Raises InvalidRequest for an unknown role, empty text or half characters."""
    if role not in ROLES:
        raise errors.invalid(f"unknown role {role!r}; known are {', '.join(ROLES)}", f"{where}.role")
    if len(text) > MAX_REQUEST_BYTES:
        raise _too_large(len(text))
    check_text(text, where)
    if not text.strip():
        raise errors.invalid("the prompt is empty; give it some text", where)
    return content_pb2.Message(role=ROLES[role], parts=[content_pb2.Part(text=content_pb2.TextPart(text=text))])


def _message(turn: Turn, where: str) -> content_pb2.Message:
    if isinstance(turn, content_pb2.Message):
        if not turn.parts and not turn.provider_json:
            raise errors.invalid("the message is empty; give it at least one part", where)
        return turn
    role, text = turn
    return text_message(role, text, where)


def params_from(params: GenerateParams | None, max_output_tokens: int | None) -> GenerateParams | None:
    """`params` with the bound, as a copy. Raises InvalidRequest."""
    if max_output_tokens is None:
        return params
    if not 1 <= max_output_tokens < 2**31:
        message = f"max_output_tokens must be from 1 to {2**31 - 1}, not {max_output_tokens}"
        raise errors.invalid(message, "params.max_output_tokens")
    merged = GenerateParams()
    if params is not None:
        merged.CopyFrom(params)
    merged.max_output_tokens = max_output_tokens
    return merged


def route(call: RouteArguments, defaults: Defaults, *, model: str = "") -> Route:
    """Metadata and deadline of a call. Raises InvalidRequest for what cannot be sent as metadata."""
    request_id = call.get("request_id") or secrets.token_hex(8)
    if len(request_id) > names.MAX_REQUEST_ID_CHARS:
        raise errors.invalid(f"the request id is longer than {names.MAX_REQUEST_ID_CHARS} characters", "request_id")
    after_content = call.get("after_content", "fail")
    if after_content not in ("fail", "restart", "hold"):
        raise errors.invalid(f"after_content is fail, restart or hold, not {after_content!r}", "after_content")
    pairs = {**defaults.metadata, **call.get("metadata", {}), names.REQUEST_ID: request_id}
    if _is_metadata(model):
        pairs[names.MODEL] = model  # A router reads any other model out of the body.
    if provider := call.get("provider", ""):
        if not _is_metadata(provider):
            raise errors.invalid("a provider name holds printable ASCII characters only", "provider")
        pairs[names.PROVIDER] = provider
    if after_content != "fail":
        pairs[names.AFTER_CONTENT] = after_content
    if affinity := call.get("affinity", ""):
        pairs[names.AFFINITY] = affinity
    for key, value in pairs.items():
        _check_metadata(key, value)
    timeout_s = call.get("timeout_s")
    timeout_s = defaults.timeout_s if timeout_s is None else timeout_s
    if timeout_s is not None and not timeout_s > 0:
        raise errors.invalid(f"timeout_s must be greater than 0, not {timeout_s}", "timeout_s")
    return Route(tuple(pairs.items()), timeout_s, request_id, after_content)


def check_text(text: str, where: str) -> None:
    """Raises InvalidRequest for text that is no Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"the text is not valid Unicode: half a character (a lone surrogate) at position {error.start}"
        raise errors.invalid(message, where) from None


def _check_metadata(key: str, value: str) -> None:
    if not _is_metadata(value) or not (key.isascii() and key.lower() == key and key.replace("-", "a").isidentifier()):
        raise errors.invalid("metadata takes lower-case keys and printable ASCII values, without outer spaces", key)


def _is_metadata(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and value == value.strip()


def _too_large(size: int) -> errors.RequestTooLarge:
    message = f"the request has {size:,} bytes, the limit is {MAX_REQUEST_BYTES:,}; shorten the prompt"
    code = grpc.StatusCode.INVALID_ARGUMENT
    return errors.RequestTooLarge(message, reason="REQUEST_TOO_LARGE", code=code, param="prompt")
