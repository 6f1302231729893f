"""Owns what Cohere's chat takes of the contract's parameters, as data; Model.support is made from it.

https://docs.cohere.com/reference/chat, as typed by cohere 7.3 (2026-11).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from antiphon.llm.v1 import models_pb2

NAME: Final = "cohere"
BASE_URL: Final = "https://api.cohere.com"
MAX_STOP: Final = 5
# Callers may name their application, as the SDK's `client_name` does.
ALLOWED_HEADERS: Final = frozenset({"x-client-name"})


class Bounds(NamedTuple):
    """Values outside are answered with 400."""

    low: float
    high: float


MEMBERS: Final[Mapping[str, str]] = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop": "stop_sequences",
    "seed": "seed",
    "logprobs": "logprobs",
}
"""Field of GenerateParams to the member of the body that it becomes."""

BOUNDS: Final[Mapping[str, Bounds]] = {
    "top_p": Bounds(0.01, 0.99),
    "top_k": Bounds(0, 500),
    "frequency_penalty": Bounds(0.0, 1.0),
    "presence_penalty": Bounds(0.0, 1.0),
}

HINTS: Final[Mapping[str, str]] = {
    "min_p": "Cohere samples by p and k only",
    "repetition_penalty": "Cohere penalises frequency and presence only",
    "logit_bias": "Cohere takes no token biases",
    "max_tool_calls": "Cohere runs no tools itself",
    "service_tier": "Cohere has no tiers; options.provider_json can set its `priority`",
    "store": "Cohere keeps no responses for reference",
    "end_user_id": "Cohere takes no end user",
    "prompt_cache_key": "Cohere caches prompts by itself",
    "verbosity": "Cohere has no such control",
}
"""Fields that Cohere has no word for and that only tune the answer, with the reason."""

_NATIVE: Final = models_pb2.SUPPORT_NATIVE
_EMULATED: Final = models_pb2.SUPPORT_EMULATED
_IGNORED: Final = models_pb2.SUPPORT_IGNORED
_REJECTED: Final = models_pb2.SUPPORT_REJECTED


def support() -> dict[str, models_pb2.Support]:
    """Field path to how this adapter treats it in chat."""
    table = {f"params.{field}": _NATIVE for field in MEMBERS}
    table |= {f"params.{field}": _IGNORED for field in HINTS}
    return table | {
        # One candidate, text and parallel calls are what Cohere gives; anything else is refused.
        "params.candidate_count": _REJECTED,
        "params.output_modalities": _REJECTED,
        "params.parallel_tool_calls": _REJECTED,
        "params.top_logprobs": _REJECTED,
        "params.output_format.json_object": _NATIVE,
        "params.output_format.json_schema": _NATIVE,
        "params.output_format.grammar": _REJECTED,
        "params.reasoning.mode": _NATIVE,
        "params.reasoning.budget_tokens": _NATIVE,
        "params.reasoning.effort": _EMULATED,
        "params.reasoning.summary": _IGNORED,
        "params.reasoning.include_opaque_state": _IGNORED,
        "params.tool_choice.mode": _NATIVE,
        "params.tool_choice.allowed_names": _EMULATED,
        "prompt.documents": _NATIVE,
        "prompt.messages.name": _IGNORED,
        "prompt.messages.prefill": _REJECTED,
        "prompt.messages.parts.document": _EMULATED,
        "prompt.messages.parts.cache": _IGNORED,
        "prompt.tools.function": _NATIVE,
        "prompt.tools.function.strict": _NATIVE,
        "prompt.tools.custom": _REJECTED,
        "prompt.tools.provider_tool": _REJECTED,
        "prompt.tools.mcp": _REJECTED,
        "prompt.tools.defer_loading": _IGNORED,
        "prompt.tools.cache": _IGNORED,
    }
