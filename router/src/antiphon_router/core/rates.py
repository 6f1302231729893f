"""Owns bounds per minute: a bucket that holds a minute's worth and refills evenly (GCRA, one number a bucket).

`due_s` is the time at which a bucket is full again; in the past: it is full. What an answer costs is known only at its
end, so an estimate is drawn first and put right afterwards, into debt if need be.
"""

from typing import Final

MINUTE_S: Final = 60.0
FULL: Final = float("-inf")
_ROUNDING_S: Final = 1e-6


def wait_s(due_s: float, cost: float, per_minute: int, now: float) -> float:
    """How long until `cost` may be drawn; 0: now. What costs more than a minute's worth waits for a full bucket."""
    needed_s = (cost if cost < per_minute else per_minute) * MINUTE_S / per_minute
    owed_s = due_s - now if due_s > now else 0.0
    wait = owed_s + needed_s - MINUTE_S
    return wait if wait > _ROUNDING_S else 0.0


def drawn(due_s: float, cost: float, per_minute: int, now: float) -> float:
    """The bucket once `cost` is drawn. A negative cost gives back, up to a full bucket."""
    return (due_s if due_s > now else now) + cost * MINUTE_S / per_minute
