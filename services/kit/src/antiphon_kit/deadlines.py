"""Owns the time limits of one call: first content, progress between events, attempt, total, the caller's deadline.

One timer per call, armed again only when it fires: an event costs an assignment, not a timer.
Progress is content or usage. Time that the caller spends not reading does not count as a stall of the upstream.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from antiphon.llm.v1 import error_pb2, options_pb2
from antiphon_contract.errors import Reason, call_error
from antiphon_kit.provider import Milestones

DEADLINE_MARGIN_S: Final = 0.01
"""How much before the caller's deadline a call ends, so that its record still goes out."""

_EARLY_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one call in seconds. `deadline_s`: what the caller's own deadline leaves; None without one."""

    first_event_s: float
    between_events_s: float
    total_s: float
    per_attempt_s: float | None = None
    deadline_s: float | None = None

    def narrowed(self, timeouts: options_pb2.Timeouts, deadline_s: float | None) -> "Limits":
        """These defaults with what the caller asked for; `timeouts` is validated before."""
        return Limits(
            first_event_s=_seconds(timeouts, "first_event") or self.first_event_s,
            between_events_s=_seconds(timeouts, "between_events") or self.between_events_s,
            total_s=self.total_s,
            per_attempt_s=_seconds(timeouts, "per_attempt"),
            deadline_s=deadline_s,
        )


def _seconds(timeouts: options_pb2.Timeouts, name: str) -> float | None:
    if not timeouts.HasField(name):
        return None
    duration = getattr(timeouts, name)
    return float(duration.seconds + duration.nanos / 1e9)


class Watchdog:
    """Calls `expired` once with the error when a limit of the call that begins now has passed."""

    __slots__ = (
        "_content",
        "_expired",
        "_fixed",
        "_limits",
        "_milestones",
        "_paused",
        "_progress",
        "_started",
        "_timer",
    )

    def __init__(self, limits: Limits, milestones: Milestones, expired: Callable[[error_pb2.CallError], None]) -> None:
        self._limits = limits
        self._milestones = milestones
        self._expired = expired
        self._started = time.monotonic()
        self._progress = self._started
        self._content = False
        self._paused = False
        self._fixed = self._first_fixed()
        self._timer: asyncio.TimerHandle | None = None
        self._arm(self._due()[0])

    def progressed(self) -> None:
        """Content or more usage arrived."""
        self._progress = time.monotonic()
        self._content = True

    def pause(self) -> None:
        """Nothing is read from the upstream, because the caller does not take what is there."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._progress = time.monotonic()

    def stop(self) -> None:
        """The call has ended; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _first_fixed(self) -> tuple[float, str]:
        limits = self._limits
        fixed = [(self._started + limits.total_s, "total")]
        if limits.per_attempt_s is not None:
            fixed.append((self._started + limits.per_attempt_s, "per_attempt"))
        if limits.deadline_s is not None:
            fixed.append((self._started + limits.deadline_s - DEADLINE_MARGIN_S, "deadline"))
        return min(fixed)

    def _due(self) -> tuple[float, str]:
        if self._paused:
            return self._fixed
        if self._content:
            stall = self._progress + self._limits.between_events_s, "between_events"
        else:
            sent = self._milestones.sent
            stall = (self._started if sent is None else sent) + self._limits.first_event_s, "first_event"
        return min(stall, self._fixed)

    def _arm(self, due: float) -> None:
        # While paused the stall limit sleeps too; look again in time to notice it after the pause.
        wait_s = min(due - time.monotonic(), self._limits.first_event_s, self._limits.between_events_s)
        self._timer = asyncio.get_running_loop().call_later(max(wait_s, 0.0), self._fired)

    def _fired(self) -> None:
        due, name = self._due()
        if due - time.monotonic() > _EARLY_S:
            self._arm(due)
            return
        self._timer = None
        self._expired(self._error(name))

    def _error(self, name: str) -> error_pb2.CallError:
        limits = self._limits
        if name == "deadline":
            return call_error(
                Reason.ERROR_REASON_DEADLINE_EXCEEDED,
                f"the caller's deadline of {limits.deadline_s or 0:.3g} s passed before the answer was complete; "
                "allow more time or ask for fewer output tokens",
                native_code=name,
            )
        text = {
            "first_event": f"the provider sent no content within {limits.first_event_s:g} s of the request "
            "(limit first_event); raise options.timeouts.first_event or use another backend",
            "between_events": f"the provider made no progress for {limits.between_events_s:g} s "
            "(limit between_events); raise options.timeouts.between_events or use another backend",
            "per_attempt": f"the attempt took longer than {limits.per_attempt_s or 0:g} s "
            "(limit per_attempt); raise options.timeouts.per_attempt or ask for fewer output tokens",
            "total": f"the call took longer than {limits.total_s:g} s (limit total, set by the operator as "
            "LLM_TIMEOUT); ask for fewer output tokens",
        }[name]
        return call_error(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, text, native_code=name)
