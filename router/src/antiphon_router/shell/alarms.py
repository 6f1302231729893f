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

_DUE: Final = 0
_RING: Final = 2


class Alarms:
    """The alarms of one event loop. `clock` is that of `time.monotonic`, in seconds."""

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
        due, pending = self._clock() + delay_s, self._pending
        alarm: Alarm = [due, next(self._numbers), ring]
        heappush(pending, alarm)
        while pending[0][_RING] is None:
            heappop(pending)
        if self._timer is None or due < self._timer_due:
            self._wind(delay_s, due)
        return alarm

    def _wind(self, delay_s: float, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)
        self._timer_due = due

    def _ring(self) -> None:
        self._timer = None
        pending, now = self._pending, self._clock()
        while pending and (pending[0][_RING] is None or pending[0][_DUE] <= now):
            ring = heappop(pending)[_RING]
            if ring is not None:
                ring()
        if pending and self._timer is None:
            due = pending[0][_DUE]
            self._wind(due - now, due)


def cancel(alarm: Alarm) -> None:
    """It is not needed any more; what it would have called is let go of. Idempotent."""
    alarm[_RING] = None
