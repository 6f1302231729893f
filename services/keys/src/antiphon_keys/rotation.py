"""Owns the protocol of a rotation: what is written, what processes tell, what time it is -> what to write next.

    put v(n+1) ─> candidate 1 % ─> 10 % ─> 50 % ─> 100 % ─> current, n is grace ─> n is revoked
                     └─ refused anywhere, unreadable, deleted ─> bad

Every step needs no more than the document and what is seen now, so a coordinator that died between two steps is
continued by the next one, and two at once reach the same document.

Forbids itself: I/O, clocks, chance, logs.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from antiphon_keys.document import Document, Row
from antiphon_kit.key_versions import Stage

_IN_SERVICE: Final = frozenset({Stage.CURRENT, Stage.GRACE})
FEW_LEFT: Final = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it goes."""

    shares: tuple[float, ...] = (0.01, 0.1, 0.5, 1.0)
    """Parts of the calls that a candidate gets, one after the other."""

    step_successes: int = 20
    """Successes after which the next share is due."""

    step_s: float = 30.0
    """Or seconds, where there are fewer calls than that."""

    grace_s: float = 60.0
    """Seconds that a replaced version stays the fallback, at least."""


@dataclass(frozen=True, slots=True)
class Held:
    """One version in one process."""

    stage: Stage
    in_flight: int = 0
    calls: int = 0
    successes: int = 0
    checked: bool = False
    """A check found nothing against it."""

    refused: bool = False
    """The provider does not take it now."""

    @property
    def tried(self) -> bool:
        """A call went through with it, or a check found nothing against it."""
        return self.successes > 0 or self.checked

    @property
    def works(self) -> bool:
        """A call went through with it, or none was made and a check found nothing against it."""
        return self.successes > 0 or (self.checked and self.calls == self.in_flight)


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is of a slot now."""

    alive: frozenset[int] = frozenset()
    """Versions that the store can give."""

    processes: Mapping[str, Mapping[int, Held]] = field(default_factory=dict)
    """Those that hold the slot, with the versions they hold."""

    malformed: frozenset[int] = frozenset()
    """Versions that some process could not make a key of."""

    def successes(self, number: int) -> int:
        """Of all processes."""
        return sum(held[number].successes for held in self.processes.values() if number in held)

    def any_is(self, number: int, stage: Stage) -> bool:
        """Whether some process has it in that stage."""
        return any(number in held and held[number].stage is stage for held in self.processes.values())


def advance(document: Document | None, seen: Seen, now_s: float, pace: Pace) -> Document | None:
    """The next document, which is `document` itself where there is nothing to do. None: there is none, nor reason."""
    if document is None:
        return _adopted(seen, now_s, pace)
    for step in (_dated, _rolled_back, _begun, _onward, _retired):
        after = step(document, seen, now_s, pace)
        if after is not document:
            return after
    return document


def current_of(document: Document) -> int | None:
    """The version in service."""
    return next((number for number, row in document.items() if row.stage is Stage.CURRENT), None)


def candidate_of(document: Document) -> int | None:
    """The version on its way."""
    return max((number for number, row in document.items() if row.stage is Stage.CANDIDATE), default=None)


def refused_of(document: Document) -> int | None:
    """The newest version that was rolled back, while nothing newer came into service."""
    bad = max((number for number, row in document.items() if row.stage is Stage.BAD), default=0)
    return bad if bad > (current_of(document) or 0) else None


def writes_left(document: Document, newest: int, max_versions: int) -> int:
    """How many versions can be written before the store throws away one that is in service."""
    needed = min((number for number, row in document.items() if row.stage in _IN_SERVICE), default=newest)
    return needed + max_versions - 1 - newest


def candidacy(document: Document, number: int, seen: Seen, now_s: float, pace: Pace) -> Document:
    """`number` on its way from the first share on; another candidate is given up for it."""
    rows = {other: row for other, row in document.items() if row.stage is not Stage.CANDIDATE and other != number}
    # With nothing beside it every call would go to it in any case.
    alone = not any(row.stage in _IN_SERVICE for row in rows.values())
    rows[number] = Row(Stage.CANDIDATE, 1.0 if alone else pace.shares[0], now_s, seen.successes(number))
    return rows


def promoted(document: Document, number: int, now_s: float) -> Document:
    """`number` in service, the one before it behind it, and nothing else usable."""
    rows = {}
    for other, row in document.items():
        if row.stage is Stage.CURRENT:
            rows[other] = replace(row, stage=Stage.GRACE, share=0.0, since_s=now_s)
        elif row.stage is Stage.GRACE:
            rows[other] = replace(row, stage=Stage.REVOKED, since_s=now_s)
        elif row.stage is not Stage.CANDIDATE:
            rows[other] = row
    before = document.get(number, Row(Stage.CANDIDATE))
    rows[number] = replace(before, stage=Stage.CURRENT, share=1.0, since_s=now_s, counted=0)
    return rows


def _adopted(seen: Seen, now_s: float, pace: Pace) -> Document | None:
    """What the processes do by themselves, as a document: so that nothing changes when it is written."""
    votes = Counter(
        number for held in seen.processes.values() for number, one in held.items() if one.stage is Stage.CURRENT
    )
    if not votes:
        return None
    current = max(votes, key=lambda number: (votes[number], number))
    known = {number for held in seen.processes.values() for number in held}
    rows = {number: Row(Stage.BAD, since_s=now_s) for number in known if seen.any_is(number, Stage.BAD)}
    grace = [number for number in known if number < current and seen.any_is(number, Stage.GRACE)]
    if grace:
        rows[max(grace)] = Row(Stage.GRACE, since_s=now_s)
    rows[current] = Row(Stage.CURRENT, 1.0, now_s)
    fresh = max(seen.alive - rows.keys(), default=0)
    return candidacy(rows, fresh, seen, now_s, pace) if fresh > max(rows) else rows


def _dated(document: Document, seen: Seen, now_s: float, pace: Pace) -> Document:
    """People write no times; steps are counted from when they were first seen."""
    undated = {
        number: replace(row, since_s=now_s, counted=seen.successes(number))
        for number, row in document.items()
        if row.stage in (Stage.CANDIDATE, Stage.GRACE) and not row.since_s
    }
    return {**document, **undated} if undated else document


def _rolled_back(document: Document, seen: Seen, now_s: float, pace: Pace) -> Document:
    bad = {
        number: replace(row, stage=Stage.BAD, share=0.0, since_s=now_s)
        for number, row in document.items()
        if row.stage is Stage.CANDIDATE
        and (number not in seen.alive or number in seen.malformed or seen.any_is(number, Stage.BAD))
    }
    return {**document, **bad} if bad else document


def _begun(document: Document, seen: Seen, now_s: float, pace: Pace) -> Document:
    """Whoever wrote a newer version wants it in service."""
    fresh = max(seen.alive, default=0)
    if fresh <= max(document, default=0):
        return document
    return candidacy(document, fresh, seen, now_s, pace)


def _onward(document: Document, seen: Seen, now_s: float, pace: Pace) -> Document:
    number = candidate_of(document)
    if number is None or not seen.processes:
        return document
    row = document[number]
    held = [process.get(number, Held(Stage.CANDIDATE)) for process in seen.processes.values()]
    if row.not_before_s > now_s or not all(one.tried for one in held):
        return document
    successes = seen.successes(number)
    if successes - row.counted < pace.step_successes and now_s - row.since_s < pace.step_s:
        return document
    share = next((share for share in pace.shares if share > row.share), None)
    if share is None:
        return promoted(document, number, now_s) if all(one.works for one in held) else document
    return {**document, number: replace(row, share=share, since_s=now_s, counted=successes)}


def _retired(document: Document, seen: Seen, now_s: float, pace: Pace) -> Document:
    current = current_of(document)
    if current is None or not seen.processes:
        return document
    over = {
        number: replace(row, stage=Stage.REVOKED, since_s=now_s)
        for number, row in document.items()
        if row.stage is Stage.GRACE
        and now_s - row.since_s >= pace.grace_s
        and all(_without(held, number, current) for held in seen.processes.values())
    }
    return {**document, **over} if over else document


def _without(held: Mapping[int, Held], number: int, current: int) -> bool:
    """Whether this process does not need `number` any more."""
    serving = held.get(current)
    runs = number in held and held[number].in_flight > 0
    return serving is not None and serving.stage is Stage.CURRENT and not serving.refused and not runs
