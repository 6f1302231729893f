"""Owns what backends with bounds per minute have been asked for."""

from antiphon_router.core import meter
from antiphon_router.core.meter import Bounds, Meter
from antiphon_router.core.values import Backend
from antiphon_router.shell.running import Running
from antiphon_router.shell.wire import used_tokens


class Meters:
    """One meter a backend; only of those with bounds."""

    def __init__(self) -> None:
        self.by_backend: dict[str, Meter] = {}

    def draw(self, backend: Backend, bounds: Bounds, running: Running) -> None:
        """`running` begins."""
        known = self.by_backend.get(backend.id)
        if known is None:
            known = self.by_backend[backend.id] = Meter()
        running.tokens = meter.estimate(known, running.size)
        meter.draw(known, bounds, running.tokens, running.started)

    def put_right(self, backend: Backend, bounds: Bounds, running: Running) -> None:
        """`running` has ended; without a record of what it used the estimate stands."""
        used = used_tokens(running.end) if bounds.tokens else None
        if used is not None:
            now = running.started + running.elapsed_s()
            meter.correct(self.by_backend[backend.id], bounds, running.tokens, used, now)
