"""Owns prompt cache breakpoints on their way to the vendor."""

import re
from typing import Final

from antiphon.llm.v1 import content_pb2
from antiphon_provider_anthropic.codec.scope import Native, Scope, invalid

_TTL: Final = re.compile(r"([0-9]+)([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching (2026-11): these two, ascending.
_OFFERED_S: Final = {"5m": 300, "1h": 3600}


def mark(native: Native, cache: content_pb2.CacheHint, path: str, scope: Scope) -> None:
    """Set `cache_control` on a block or a tool; the next longer lifetime where the wanted one is not offered."""
    control = {"type": "ephemeral"}
    if cache.ttl:
        control["ttl"] = _offered(cache.ttl, f"{path}.cache.ttl", scope)
    native["cache_control"] = control


def _offered(ttl: str, path: str, scope: Scope) -> str:
    match = _TTL.fullmatch(ttl)
    if match is None:
        raise invalid(f"{path} must be a number and a unit of s, m, h or d, such as 1h", path)
    wanted_s = int(match[1]) * _UNIT_S[match[2]]
    offered = next((name for name, lifetime_s in _OFFERED_S.items() if lifetime_s >= wanted_s), "1h")
    if _OFFERED_S[offered] != wanted_s:
        scope.losses.clamped(path, f"{offered} is the nearest lifetime offered")
    return offered
