"""Owns the door of the router: how many calls and bytes are inside, by priority, and none in a drain.

The rules are core/crowd.py's; while the router is less than half full nothing but a comparison is made.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.admission import Admission
from antiphon_router.core import crowd
from antiphon_router.core.crowd import DEFAULT, WORST, Crowd, Limit

RETRY_DELAY_S: Final = 0.25
LOOK_EVERY_S: Final = 0.1
LOOKS: Final = 10
ENOUGH: Final = 10


class Waits(NamedTuple):
    """How many calls got their first content, and how many of them slowly."""

    calls: int
    slow: int


class Gate(Admission):
    """Counts what is inside. `max_bytes`: of requests held at once; a single one is let in whatever its size."""

    def __init__(self, max_calls: int, max_bytes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(max_calls, max_bytes)
        self._clock = clock
        self._limit = Limit(max_calls, max_calls)
        self._running = [0] * (WORST + 1)
        self._crowd = Crowd()
        self.adaptive = False
        """Whether the limit heeds how late the router's own work comes."""

    @property
    def limit(self) -> int:
        """How many calls may run now."""
        return self._limit.now

    def enter(self, size: int, priority: int = DEFAULT) -> None:
        """Take a call in. Raises CallFailure (GATEWAY_DRAINING, GATEWAY_OVERLOADED); never waits."""
        if self._closed or (self.calls and self.bytes + size > self._max_bytes):
            super().enter(size)
        if self.calls * 2 >= self._limit.now:
            self._squeeze(priority)
        self.calls += 1
        self.bytes += size
        self._running[priority] += 1

    def leave(self, size: int, priority: int = DEFAULT) -> None:
        """A call that was taken in has ended."""
        super().leave(size)
        self._running[priority] -= 1

    def _squeeze(self, priority: int) -> None:
        now = self._clock()
        self._crowd = crowd.noticed(self._crowd, tuple(self._running), now)
        if not crowd.admits(self._crowd, priority, self._limit):
            self._crowd = crowd.turned_away(self._crowd, priority, now)
            raise _overloaded(self._limit.now, priority)

    def resize(self, max_calls: int, max_bytes: int) -> None:
        """New bounds from now on; what is inside stays."""
        self._max_bytes = max_bytes
        if max_calls != self._limit.most:
            self._limit = Limit(max_calls, max_calls)
        self._max_concurrency = max_calls

    def observe(self, late_s: float, slow_share: float) -> None:
        """How late the router's own work came, and how many calls were slow to get their first content."""
        if self.adaptive:
            limit, now = self._limit, self._clock()
            self._limit = crowd.adapted(limit, self.calls, now, late_s=late_s, slow_share=slow_share)
        else:
            self._limit = self._limit._replace(now=self._limit.most)


def _overloaded(limit: int, priority: int) -> CallFailure:
    return failure(
        Reason.ERROR_REASON_GATEWAY_OVERLOADED,
        f"the router runs as many calls as it can ({limit} now) and lets none of priority {priority} in; try again "
        "shortly or ask another router",
        retry_delay_s=RETRY_DELAY_S,
    )


async def watch(gate: Gate, waits: Callable[[], Waits]) -> None:
    """Tell `gate` how crowded it is, until cancelled. `waits`: those since the last look."""
    late: list[float] = []
    calls = slow = 0
    while True:
        due = time.monotonic() + LOOK_EVERY_S
        await asyncio.sleep(LOOK_EVERY_S)
        late.append(time.monotonic() - due)
        seen = waits()
        calls, slow = calls + seen.calls, slow + seen.slow
        # A single pause or a single slow call is no crowd.
        if calls >= ENOUGH or len(late) >= LOOKS:
            gate.observe(sorted(late)[len(late) // 2], slow / calls if calls >= ENOUGH else 0.0)
            late, calls, slow = [], 0, 0
