"""Owns the reading of Cohere's two counts: what is billed is the headline, the raw one stays in the native object."""

from typing import Any, Final

from antiphon.llm.v1 import usage_pb2

_HEADLINE: Final = ("input_tokens", "output_tokens")


def read_usage(value: dict[str, Any], native_json: str) -> usage_pb2.Usage:
    """`value` is a usage or meta object, `native_json` the same verbatim. What is not a count stays unknown.

    `tokens` counts what the model saw, its hidden preamble included (1549 where 119 are billed); `cached_tokens` is a
    part of that count. Where it is more than what is billed it cannot be a part of the headline, and stays native.
    """
    usage = usage_pb2.Usage(source=usage_pb2.Usage.SOURCE_PROVIDER, native_json=native_json)
    billed = _object(value, "billed_units")
    raw = _object(value, "tokens")
    for name in _HEADLINE:
        count = _count(billed.get(name, raw.get(name)))
        if count is not None:
            setattr(usage, name, count)
    cached = _count(value.get("cached_tokens"))
    if cached is not None and usage.HasField("input_tokens") and cached <= usage.input_tokens:
        usage.cache_read_input_tokens = cached
    for name, amount in billed.items():
        if name not in _HEADLINE and isinstance(amount, int | float) and not isinstance(amount, bool) and amount >= 0:
            usage.billed_units[name] = amount
    return usage


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _count(number: object) -> int | None:
    # All counts are typed as floats (cohere 7.3, UsageBilledUnits).
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return number if type(number) is int and 0 <= number < 2**31 else None
