"""Owns what people may order about a slot, and the document that follows from it.

Forbids itself: I/O and clocks, like rotation.
"""

import enum
from dataclasses import replace
from typing import Final

from antiphon_keys.document import Document, Row
from antiphon_keys.rotation import Pace, Seen, candidacy, candidate_of, current_of, promoted
from antiphon_kit.key_versions import USABLE, Stage

_DONE_FOR: Final = frozenset({Stage.BAD, Stage.REVOKED})


class Why(enum.Enum):
    """Why an order is refused."""

    MISSING = enum.auto()
    STATE = enum.auto()


class Refused(Exception):
    """The order does not fit what there is; the message says how to mend it."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


def rotate(document: Document, number: int, seen: Seen, now_s: float, pace: Pace) -> tuple[Document, int]:
    """Put a version on its way; 0: the newest one. Nothing changes if it is on it, or has arrived."""
    number = _named(document, number, seen)
    if document.get(number, Row(Stage.GRACE)).stage in (Stage.CANDIDATE, Stage.CURRENT):
        return document, number
    return candidacy(document, number, seen, now_s, pace), number


def promote(document: Document, number: int, seen: Seen, now_s: float) -> tuple[Document, int]:
    """Put a version in service at once; 0: the newest one."""
    number = _named(document, number, seen)
    if current_of(document) == number:
        return document, number
    return promoted(document, number, now_s), number


def revoke(document: Document, number: int, seen: Seen, now_s: float, *, force: bool = False) -> Document:
    """Take a version out for good; the one behind it, else the one on its way, takes its place."""
    if number not in document and number not in seen.alive:
        raise Refused(Why.MISSING, f"there is no version {number}; there is {_listed(seen)}")
    rows = dict(document)
    rows[number] = replace(rows.get(number, Row(Stage.REVOKED)), stage=Stage.REVOKED, share=0.0, since_s=now_s)
    rest = {other: row for other, row in rows.items() if row.stage in USABLE}
    if not rest and not force:
        raise Refused(
            Why.STATE, f"version {number} is the only usable one; write another one first, or say --force (no key then)"
        )
    if rest and current_of(rest) is None:
        heir = max(rest, key=lambda other: (rest[other].stage is Stage.GRACE, other))
        rows[heir] = replace(rows[heir], stage=Stage.CURRENT, share=1.0, since_s=now_s, counted=0)
    return rows


def _named(document: Document, number: int, seen: Seen) -> int:
    number = number or max(seen.alive, default=0)
    if number not in seen.alive:
        raise Refused(Why.MISSING, f"there is no version {number}; there is {_listed(seen)}")
    row = document.get(number)
    if row is not None and row.stage in _DONE_FOR:
        word = row.stage.name.lower()
        raise Refused(Why.STATE, f"version {number} is {word}; write the key that is to be used as a new version")
    under_way = candidate_of(document)
    if under_way not in (None, number):
        raise Refused(
            Why.STATE, f"version {under_way} is on its way; wait for it, revoke it, or write a newer one to take over"
        )
    return number


def _listed(seen: Seen) -> str:
    return ", ".join(str(number) for number in sorted(seen.alive)) or "none"
