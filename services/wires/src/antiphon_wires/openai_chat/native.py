"""Owns what of the vendor's own HTTP API callers may use through the tunnel on this wire."""

from collections.abc import Sequence
from typing import Final

from antiphon_kit.provider import NativeOperation
from antiphon_wires.openai_chat.dialect import OPENAI, Dialect

_OPERATIONS: Final = (
    ("POST", "/chat/completions", "chat"),
    ("POST", "/responses", "responses"),
    ("POST", "/embeddings", "embeddings"),
    ("GET", "/models", "models"),
)
ACCOUNT_HEADERS: Final = frozenset({"openai-organization", "openai-project"})
"""They choose among the accounts of a key, or name the one that was charged."""


def operations(dialect: Dialect) -> Sequence[NativeOperation]:
    """The allow-list. A server that speaks OpenAI's API is asked for by its own name or by OpenAI's."""
    names = dict.fromkeys((dialect.name, OPENAI.name))
    return [
        NativeOperation(method, path, [word for name in names for word in (f"{name}/{api}", name)])
        for method, path, api in _OPERATIONS
    ]
