"""Owns what is remembered of the last calls of a target in trouble, and what that says about it.

A tally begins with the first call that was late or refused; before it all was well, so that a target without trouble
costs nothing. It holds the last `SIZE` calls, none older than `WINDOW_S`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from antiphon_router.core.values import Cause

SIZE: Final = 20
WINDOW_S: Final = 10.0
LEAST: Final = 5
BREACHED_ABOVE: Final = 0.10
CALM_BELOW: Final = 0.03
LEAST_FOR_RATIO: Final = 8
RATIO: Final = 0.5


class Sample(NamedTuple):
    """One call: where it went, why it missed what is expected (late, or refused as overload), whether it failed."""

    at: float
    replica: str = ""
    miss: Cause | None = None
    failed: bool = False


Tally = tuple[Sample, ...]


def noted(tally: Tally, sample: Sample) -> Tally:
    """`tally` with one more call."""
    return (*tally[1 - SIZE :], sample)


def unsaid(tally: Tally, replica: str) -> Tally:
    """`tally` without its last success at `replica`: its answer broke later."""
    for place in range(len(tally) - 1, -1, -1):
        sample = tally[place]
        if sample.replica == replica and not sample.failed and sample.miss is None:
            return tally[:place] + tally[place + 1 :]
    return tally


def cause(tally: Tally) -> Cause:
    """Why the last call missed that did."""
    return next((sample.miss for sample in reversed(tally) if sample.miss is not None), Cause.UNSPECIFIED)


def is_stale(tally: Tally, now: float) -> bool:
    """Whether nothing in it is worth remembering."""
    return not any(sample.miss is not None or sample.failed for sample in _recent(tally, now))


def is_breached(tally: Tally, now: float) -> bool:
    """Whether too many of the last `SIZE` calls were missed, and not only where a minority of the replicas is."""
    recent = _recent(tally, now)
    if len(recent) < LEAST or _missed(recent) <= BREACHED_ABOVE * SIZE:
        return False
    # One slow replica of several is that replica's own trouble.
    places = {sample.replica for sample in recent}
    bad = {sample.replica for sample in recent if sample.miss is not None}
    return 2 * len(bad) > len(places)


def is_calm(tally: Tally, now: float) -> bool:
    """Whether so few were missed that its share may grow."""
    return _missed(_recent(tally, now)) < CALM_BELOW * SIZE


def is_failing(tally: Tally, now: float) -> bool:
    """Whether half of the last calls failed, if there were enough."""
    recent = _recent(tally, now)
    return len(recent) >= LEAST_FOR_RATIO and sum(sample.failed for sample in recent) >= RATIO * len(recent)


def _missed(samples: Sequence[Sample]) -> int:
    return sum(sample.miss is not None for sample in samples)


def _recent(tally: Tally, now: float) -> list[Sample]:
    return [sample for sample in tally if now - sample.at <= WINDOW_S]
