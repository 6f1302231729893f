"""Owns what of Cohere's own HTTP API callers may use through the tunnel."""

from collections.abc import Sequence
from typing import Final

from antiphon_kit.provider import NativeOperation
from antiphon_provider_cohere.codec import NAME

_OPERATIONS: Final = (
    ("POST", "/v2/chat", "chat"),
    ("POST", "/v2/embed", "embed"),
    ("POST", "/v2/rerank", "rerank"),
    ("POST", "/v1/tokenize", "tokenize"),
    ("POST", "/v1/detokenize", "detokenize"),
    ("GET", "/v1/models", "models"),
)


def operations() -> Sequence[NativeOperation]:
    """The allow-list: what needs no stored state of the account."""
    return [NativeOperation(method, path, (f"{NAME}/{api}", NAME)) for method, path, api in _OPERATIONS]
