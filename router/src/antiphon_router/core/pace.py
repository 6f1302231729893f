"""Owns how fast a pool begins to answer: what is usual, what is late, and what the size of a request adds.

Times are normalised to those of the smallest requests by a factor per size class, which is learnt from the calls. What
is usual follows the recent median down at once and up slowly, so that a brownout does not become the usual in minutes.
"""

from collections import deque
from typing import Final

LATE_FACTOR: Final = 3.0
LATE_TAIL_FACTOR: Final = 1.5
LATE_AT_LEAST_S: Final = 0.1
USUAL_AT_LEAST_S: Final = 0.065
DOUBLES_IN_S: Final = 300.0
CLASSES: Final = 8
SMALL: Final = 4096
_KEPT: Final = 128
_EVERY: Final = 16
_EVERY_AT_MOST: Final = 32
_LEVEL_RATE: Final = 0.1
_FACTOR_RATE: Final = 0.02
_FACTOR_STEP: Final = 1.5


def size_class(size: int) -> int:
    """Class of a request of `size` bytes: 0 below 4 KiB, and one more for every factor of 4."""
    return min(max(0, (size.bit_length() - 11) // 2), CLASSES - 1)


class Pace:
    """Times to first content of one pool. All in seconds of the smallest requests where not said otherwise."""

    __slots__ = (
        "_every",
        "_factors",
        "_fresh",
        "_level",
        "_median",
        "_recent",
        "_tail",
        "_updated",
        "late_s",
        "p50_s",
        "p95_s",
        "usual_s",
    )

    def __init__(self) -> None:
        self._factors = [1.0] * CLASSES
        self._recent: deque[float] = deque(maxlen=_KEPT)
        self._fresh, self._every = 0, _EVERY
        self._level = self._median = self._tail = 0.0
        self._updated = 0.0
        self.late_s: float | None = None
        """A call that takes longer was late. None: too few calls to tell."""
        self.usual_s: float | None = None
        """What calls take while nobody queues, or a little that is never long. None: too few calls to tell."""
        self.p50_s: float | None = None
        self.p95_s: float | None = None

    def observed(self, elapsed_s: float, size: int, now: float) -> float:
        """A call of `size` bytes got its first content after `elapsed_s`; gives back the normalised time."""
        known = 0 if size < SMALL else size_class(size)
        normal_s = elapsed_s / self._factors[known] if known else elapsed_s
        self._recent.append(normal_s)
        self._fresh += 1
        if self._fresh >= self._every:
            self._summarise(now)
        self._level += _LEVEL_RATE * (normal_s - self._level) if self._level else normal_s
        if known and self._level:
            factor = self._factors[known]
            seen = min(max(elapsed_s / self._level, factor / _FACTOR_STEP), factor * _FACTOR_STEP)
            self._factors[known] = max(1.0, factor + _FACTOR_RATE * (seen - factor))
        return normal_s

    def expected_s(self, quantile_s: float | None, size: int) -> float | None:
        """`p50_s` or `p95_s` for a request of `size` bytes."""
        return None if quantile_s is None else quantile_s * self._factors[size_class(size)]

    def _summarise(self, now: float) -> None:
        self._fresh, self._every = 0, _EVERY_AT_MOST
        ordered = sorted(self._recent)
        count = len(ordered)
        self.p50_s, tail_s = ordered[count // 2], ordered[count * 9 // 10]
        self.p95_s = ordered[count * 95 // 100]
        if self.late_s is None:
            self._median, self._tail = self.p50_s, tail_s
        else:
            rise = 2.0 ** ((now - self._updated) / DOUBLES_IN_S)
            self._median = _followed(self._median, self.p50_s, rise)
            self._tail = _followed(self._tail, tail_s, rise)
        self._updated = now
        self.usual_s = max(self._median, USUAL_AT_LEAST_S)
        self.late_s = max(LATE_FACTOR * self._median, LATE_TAIL_FACTOR * self._tail, LATE_AT_LEAST_S)


def _followed(usual_s: float, seen_s: float, rise: float) -> float:
    return seen_s if seen_s < usual_s else min(seen_s, usual_s * rise)
