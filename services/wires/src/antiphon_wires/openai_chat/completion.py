"""Owns text completion on this wire: a text and perhaps what follows it out, a stream of texts in.

https://developers.openai.com/api/reference/resources/completions, as typed by openai 3.57 (2026-11); fill in the
middle as in https://api-docs.deepseek.com/guides/fim_completion (2026-11). Chunks are those of a chat but for the
place of the text, so the stream is the chat's.

Forbids itself: I/O, the SDK, the kit.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from antiphon.llm.v1 import completion_pb2, params_pb2
from antiphon_wires import merge_patch
from antiphon_wires.losses import Losses
from antiphon_wires.openai_chat.dialect import Dialect, Loss
from antiphon_wires.openai_chat.request import Encoded, allowed_headers, check_limits, param_values
from antiphon_wires.openai_chat.scope import Native, Scope
from antiphon_wires.openai_chat.stream import ChatStream

_PROTECTED: Final[tuple[merge_patch.Path, ...]] = (
    ("model",),
    ("stream",),
    ("stream_options", "include_usage"),
    ("api_key",),
    ("authorization",),
)
# Where this API is not that of chat completions. `logprobs` is a number here.
_NATIVE: Final[Mapping[str, str | None]] = {
    "logprobs": None,
    "top_logprobs": None,
    "service_tier": None,
    "output_modalities": None,
    "store": None,
    "end_user_id": "user",
    "prompt_cache_key": None,
    "verbosity": None,
}
# Of logprobs. Dropped: `text_offset`, the sums of the tokens' lengths.
_LISTS: Final = frozenset({"tokens", "token_logprobs", "top_logprobs", "text_offset"})
_encode: Final = msgspec.json.Encoder().encode


def encode_completion(
    request: completion_pb2.StreamCompleteRequest, dialect: Dialect, *, model: str, max_output_tokens: int = 0
) -> Encoded:
    """The native request, as `encode_request` makes it for a chat."""
    dialect = replace(dialect, max_tokens_field="max_tokens")
    losses = Losses(dialect.name, request.options.unsupported_policy)
    scope = Scope(dialect, losses, "")
    prompt, options = request.prompt, request.options
    text: Any = list(prompt.tokens.ids) if prompt.HasField("tokens") else prompt.text
    body: Native = {"model": model, "prompt": text, "stream": True}
    if dialect.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if prompt.suffix:
        body["suffix"] = prompt.suffix
    if prompt.HasField("echo"):
        body["echo"] = prompt.echo
    _add_params(body, request.params, scope, max_output_tokens)
    keys = dialect.keys_of("completions")
    merge_patch.apply(body, options.provider_json, keys, param="options.provider_json", protected=_PROTECTED)
    check_limits(body, dialect, losses)
    headers = allowed_headers(options.provider_headers, scope, keys)
    return Encoded(_encode(body), headers, tuple(losses.warnings()))


def _add_params(body: Native, params: params_pb2.GenerateParams, scope: Scope, max_output_tokens: int) -> None:
    losses, name = scope.losses, scope.dialect.name
    for param, value in param_values(params):
        if param.field == "logprobs":
            if value:
                # 0 would do for OpenAI; llama.cpp takes it for none (tools/server/README.md, 2026-11).
                body["logprobs"] = max(1, params.top_logprobs)
            continue
        if param.field == "top_logprobs":
            continue
        native = scope.dialect.native(param)
        if param.field in _NATIVE and param.field not in scope.dialect.params:
            native = _NATIVE[param.field]
        if native is not None:
            body[native] = value
            continue
        if value == param.default:
            continue
        lose = losses.hint if param.loss is Loss.HINT else losses.shape
        lose(f"params.{param.field}", f"text completion of {name} has no such parameter")
    if params.HasField("output_format"):
        losses.shape("params.output_format", f"text completion of {name} has no output formats")
    if max_output_tokens and not params.HasField("max_output_tokens"):
        body[scope.dialect.max_tokens_field] = max_output_tokens


class CompletionStream(ChatStream):
    """One answer, fed like a ChatStream."""

    def _general(self, chunk: Any, payload: bytes) -> None:
        super()._general(_as_chat(chunk), payload)


def _as_chat(chunk: Any) -> Any:
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    return {**chunk, "choices": [_choice(choice) for choice in choices]} if isinstance(choices, list) else chunk


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    rest = {name: value for name, value in choice.items() if name != "text"}
    return {**rest, "delta": {"content": choice.get("text")}, "logprobs": _logprobs(choice.get("logprobs"))}


def _logprobs(value: Any) -> Any:
    """Parallel lists as a list of tokens; llama.cpp sends the latter by itself. Further members stay what they are."""
    if not isinstance(value, dict) or not isinstance(tokens := value.get("tokens"), list):
        return value
    numbers, tops = (_list(value.get(name)) for name in ("token_logprobs", "top_logprobs"))
    content = []
    for index, token in enumerate(tokens):
        number = numbers[index] if index < len(numbers) else None
        top = tops[index] if index < len(tops) else None
        # The first token of an echoed prompt follows nothing and has no probability.
        if number is not None:
            content.append({"token": token, "logprob": number, "top_logprobs": _tops(top)})
    return {**{name: told for name, told in value.items() if name not in _LISTS}, "content": content}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _tops(top: Any) -> list[dict[str, Any]]:
    return [_alternative(*item) for item in top.items()] if isinstance(top, dict) else []


def _alternative(token: str, told: Any) -> dict[str, Any]:
    # What is no number has no meaning here, and is told as it stands.
    return {"token": token, "logprob" if isinstance(told, int | float) else "told": told}
