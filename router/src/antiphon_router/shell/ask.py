"""Owns what a caller asks of the router by request metadata: read once, and refused where it cannot be meant."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_router.core.values import NO_ASK, AfterContent, Ask

MAX_AFFINITY_CHARS: Final = 255
MAX_CACHE_AFFINITY_CHARS: Final = 64
MAX_PRIORITY: Final = 9
_WORDS: Final = {"fail": AfterContent.FAIL, "restart": AfterContent.RESTART, "hold": AfterContent.HOLD}

Incoming = Mapping[str, str | bytes]


class Wishes(NamedTuple):
    """What the pick is to heed, and what to do about a failure after content, where the route permits it."""

    ask: Ask = NO_ASK
    after_content: AfterContent = AfterContent.FAIL


NONE: Final = Wishes()
_KEYS: Final = frozenset({metadata.AFTER_CONTENT, metadata.AFFINITY, metadata.CACHE_AFFINITY, metadata.PRIORITY})


def wishes_of(incoming: Incoming, size: int) -> Wishes:
    """What `incoming` asks for, with a request of `size` bytes.

    Raises CallFailure (INVALID_REQUEST) for a word that means nothing.
    """
    return Wishes(Ask(size=size)) if _KEYS.isdisjoint(incoming) else _wishes(incoming, size)


def _wishes(incoming: Incoming, size: int) -> Wishes:
    word = str(incoming.get(metadata.AFTER_CONTENT, "fail"))
    if word not in _WORDS:
        raise unusable(metadata.AFTER_CONTENT, f"use one of {', '.join(_WORDS)}")
    domain, mark, hard = str(incoming.get(metadata.AFFINITY, "")).partition(";")
    if (mark and (hard != "hard" or not domain)) or len(domain) > MAX_AFFINITY_CHARS:
        raise unusable(metadata.AFFINITY, "use a state domain as ResponseStart tells it, or <state domain>;hard")
    cache = str(incoming.get(metadata.CACHE_AFFINITY, ""))
    if len(cache) > MAX_CACHE_AFFINITY_CHARS:
        raise unusable(metadata.CACHE_AFFINITY, f"use at most {MAX_CACHE_AFFINITY_CHARS} characters")
    ask = Ask(domain, bool(mark), cache, size, _priority(incoming))
    return Wishes(ask, _WORDS[word])


def _priority(incoming: Incoming) -> int:
    given = incoming.get(metadata.PRIORITY)
    if given is None:
        return NO_ASK.priority
    if given not in _PRIORITIES:
        raise unusable(metadata.PRIORITY, f"use a number of 0 (first) to {MAX_PRIORITY}")
    return int(given)


_PRIORITIES: Final = frozenset(map(str, range(MAX_PRIORITY + 1)))


def unusable(param: str, remedy: str) -> CallFailure:
    """The exception for metadata that cannot be meant."""
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, f"{param}: not usable; {remedy}", param=param)
