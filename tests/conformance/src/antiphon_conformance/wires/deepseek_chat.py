"""Owns how DeepSeek spells things where it does otherwise than OpenAI: usage, one more finish, what a 503 means."""

from collections.abc import Mapping
from dataclasses import replace

from antiphon.llm.v1 import response_pb2
from antiphon_conformance.wires import Counts, Refusal
from antiphon_conformance.wires.openai_chat import REFUSALS, OpenAIChat

_OVERLOADED = "insufficient_system_resource"
_BALANCE = b'{"error": {"message": "Insufficient Balance", "type": "unknown_error", "param": null, "code": "x"}}'


class DeepSeekChat(OpenAIChat):
    """As https://api-docs.deepseek.com describes it in November 2026."""

    name = "deepseek_chat"

    def usage(self, counts: Counts) -> dict[str, object]:
        told = super().usage(counts)
        del told["prompt_tokens_details"]
        hit = counts.cache_read_tokens
        return {**told, "prompt_cache_hit_tokens": hit, "prompt_cache_miss_tokens": counts.input_tokens - hit}

    @property
    def finishes(self) -> "Mapping[str, response_pb2.FinishReason]":
        return {**super().finishes, _OVERLOADED: response_pb2.FinishReason.FINISH_REASON_OVERLOADED}

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        return {
            **REFUSALS,
            "balance": Refusal(402, _BALANCE, "QUOTA_EXHAUSTED"),
            "unavailable": replace(REFUSALS["unavailable"], reason="PROVIDER_OVERLOADED"),
        }
