"""Owns open-loop load: calls leave on schedule whether or not earlier ones have come back.

Latency counts from the scheduled time, so a stall of the generator cannot hide one of the service.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from antiphon_conformance.outcome import Outcome

Call = Callable[[], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Shot:
    """One call: when it was due, in seconds from the start of the load, how long it took, and how it ended."""

    due_s: float
    took_s: float
    outcome: Outcome

    @property
    def instance(self) -> str:
        """The process that answered."""
        return self.outcome.record.response_id.partition(".")[0]


async def fire(call: Call, *, rate: float, count: int) -> list[Shot]:
    """`count` calls, `rate` a second."""
    start = time.monotonic()

    async def shoot(due_s: float) -> Shot:
        await asyncio.sleep(start + due_s - time.monotonic())
        outcome = await call()
        return Shot(due_s, time.monotonic() - start - due_s, outcome)

    return list(await asyncio.gather(*(shoot(number / rate) for number in range(count))))


def failed(shots: list[Shot]) -> list[str]:
    """What went wrong, for a message."""
    return [
        f"{shot.due_s:.2f} s: {shot.outcome.reason} {shot.outcome.message}" for shot in shots if not shot.outcome.ok
    ]


def percentile(shots: list[Shot], percent: int) -> float:
    return statistics.quantiles([shot.took_s for shot in shots], n=100, method="inclusive")[percent - 1]
