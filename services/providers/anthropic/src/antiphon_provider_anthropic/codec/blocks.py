"""Owns what all content blocks of a request share: the plain text block, cache breakpoint, the caller's patch."""

from typing import Any

from antiphon.llm.v1 import content_pb2
from antiphon_provider_anthropic.codec import cache
from antiphon_provider_anthropic.codec.scope import NAME, Native, Scope


def text(value: str) -> Native:
    return {"type": "text", "text": value}


def plain(content: list[Any]) -> Any:
    """A lone text as a string, which means the same (https://platform.claude.com/docs/en/api/messages, 2026-11)."""
    if len(content) == 1 and isinstance(content[0], dict) and content[0].keys() == {"type", "text"}:
        return content[0]["text"]
    return content


def finish(native: Native, part: content_pb2.Part, path: str, scope: Scope) -> Native:
    """Set what every block may have."""
    if part.phase:
        scope.losses.history(f"{path}.phase", f"{NAME} has no phases")
    if part.HasField("cache"):
        cache.mark(native, part.cache, path, scope)
    scope.patch(native, part.provider_json, path)
    return native
