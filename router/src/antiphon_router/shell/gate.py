"""Owns the door of the router: how many calls and bytes are inside, by priority, and none in a drain.

The rules are core/crowd.py's; while the router is less than half full nothing but a comparison is made, and nothing is
watched while the limit does not adapt.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.admission import Admission
from antiphon_router.core import crowd
from antiphon_router.core.crowd import DEFAULT, WORST, Crowd, Limit, Seen

RETRY_DELAY_S: Final = 0.25
LOOK_EVERY_S: Final = 0.1
STEADY: Final = 3


class Waits:
    """Counts how long calls wait for their first content, and those that have it and go on."""

    __slots__ = ("answering", "calls", "usual_s", "waited_s")

    def __init__(self) -> None:
        self.answering = 0
        self.clear()

    def clear(self) -> None:
        """Begin anew, with what goes on."""
        self.calls = 0
        self.waited_s = self.usual_s = 0.0

    def add(self, waited_s: float, usual_s: float) -> None:
        """A call waited so long where `usual_s` is usual."""
        self.calls += 1
        self.waited_s += waited_s
        self.usual_s += usual_s


class Gate(Admission):
    """Counts what is inside. `max_bytes`: of requests held at once; a single one is let in whatever its size."""

    def __init__(self, max_calls: int, max_bytes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(max_calls, max_bytes)
        self._clock = clock
        self._limit = Limit(max_calls, max_calls)
        self._running = [0] * (WORST + 1)
        self._crowd = Crowd()
        self._adaptive = asyncio.Event()

    @property
    def limit(self) -> int:
        """How many calls may run now."""
        return self._limit.now

    @property
    def adaptive(self) -> bool:
        """Whether the limit heeds how long calls wait."""
        return self._adaptive.is_set()

    def adapt(self, adaptive: bool) -> None:
        """Whether to, from now on. Not: the whole limit is there at once."""
        if adaptive:
            self._adaptive.set()
        elif self._adaptive.is_set():
            self._adaptive.clear()
            self._limit = Limit(self._limit.most, self._limit.most)

    async def until_adaptive(self) -> None:
        """Wait until the limit is to adapt."""
        await self._adaptive.wait()

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

    def observe(self, waits: Waits, over_s: float, late_s: float) -> bool:
        """What `waits` counted in the last `over_s`, and how late the router's own work came meanwhile.

        Gives back whether that was enough to go by.
        """
        seen = Seen(over_s, self.calls, waits.answering, late_s, waits.calls, waits.waited_s, waits.usual_s)
        enough = crowd.tells(self._limit, seen)
        if enough:
            self._limit = crowd.adapted(self._limit, seen, self._clock())
        return enough


def _overloaded(limit: int, priority: int) -> CallFailure:
    return failure(
        Reason.ERROR_REASON_GATEWAY_OVERLOADED,
        f"the router runs as many calls as it can ({limit} now) and lets none of priority {priority} in; try again "
        "shortly or ask another router",
        retry_delay_s=RETRY_DELAY_S,
    )


async def watch(gate: Gate, count: Callable[[Waits | None], None]) -> None:
    """Tell `gate` how crowded it is while it wants to know, until cancelled. `count` is told where to count waits."""
    while True:
        await gate.until_adaptive()
        waits = Waits()
        count(waits)
        try:
            await _look_on(gate, waits)
        finally:
            count(None)


async def _look_on(gate: Gate, waits: Waits) -> None:
    late: list[float] = []
    started = looked = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if not gate.adaptive:
            return
        late.append(time.monotonic() - looked - LOOK_EVERY_S)
        looked = time.monotonic()
        # The median of a few: a single pause is no crowd.
        late_s = sorted(late)[len(late) // 2] if len(late) >= STEADY else 0.0
        if gate.observe(waits, looked - started, late_s):
            waits.clear()
            late.clear()
            started = looked
