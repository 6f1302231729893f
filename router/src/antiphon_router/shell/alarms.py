"""Owns one timer for many times that nearly always pass unused: a timer of the loop for each would cost more.

set ──> pending, the earliest first ── due ──> rung
            └── cancelled: forgotten once it is the earliest
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, TypeAlias

Alarm: TypeAlias = list[Any]
"""When it is due, its number, and what is called then. A list, which the heap compares without a call into Python."""

LEAST_S: Final = 0.001
"""uvloop counts whole milliseconds and may be early; what is left then is no delay to it, over and over."""

_DUE: Final = 0
_RING: Final = 2


class Alarms:
    """The alarms of one event loop, each up to LEAST_S late. `clock` is `time.monotonic` or one like it, in seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._pending: list[Alarm] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0

    def __len__(self) -> int:
        return len(self._pending)

    def set(self, delay_s: float, ring: Callable[[], None]) -> Alarm:
        """Have `ring` called after `delay_s`, unless `cancel` is called before."""
        pending = self._pending
        alarm: Alarm = [self._clock() + delay_s, next(self._numbers), ring]
        heappush(pending, alarm)
        while pending[0][_RING] is None:
            heappop(pending)
        if self._timer is None or pending[0][_DUE] < self._timer_due:
            self._wind()
        return alarm

    def _wind(self) -> None:
        """Have the timer of the loop go off for the earliest alarm."""
        due = self._pending[0][_DUE]
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(due - self._clock(), LEAST_S)
        self._timer, self._timer_due = asyncio.get_running_loop().call_later(delay_s, self._go_off), due

    def _go_off(self) -> None:
        self._timer = None
        pending, now = self._pending, self._clock()
        try:
            while pending and (pending[0][_RING] is None or pending[0][_DUE] <= now):
                ring = heappop(pending)[_RING]
                if ring is not None:
                    ring()
        finally:
            if pending:
                self._wind()


def cancel(alarm: Alarm) -> None:
    """It is not needed any more; what it would have called is let go of. Idempotent."""
    alarm[_RING] = None
