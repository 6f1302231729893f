"""Owns how the local model departs from other speakers of the chat-completions wire, and its entry in the catalogue."""

from typing import Final

from antiphon.llm.v1 import models_pb2
from antiphon_provider_local.engine import Facts
from antiphon_provider_local.refusals import PROVIDER, ROWS
from antiphon_provider_local.settings import WEIGHTS_NAME
from antiphon_wires.openai_chat.dialect import Dialect, support

# https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md (2026-11), and tried with xllamacpp
# 2026.10.11549: unknown members are ignored without a word, so whatever is not named there is taken as lacking.
LLAMA_CPP: Final = Dialect(
    name=PROVIDER,
    base_url="",
    max_tokens_field="max_tokens",
    params={
        "top_k": "top_k",
        "min_p": "min_p",
        "repetition_penalty": "repeat_penalty",
        "service_tier": None,
        "output_modalities": None,
        "store": None,
        "end_user_id": None,
        "prompt_cache_key": None,
        "verbosity": None,
    },
    lacks=frozenset(
        {
            "developer_role",
            "custom_tools",
            "allowed_tools",
            "reasoning_effort",
            "image",
            "audio",
            "file",
            "cache_breakpoints",
        }
    ),
    prefill_field="",
    max_stop=64,
    errors=ROWS,
)


def catalogue_entry(model_name: str, facts: Facts) -> models_pb2.Model:
    """The model as ListModels shows it."""
    entry = models_pb2.Model(
        id=f"{PROVIDER}/{model_name}",
        provider=PROVIDER,
        native_id=model_name,
        display_name="SmolLM2 135M Instruct" if model_name == WEIGHTS_NAME else model_name,
        lifecycle=models_pb2.Model.LIFECYCLE_ACTIVE,
        max_input_tokens=facts.context_tokens,
        max_output_tokens=facts.context_tokens,
        operations=["generate", "count_tokens"],
        input_modalities=["text"],
        output_modalities=["text"],
    )
    rejected = models_pb2.SUPPORT_REJECTED
    treated = support(LLAMA_CPP) | {
        "params.candidate_count": rejected,
        "params.output_format.grammar": models_pb2.SUPPORT_NATIVE,
        "prompt.messages.prefill": models_pb2.SUPPORT_NATIVE,
    }
    if not facts.takes_tools:
        treated |= dict.fromkeys(
            ("prompt.tools.function", "params.tool_choice", "params.tool_choice.allowed_names"), rejected
        )
    for path, how in treated.items():
        entry.support[path] = how
    return entry
