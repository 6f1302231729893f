"""Owns what of the vendor's own HTTP API callers may use through the tunnel. Paths are below the SDK's base URL."""

from typing import Final

from antiphon_kit.provider import NativeOperation
from antiphon_provider_anthropic.codec import KEYS, NAME

OPERATIONS: Final = (
    NativeOperation("POST", "/v1/messages", tuple(reversed(KEYS))),
    NativeOperation("POST", "/v1/messages/count_tokens", tuple(reversed(KEYS))),
    NativeOperation("GET", "/v1/models", (f"{NAME}/models", NAME)),
)
ACCOUNT_HEADERS: Final = frozenset({"anthropic-organization-id", "anthropic-workspace-id"})
"""They choose among the accounts of a key, or name the one that was charged."""
