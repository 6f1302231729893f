"""Owns what llama.cpp's refusals mean: `{"error": {"code", "message", "type"}}` to a CallFailure."""

import json
from typing import Final

from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_wires.classification import Row, classify_in_stream

PROVIDER: Final = "local"

# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-common.cpp, format_error_response (2026-11).
ROWS: Final = (
    Row("llama_unsupported", Reason.ERROR_REASON_PARAM_UNSUPPORTED, words=frozenset({"not_supported_error"})),
    Row("llama_busy", Reason.ERROR_REASON_PROVIDER_OVERLOADED, words=frozenset({"unavailable_error"})),
)


def is_refusal(chunk: bytes) -> bool:
    """Whether this chunk is an error instead of a piece of the answer."""
    return chunk.startswith(b'{"error":')


def refused(answer: bytes, model: str) -> CallFailure:
    """The failure in an error answer, with the sizes where a prompt is too long."""
    error = json.loads(answer)["error"]
    if error.get("type") == "exceed_context_size_error":
        return too_long(f"{error['n_prompt_tokens']} tokens", error["n_ctx"], model)
    return CallFailure(classify_in_stream(PROVIDER, answer, model=model, extra=ROWS))


def too_long(size: str, context_tokens: int, model: str) -> CallFailure:
    """The failure for a prompt that leaves no room in the context."""
    return CallFailure(
        call_error(
            Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
            f"the prompt has {size}, the context {context_tokens} tokens; shorten the prompt or raise "
            "LOCAL_CONTEXT_TOKENS",
            param="prompt",
            provider=PROVIDER,
            model=model,
        )
    )
