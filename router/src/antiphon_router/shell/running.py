"""Owns one attempt under way: its start, and that exactly one outcome of it is told."""

from typing import TYPE_CHECKING

from antiphon.llm.v1 import error_pb2
from antiphon_kit.telemetry import CallSpan
from antiphon_router.core.failover import Attempt
from antiphon_router.core.faults import Failure

if TYPE_CHECKING:
    from antiphon_router.shell.gate import Waits
    from antiphon_router.shell.roster import Roster


class Running:
    """An attempt under way. Exactly one of its outcomes is told, then `close`; a close without one is a cancel."""

    __slots__ = (
        "_closed",
        "_roster",
        "_settled",
        "_waits",
        "attempt",
        "end",
        "headroom",
        "size",
        "span",
        "started",
        "tokens",
    )

    def __init__(self, roster: "Roster", attempt: Attempt, now: float, size: int) -> None:
        self._roster = roster
        self._settled = False
        self.size = size
        self.end = b""
        """The terminal record of its adapter, once there is one."""
        self.headroom: str | None = None
        """What its answer said of the provider's limits, empty: that enough is left; None: there was no answer."""
        self._closed = False
        self._waits: Waits | None = None
        self.attempt = attempt
        self.span: CallSpan | None = None
        self.started = now
        self.tokens = 0.0
        """Drawn of the bounds of its backend."""

    def elapsed_s(self) -> float:
        """Since its start."""
        return self._roster.clock() - self.started

    def succeeded(self) -> None:
        """First content is here."""
        self._settled = True
        attempt, waits = self.attempt, self._roster.waits
        if waits is not None:
            self._waits = waits
            waits.answering += 1
        self._roster.succeeded(attempt, self.elapsed_s(), self.size)
        if attempt.probes or attempt.rescues:
            # What it was to find out is known; if it breaks later, that is a failure like any other.
            self.attempt = attempt._replace(probes=(), rescues=())

    def failed(self, failure: Failure, error: error_pb2.CallError) -> None:
        """It failed; possibly after it had succeeded, in the middle of its answer."""
        self._settled = True
        self._roster.failed(self.attempt, failure, error, self.started)

    def mute(self) -> None:
        """Nobody is to learn from how it ends."""
        self._settled = True

    def close(self) -> None:
        """Nothing of it runs any more. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._waits is not None:
            self._waits.answering -= 1
        if not self._settled:
            self._roster.abandoned(self.attempt, self.elapsed_s())
        self._roster.ended(self)
