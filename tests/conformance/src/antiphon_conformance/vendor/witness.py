"""Owns what the vendor saw: each request whole, what was produced for it, and when the peer left.

Written by the vendor's thread, read by the cases; entries are only ever added, and each fact is set once.
All times are on the monotonic clock of this process, in seconds.
"""

import asyncio
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from antiphon_conformance.vendor.script import Request


@dataclass(slots=True)
class Exchange:
    """One request and what became of it."""

    request: Request
    began_at: float
    produced_bytes: int = 0
    finished_at: float | None = None
    holding: Future[float] = field(default_factory=Future)
    peer_left: Future[float] = field(default_factory=Future)

    def mark_holding(self) -> None:
        if not self.holding.done():
            self.holding.set_result(time.monotonic())

    def mark_finished(self) -> None:
        self.finished_at = time.monotonic()

    def mark_peer_left(self) -> None:
        if self.finished_at is None and not self.peer_left.done():
            self.peer_left.set_result(time.monotonic())

    async def held(self, within_s: float = 10.0) -> float:
        """When the vendor came to its `Hold`. Raises TimeoutError."""
        return await _await(self.holding, within_s)

    async def left(self, within_s: float = 10.0) -> float:
        """When the peer closed this connection in the middle of the exchange. Raises TimeoutError."""
        return await _await(self.peer_left, within_s)


class Witness:
    """Every exchange, in order of arrival."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def begin(self, request: Request) -> Exchange:
        exchange = Exchange(request, time.monotonic())
        self.exchanges.append(exchange)
        return exchange


async def _await(fact: Future[float], within_s: float) -> float:
    async with asyncio.timeout(within_s):
        return await asyncio.shield(asyncio.wrap_future(fact))
