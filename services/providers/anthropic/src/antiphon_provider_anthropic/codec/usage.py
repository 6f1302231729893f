"""Owns the reading of usage into inclusive totals. What is not told stays unknown, never 0.

The vendor's `input_tokens` count neither cache reads nor cache writes
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching, 2026-11).
"""

import re
from typing import Any, Final

import msgspec

from antiphon.llm.v1 import usage_pb2
from antiphon_wires import json_text

_TTL: Final = re.compile(r"ephemeral_([0-9]+[smhd])_input_tokens")
_CALLS: Final = re.compile(r"([a-z0-9_]+)_requests")
_MOST: Final = 2**31 - 1
_encode: Final = msgspec.json.Encoder().encode


class UsageSum:
    """Usage as it grows: `message_start` tells the input, each `message_delta` cumulative totals."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._raws: list[bytes] = []

    def add(self, value: dict[str, Any], raw: bytes) -> usage_pb2.Usage | None:
        """The usage so far, with what is told by `value` (verbatim: `raw`) in place of earlier members.

        None if that is nothing new.
        """
        news = value
        if None in value.values():
            news = {name: member for name, member in value.items() if member is not None}
        if news.items() <= self._values.items():
            return None
        whole = self._values.keys() <= news.keys()
        self._values |= news
        self._raws = [raw] if whole else [*self._raws, raw]
        return read_usage(self._values, (raw if whole else self._joined()).decode("utf-8", "replace"))

    def _joined(self) -> bytes:
        """One object of all that was told, each member verbatim as it was told last."""
        joined: json_text.Object = {}
        for raw in self._raws:
            told = json_text.members(raw)
            if b"null" in raw:
                told = {name: member for name, member in told.items() if bytes(member) != b"null"}
            joined |= told
        return _encode(joined)


def read_usage(value: dict[str, Any], native_json: str) -> usage_pb2.Usage:
    """`value` is the vendor's usage object, `native_json` the same verbatim."""
    usage = usage_pb2.Usage(source=usage_pb2.Usage.SOURCE_PROVIDER, native_json=native_json)
    uncached, output = _count(value.get("input_tokens")), _count(value.get("output_tokens"))
    read, written = _count(value.get("cache_read_input_tokens")), _count(value.get("cache_creation_input_tokens"))
    if uncached is not None:
        usage.input_tokens = min(uncached + (read or 0) + (written or 0), _MOST)
    if output is not None:
        usage.output_tokens = output
    if read is not None:
        usage.cache_read_input_tokens = read
    if written is not None:
        usage.cache_write_input_tokens = written
    if isinstance(details := value.get("output_tokens_details"), dict):
        thinking = _count(details.get("thinking_tokens"))
        if thinking is not None:
            usage.reasoning_output_tokens = thinking
    # Looking at a protobuf map makes one.
    if isinstance(created := value.get("cache_creation"), dict) and created:
        _fill(usage.cache_write_by_ttl, _TTL, created)
    if isinstance(used := value.get("server_tool_use"), dict) and used:
        _fill(usage.provider_tool_calls, _CALLS, used)
    return usage


def _fill(target: Any, pattern: re.Pattern[str], counts: dict[str, Any]) -> None:
    for member, value in counts.items():
        match, count = pattern.fullmatch(member), _count(value)
        if match is not None and count is not None:
            target[match[1]] = count


def _count(value: object) -> int | None:
    # Servers in JavaScript send 12.0; -1 and the like are placeholders.
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MOST else None
