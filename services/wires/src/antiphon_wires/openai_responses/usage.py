"""Owns the reading of a usage object into inclusive totals. What is not a count stays unknown, never 0."""

from typing import Any, Final

from antiphon.llm.v1 import chat_pb2, usage_pb2
from antiphon_wires import json_text
from antiphon_wires.openai_chat.usage import count

_TTLS: Final = {"ttl_30m_tokens": "30m", "ttl_12h_tokens": "12h"}


def read_usage(value: dict[str, Any], response: object, native_json: str) -> usage_pb2.Usage:
    """`value` is the vendor's usage object, `native_json` the same verbatim, `response` what both stand in."""
    usage = usage_pb2.Usage(source=usage_pb2.Usage.SOURCE_PROVIDER, native_json=native_json)
    read = _object(value, "input_tokens_details")
    for field, told in (
        ("input_tokens", value.get("input_tokens")),
        ("output_tokens", value.get("output_tokens")),
        ("cache_read_input_tokens", read.get("cached_tokens")),
        ("cache_write_input_tokens", read.get("cache_write_tokens")),
        ("reasoning_output_tokens", _object(value, "output_tokens_details").get("reasoning_tokens")),
    ):
        if (number := count(told)) is not None:
            setattr(usage, field, number)
    written = _object(read, "cache_write_tokens_details")
    for member, ttl in _TTLS.items():
        if number := count(written.get(member)):
            usage.cache_write_by_ttl[ttl] = number
    if number := count(_object(_object(response, "tool_usage"), "web_search").get("num_requests")):
        usage.provider_tool_calls["web_search"] = number
    return usage


def read_count(body: bytes) -> chat_pb2.CountTokensResponse:
    """The answer to a count of tokens. Raises ValueError for anything else."""
    number = count(_object({"body": json_text.read(body)}, "body").get("input_tokens"))
    if number is None:
        raise ValueError("no count of tokens")
    return chat_pb2.CountTokensResponse(input_tokens=number, native_json=body.decode("utf-8", "replace"))


def _object(value: object, name: str) -> dict[str, Any]:
    member = value.get(name) if isinstance(value, dict) else None
    return member if isinstance(member, dict) else {}
