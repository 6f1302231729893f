"""Owns the door to the pure half: a request out, an answer in. No I/O, no SDK, no kit.

The dialect is the Messages API of version 2026-10-21, which anthropic 2.x speaks
(https://platform.claude.com/docs/en/api/versioning, 2026-11).
"""

from antiphon_provider_anthropic.codec.errors import ERRORS, refusal_in_stream
from antiphon_provider_anthropic.codec.models import Facts, describe, facts_of, known_facts
from antiphon_provider_anthropic.codec.request import Encoded, encode_count, encode_request
from antiphon_provider_anthropic.codec.scope import KEYS, NAME, Sources
from antiphon_provider_anthropic.codec.stream import MessageStream

__all__ = [
    "ERRORS",
    "KEYS",
    "NAME",
    "Encoded",
    "Facts",
    "MessageStream",
    "Sources",
    "describe",
    "encode_count",
    "encode_request",
    "facts_of",
    "known_facts",
    "refusal_in_stream",
]
