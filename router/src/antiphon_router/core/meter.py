"""Owns what a caller or a backend has drawn of its requests and tokens per minute.

What a call costs is known at its end only, so a typical answer is drawn first and put right by what was used.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from antiphon_router.core import rates

BYTES_PER_TOKEN: Final = 4
TYPICAL_OUTPUT: Final = 256.0
LEAST_SHARE: Final = 0.05
HALF_S: Final = rates.MINUTE_S / 2
_NEWS: Final = 0.1

Used = tuple[int, int]
"""Input and output tokens."""


class Bounds(NamedTuple):
    """So much per minute; 0: no bound."""

    requests: int = 0
    tokens: int = 0


@dataclass(slots=True)
class Meter:
    """When both buckets are full again, and how many tokens an answer has lately. Changed in place by every call."""

    requests_due_s: float = rates.FULL
    tokens_due_s: float = rates.FULL
    output: float = TYPICAL_OUTPUT


NEW: Final = Meter()
"""To be read where nothing is drawn."""


class Wait(NamedTuple):
    """How long until there is room again, and under which bound."""

    seconds: float
    bound: str


def estimate(meter: Meter, size: int) -> float:
    """Tokens that a request of `size` bytes and its answer take."""
    return size / BYTES_PER_TOKEN + meter.output


def wait(meter: Meter, bounds: Bounds, tokens: float, now: float) -> Wait | None:
    """What a request that takes about `tokens` has to wait for; None: nothing."""
    # Nearly always half of both buckets is left, and this request takes less.
    soon, small = now + HALF_S, not bounds.tokens or tokens * 2 <= bounds.tokens
    if small and meter.requests_due_s <= soon and meter.tokens_due_s <= soon and bounds.requests != 1:
        return None
    if bounds.requests:
        seconds = rates.wait_s(meter.requests_due_s, 1.0, bounds.requests, now)
        if seconds:
            return Wait(seconds, f"{bounds.requests} requests per minute")
    if bounds.tokens:
        seconds = rates.wait_s(meter.tokens_due_s, tokens, bounds.tokens, now)
        if seconds:
            return Wait(seconds, f"{bounds.tokens} tokens per minute")
    return None


def draw(meter: Meter, bounds: Bounds, tokens: float, now: float) -> None:
    """A request came in that takes about `tokens`."""
    requests, per_minute = bounds
    if requests:
        meter.requests_due_s = rates.drawn(meter.requests_due_s, 1.0, requests, now)
    if per_minute:
        meter.tokens_due_s = rates.drawn(meter.tokens_due_s, tokens, per_minute, now)


def correct(meter: Meter, bounds: Bounds, tokens: float, used: Used, now: float) -> None:
    """A request for which `tokens` were drawn has `used` so many."""
    if bounds.tokens:
        meter.tokens_due_s = rates.drawn(meter.tokens_due_s, sum(used) - tokens, bounds.tokens, now)
        meter.output += _NEWS * (used[1] - meter.output)


def headroom(meter: Meter, bounds: Bounds, now: float) -> float:
    """What is left of the tighter bound, of its latter half: 1 until half of it is drawn, and always above 0."""
    owed_s = max(
        meter.requests_due_s if bounds.requests else rates.FULL, meter.tokens_due_s if bounds.tokens else rates.FULL
    )
    spare_s = rates.MINUTE_S - (owed_s - now)
    return 1.0 if spare_s >= HALF_S else max(LEAST_SHARE, spare_s / HALF_S)


def is_full(meter: Meter, now: float) -> bool:
    """Whether nothing is drawn."""
    return max(meter.requests_due_s, meter.tokens_due_s) <= now
