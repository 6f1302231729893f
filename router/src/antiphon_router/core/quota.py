"""Owns what a provider has told is left of its rate limits, and how that fills up again with time.

What this router has drawn itself under bounds of its own is meter.py's. How much a target gets heeds the tighter one.
"""

from typing import Final, NamedTuple

from antiphon_router.core.meter import LEAST_SHARE

LONGEST_S: Final = 300.0
"""For so long at most one answer is believed; while calls go there, each of them tells anew."""


class Quota(NamedTuple):
    """`left` of 1 at `told`, all of it at `full`; in between it fills up evenly."""

    left: float
    told: float
    full: float


def updated(known: Quota | None, left: float, full_in_s: float, *, begun: float, now: float) -> Quota | None:
    """What is known once an answer to an attempt that began at `begun` has told. None: nothing is short.

    What began before the last news came is no newer: it can make things look worse, not better.
    """
    fresh = Quota(left, now, now + min(full_in_s, LONGEST_S)) if left < 1.0 and full_in_s > 0.0 else None
    if known is None or begun >= known.told or now >= known.full:
        return fresh
    return known if fresh is None or headroom(fresh, now) >= headroom(known, now) else fresh


def headroom(quota: Quota, now: float) -> float:
    """What is left now, above 0 and at most 1: some calls must go on, or nobody learns that there is more."""
    if now >= quota.full:
        return 1.0
    missing = (1.0 - quota.left) * (quota.full - now) / (quota.full - quota.told)
    return max(LEAST_SHARE, 1.0 - missing)
