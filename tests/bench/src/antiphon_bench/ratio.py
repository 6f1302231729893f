"""Owns the arithmetic: alternating rounds in, one ratio out.

Absolute times differ by machine and by the hour; two things measured in turn on the same machine share its mood.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

MIN_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """Cost of one unit of work in one round: ours, and the yardstick's right after or before it. Any one unit."""

    ours: float
    yardstick: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of the rounds' ratios, their extremes, and the medians of both sides in the unit of the pairs."""

    value: float
    low: float
    high: float
    ours: float
    yardstick: float
    rounds: int


def of_rounds(pairs: Sequence[Pair]) -> Ratio:
    """The median of per-round ratios: an outlier of the machine spoils one round, not the figure.

    Raises ValueError for fewer than MIN_ROUNDS rounds or a cost that is not positive: nothing was measured then.
    """
    if len(pairs) < MIN_ROUNDS:
        raise ValueError(f"{len(pairs)} rounds; a median needs at least {MIN_ROUNDS}")
    if any(pair.ours <= 0 or pair.yardstick <= 0 for pair in pairs):
        raise ValueError("a round without measurable cost; do more work per round")
    ratios = sorted(pair.ours / pair.yardstick for pair in pairs)
    return Ratio(
        value=median(ratios),
        low=ratios[0],
        high=ratios[-1],
        ours=median(pair.ours for pair in pairs),
        yardstick=median(pair.yardstick for pair in pairs),
        rounds=len(pairs),
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of them lie, nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
