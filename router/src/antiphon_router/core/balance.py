"""Owns which of several admitted replicas takes the next attempt, and what counts as an observation of its speed.

The cost of one is (in-flight + 1) x time to first content. Between equals the cheaper of two drawn at random takes
the call; where weights or a slow start make them unequal, one is drawn in proportion to share / cost, because the
cheaper of two would give the smaller share nothing at low load.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Protocol

from antiphon_router.core.values import Dice, Load

FAILURE_S: Final = 5.0
AVERAGE_OVER_S: Final = 10.0
FORGOTTEN_AFTER_S: Final = 30.0
FASTEST_S: Final = 0.001


class Weighted(Protocol):
    """One choice: its load, and its share, above 0."""

    @property
    def load(self) -> Load:
        """What it has to do."""
        ...

    @property
    def share(self) -> float:
        """Its part of calls, relative to the other choices."""
        ...


def observe(load: Load, elapsed_s: float, now: float) -> None:
    """A call of the replica with `load` got its first content after `elapsed_s`."""
    known = load.first_content_s
    if known is None or now - load.updated > FORGOTTEN_AFTER_S:
        load.first_content_s = elapsed_s
    else:
        # The longer ago the last one, the more a new one counts; and never less than a little.
        fresh = max(0.05, 1.0 - math.exp((load.updated - now) / AVERAGE_OVER_S))
        load.first_content_s = known + fresh * (elapsed_s - known)
    load.updated = now


def observe_failure(load: Load, elapsed_s: float, now: float) -> None:
    """A call failed: a penalty, because a fast failure is not a fast answer."""
    observe(load, max(FAILURE_S, elapsed_s), now)


def observe_cancel(load: Load, elapsed_s: float, now: float) -> None:
    """The caller left before first content: it would have taken at least that long, which can only be bad news."""
    if load.first_content_s is not None and elapsed_s > load.first_content_s:
        observe(load, elapsed_s, now)


def pick(choices: Sequence[Weighted], now: float, dice: Dice) -> int:
    """Index of the choice that takes the call. There is at least one."""
    if len(choices) == 1:
        return 0
    share = choices[0].share
    if any(choice.share != share for choice in choices):
        return _drawn(choices, now, dice)
    first, second = two_of(len(choices), dice)
    return second if is_cheaper(choices[second].load, choices[first].load, now) else first


def two_of(count: int, dice: Dice) -> tuple[int, int]:
    """Two different numbers below `count`, which is at least 2."""
    first = int(dice.random() * count)
    return first, (first + 1 + int(dice.random() * (count - 1))) % count


def is_cheaper(one: Load, other: Load, now: float) -> bool:
    """Whether a call costs less at `one`."""
    here, there = _cost(one, now), _cost(other, now)
    if here is None or there is None:
        return one.in_flight < other.in_flight
    return here < there


def _drawn(choices: Sequence[Weighted], now: float, dice: Dice) -> int:
    costs = _costs([choice.load for choice in choices], now)
    sums = list(accumulate(choice.share / cost for choice, cost in zip(choices, costs, strict=True)))
    return min(bisect_right(sums, dice.random() * sums[-1]), len(sums) - 1)


def _costs(loads: Sequence[Load], now: float) -> list[float]:
    # Times count only where all are known: one that was never asked must not win everything until its first answer.
    costs = [cost for load in loads if (cost := _cost(load, now)) is not None]
    return costs if len(costs) == len(loads) else [load.in_flight + 1.0 for load in loads]


def _cost(load: Load, now: float) -> float | None:
    """None: it was not timed lately."""
    known_s = load.first_content_s
    # An average that nobody refreshed is not held against a replica, or a bad one would never be asked again.
    if known_s is None or now - load.updated > FORGOTTEN_AFTER_S:
        return None
    return (load.in_flight + 1) * max(known_s, FASTEST_S)
