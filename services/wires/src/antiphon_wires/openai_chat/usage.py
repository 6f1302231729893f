"""Owns the reading of a usage object into inclusive totals. What is not a count stays unknown, never 0."""

from typing import Any, Final

from antiphon.llm.v1 import usage_pb2

_MODALITIES: Final = ("text", "image", "audio", "video")


def read_usage(value: dict[str, Any], native_json: str) -> usage_pb2.Usage:
    """`value` is the vendor's usage object, `native_json` the same verbatim.

    DeepSeek tells cache hits in a member of its own (https://api-docs.deepseek.com/guides/kv_cache, 2026-11).
    """
    usage = usage_pb2.Usage(source=usage_pb2.Usage.SOURCE_PROVIDER, native_json=native_json)
    prompt = _details(value, "prompt_tokens_details")
    completion = _details(value, "completion_tokens_details")
    _set(usage, "input_tokens", value.get("prompt_tokens"))
    _set(usage, "output_tokens", value.get("completion_tokens"))
    _set(usage, "cache_read_input_tokens", prompt.get("cached_tokens", value.get("prompt_cache_hit_tokens")))
    _set(usage, "cache_write_input_tokens", prompt.get("cache_write_tokens"))
    _set(usage, "reasoning_output_tokens", completion.get("reasoning_tokens"))
    for modality in _MODALITIES if prompt or completion else ():
        row = usage_pb2.ModalityTokens(modality=modality)
        told = _set(row, "input_tokens", prompt.get(f"{modality}_tokens"))
        told |= _set(row, "output_tokens", completion.get(f"{modality}_tokens"))
        if told:
            usage.by_modality.append(row)
    return usage


def _details(value: dict[str, Any], name: str) -> dict[str, Any]:
    details = value.get(name)
    return details if isinstance(details, dict) else {}


def _set(target: usage_pb2.Usage | usage_pb2.ModalityTokens, field: str, told: object) -> bool:
    number = count(told)
    if number is None:
        return False
    setattr(target, field, number)
    return True


def count(told: object) -> int | None:
    """A number of tokens; None for what is none."""
    # Servers in JavaScript and Go send 12.0; -1 and the like are placeholders.
    if isinstance(told, float) and told.is_integer():
        told = int(told)
    return told if type(told) is int and 0 <= told < 2**31 else None
