"""Owns how many calls a router runs at once, and who is turned away first when there are too many.

The limit falls while calls wait longer for their first content than is usual, or the router's own work comes late, and
grows again while it is used. Only calls as good or better count against it, and room that better calls had lately is
kept for them, so that worse ones are shed before a better one is; and once a better one was shed, no worse one is let
in for a while.
"""

from typing import Final, NamedTuple

BEST: Final = 0
WORST: Final = 9
DEFAULT: Final = 5

LATE_S: Final = 0.03
SLOW_SHARE: Final = 0.5
LEAST: Final = 16
CUT_TO: Final = 0.8
CUT_AGAIN_S: Final = 0.5
"""What a cut brings shows only when calls that came in after it have their first content."""
KEPT_FOR_S: Final = 5.0
CLOSED_FOR_S: Final = 1.0
_NOBODY: Final = WORST + 1


class Limit(NamedTuple):
    """How many calls may run: `now` of at most `most`. `cut_at`: when it fell last."""

    most: int
    now: int
    cut_at: float = float("-inf")


def adapted(limit: Limit, calls: int, now: float, *, late_s: float, slow_share: float) -> Limit:
    """The limit after a while in which `calls` ran.

    late_s: how late the router's own work came. slow_share: part of the calls whose first content took half as long
    again as is usual for their pool.
    """
    if late_s > LATE_S or slow_share > SLOW_SHARE:
        if now - limit.cut_at < CUT_AGAIN_S:
            return limit
        # From what runs, not from a limit that nobody came near: otherwise it falls for seconds without an effect.
        least = min(LEAST, limit.most)
        return limit._replace(now=max(least, int(min(limit.now, calls) * CUT_TO)), cut_at=now)
    if limit.now < limit.most and calls * 5 >= limit.now * 4:
        return limit._replace(now=min(limit.most, limit.now + max(1, limit.now // 20)))
    return limit


class Crowd(NamedTuple):
    """What runs, by priority, and what ran lately. Times on the caller's clock."""

    running: tuple[int, ...] = (0,) * (WORST + 1)
    peak: tuple[int, ...] = (0,) * (WORST + 1)
    """Most calls better than the priority at its index, since `peak_since`."""
    peak_before: tuple[int, ...] = (0,) * (WORST + 1)
    """The same in the `KEPT_FOR_S` before that."""
    peak_since: float = 0.0
    shed: int = _NOBODY
    """Best priority that was turned away at or after `shed_at` - `CLOSED_FOR_S`."""
    shed_at: float = 0.0


def noticed(crowd: Crowd, running: tuple[int, ...], now: float) -> Crowd:
    """`crowd` with what runs now."""
    better, total = [], 0
    for calls in running:
        better.append(total)
        total += calls
    peak, before, since = crowd.peak, crowd.peak_before, crowd.peak_since
    if now - since > KEPT_FOR_S:
        before = peak if now - since <= 2 * KEPT_FOR_S else tuple(better)
        peak, since = tuple(better), now
    else:
        peak = tuple(map(max, peak, better))
    shed = crowd.shed if now - crowd.shed_at <= CLOSED_FOR_S else _NOBODY
    return crowd._replace(running=running, peak=peak, peak_before=before, peak_since=since, shed=shed)


def admits(crowd: Crowd, priority: int, limit: Limit) -> bool:
    """Whether a call of `priority` may come in now."""
    if priority > crowd.shed or sum(crowd.running) >= limit.most:
        return False
    better = sum(crowd.running[:priority])
    kept = max(crowd.peak[priority], crowd.peak_before[priority], better)
    return kept + crowd.running[priority] < limit.now


def turned_away(crowd: Crowd, priority: int, now: float) -> Crowd:
    """`crowd` after a call of `priority` was not let in."""
    if priority >= crowd.shed:
        return crowd
    return crowd._replace(shed=priority, shed_at=now)
