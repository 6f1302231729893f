"""Owns the names of what only this wire's vendor can read or look up, as OpaqueState.kind."""

from typing import Final

ENCRYPTED: Final = "reasoning.encrypted_content"
REASONING_ID: Final = "reasoning.id"
"""The item is stored at the vendor and has no encrypted form; its id stands for it."""
COMPACTED: Final = "compaction.encrypted_content"
STATES: Final = frozenset({ENCRYPTED, REASONING_ID, COMPACTED})
