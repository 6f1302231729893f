"""Owns a gRPC server's life: bind, serve, health, drain. Providers and the router run on it.

Forbids itself: knowing what is served. What serves comes from outside and is told by callbacks how the drain goes.

    SIGTERM ─> NOT_SERVING ─ lame duck ─> on_closing, GOAWAY ─ grace ─> on_cutoff ─ rest of grace ─> cut
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, Self

import grpc

from antiphon_kit.channel_options import Options
from antiphon_kit.health import Health
from antiphon_kit.settings import SettingError
from antiphon_kit.tls import PLAINTEXT, Transport

log = logging.getLogger(__name__)

SETTLE_S: Final = 0.1
"""Shortest lame duck. gRPC kills a call that reaches a closing server as CANCELLED, without details; by then those
who watch health are to have heard."""

CUTOFF_BEFORE_END_S: Final = 5.0
CUTOFF_SHARE: Final = 0.8
HURRY_S: Final = 0.25


class Service:
    """A serving gRPC server for the body of an `async with`; leaving it without `drain()` cuts what runs.

    `handlers` answer calls, `service_names` are the full names reported by health (NOT_SERVING until `health.set`).
    In lame duck the service says NOT_SERVING and still takes calls, because callers learn of it late. `on_closing` is
    called once when that is over, `on_cutoff` once when running calls have to end with a typed error. `setting` is
    the name under which the operator knows `listen`.
    """

    def __init__(
        self,
        listen: str,
        options: Options,
        handlers: Sequence[grpc.GenericRpcHandler],
        service_names: Iterable[str],
        *,
        lameduck_s: float = 0.0,
        grace_s: float = 30.0,
        on_closing: Callable[[], None] = lambda: None,
        on_cutoff: Callable[[], None] = lambda: None,
        setting: str = "ANTIPHON_LISTEN",
        transport: Transport = PLAINTEXT,
    ) -> None:
        self._listen = listen
        self._options = options
        self._handlers = handlers
        self._lameduck_s = lameduck_s
        self._grace_s = grace_s
        self._on_closing = on_closing
        self._on_cutoff = on_cutoff
        self._setting = setting
        self._transport = transport
        self._draining: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.health = Health(service_names)
        self.draining = asyncio.Event()
        """Set when drain begins, lame duck included."""
        self.port = 0

    @property
    def address(self) -> str:
        """host:port as bound."""
        return f"{self._listen.rpartition(':')[0]}:{self.port}"

    async def __aenter__(self) -> Self:
        """Bind and serve. Raises SettingError when the address cannot be had, or must not without TLS."""
        self._server = grpc.aio.server(handlers=self._transport.guard(self._handlers), options=self._options)
        await self.health.attach(self._server)
        try:
            self.port = self._transport.bind(self._server, self._listen, self._setting)
        except RuntimeError:
            problem = "the address cannot be bound; choose a free port of this host, or end the program that holds it"
            raise SettingError(self._setting, self._listen, problem) from None
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._draining is None:
            self.health.end_watches()
            await self._server.stop(None)
        else:
            self.hurry()
            await self._draining

    async def drain(self) -> None:
        """Stop as the picture above says; returns when the last call has ended. May be called again."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        await asyncio.shield(self._draining)

    def hurry(self) -> None:
        """Make a drain end now, with `HURRY_S` for the typed ends of what runs."""
        self._hurry.set()

    async def _drain(self) -> None:
        self.draining.set()
        log.info("draining", extra={"lameduck_s": self._lameduck_s, "grace_s": self._grace_s})
        await self.health.stopping()
        await self._pass(max(self._lameduck_s, SETTLE_S))
        self._on_closing()
        stopping = asyncio.create_task(self._server.stop(self._grace_s))
        await asyncio.sleep(0)  # GOAWAY goes out before the watches end
        self.health.end_watches()
        cutoff_s = max(self._grace_s - CUTOFF_BEFORE_END_S, CUTOFF_SHARE * self._grace_s)
        if not await self._pass(cutoff_s, stopping):
            log.warning("drain_cutoff")
            self._on_cutoff()
            await asyncio.wait({stopping}, timeout=HURRY_S if self._hurry.is_set() else self._grace_s - cutoff_s)
        await self._server.stop(None)
        await stopping
        log.info("drained")

    async def _pass(self, seconds: float, until: asyncio.Task[None] | None = None) -> bool:
        """Wait for `until`, for `seconds` at most, less when in a hurry. True if `until` is done."""
        hurry = asyncio.create_task(self._hurry.wait())
        waiting: set[asyncio.Task[None] | asyncio.Task[bool]] = {hurry}
        if until is not None:
            waiting.add(until)
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
        return until is not None and until.done()


async def until_signalled(service: Service, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal makes it quick. `ready`: called once signals count."""
    async with _signals() as signals:
        ready()
        await signals.get()
        draining = asyncio.create_task(service.drain())
        again = asyncio.create_task(signals.get())
        try:
            await asyncio.wait({draining, again}, return_when=asyncio.FIRST_COMPLETED)
            if not draining.done():
                service.hurry()
            await draining
        finally:
            again.cancel()


@contextlib.asynccontextmanager
async def _signals() -> AsyncIterator[asyncio.Queue[int]]:
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[int] = asyncio.Queue()
    kinds = (signal.SIGTERM, signal.SIGINT)
    for kind in kinds:
        loop.add_signal_handler(kind, received.put_nowait, kind)
    try:
        yield received
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)
