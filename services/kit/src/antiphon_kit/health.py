"""Owns what a service says about its own health: the standard grpc.health.v1 and the probe that feeds it.

A service is NOT_SERVING from its first instant and SERVING only while its provider says so.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from antiphon_contract.errors import CallFailure, Reason, reason_name

log = logging.getLogger(__name__)

EVERY_S: Final = 10.0
FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 2.0
PROBE_LIMIT_S: Final = 10.0

# Of these, said by the vendor, the process is not to blame: it serves, and its callers learn them as typed errors
# with which a router puts out the key or the account. A process that is NOT_SERVING could tell nobody why.
_ABOUT_THE_ACCOUNT: Final = frozenset(
    {
        Reason.ERROR_REASON_PROVIDER_CREDENTIALS,
        Reason.ERROR_REASON_QUOTA_EXHAUSTED,
        Reason.ERROR_REASON_RATE_LIMITED,
    }
)

_Context = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class _Servicer(health.aio.HealthServicer):  # type: ignore[misc]  # grpc_health is untyped
    """The stock servicer, except that its watches can be ended: a server cannot stop before its last stream does."""

    def __init__(self) -> None:
        super().__init__()
        self.ending = asyncio.Event()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: _Context) -> None:  # noqa: N802
        watching = asyncio.ensure_future(super().Watch(request, context))
        ending = asyncio.ensure_future(self.ending.wait())
        try:
            await asyncio.wait({watching, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            ending.cancel()
            await asyncio.gather(watching, ending, return_exceptions=True)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the service is stopping")


class Health:
    """Serving status of "" (the whole process) and of each named service; all start NOT_SERVING."""

    def __init__(self, service_names: Iterable[str]) -> None:
        self._servicer = _Servicer()
        self._status = dict.fromkeys(("", *service_names), False)

    async def attach(self, server: grpc.aio.Server) -> None:
        """Register with a server that has not started yet."""
        for name in self._status:
            await self._servicer.set(name, _NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set(self, name: str, serving: bool) -> None:
        """Report one service; "" is the whole process. Without effect once `stopping()` was called."""
        self._status[name] = serving
        await self._servicer.set(name, _SERVING if serving else _NOT_SERVING)

    async def set_all(self, serving: bool) -> None:
        """Report every service known so far, and the whole process."""
        for name in self._status:
            await self.set(name, serving)

    async def stopping(self) -> None:
        """NOT_SERVING for everything, for good."""
        await self._servicer.enter_graceful_shutdown()

    def end_watches(self) -> None:
        """End all Watch streams with UNAVAILABLE."""
        self._servicer.ending.set()


class Probe:
    """Asks `ready` until it is told to stop and reports the answer to all services of `health`.

    Asks fast until the first yes, then every `every_s`. A change of mind is logged with the reason.
    """

    def __init__(self, ready: Callable[[], Awaitable[None]], health: Health, *, every_s: float = EVERY_S) -> None:
        self._ready = ready
        self._health = health
        self._every_s = every_s
        self._last: str | None = None

    async def run(self) -> None:
        """Probe for ever; ends by cancellation only."""
        delay_s = FIRST_RETRY_S
        serving_before = False
        while True:
            serving = await self._ask()
            serving_before = serving_before or serving
            await asyncio.sleep(self._every_s if serving_before else min(delay_s, self._every_s))
            delay_s = min(2 * delay_s, LAST_RETRY_S)

    async def _ask(self) -> bool:
        reason, message, serving = "", "ready", True
        try:
            async with asyncio.timeout(PROBE_LIMIT_S):
                await self._ready()
        except CallFailure as failure:
            error = failure.error
            reason, message = reason_name(error.reason), error.message
            serving = error.reason in _ABOUT_THE_ACCOUNT and error.http_status >= 400
        except TimeoutError:
            reason, message = "UPSTREAM_TIMEOUT", f"the readiness probe took longer than {PROBE_LIMIT_S:.0f} s"
            serving = False
        except Exception:
            reason, message = "GATEWAY_INTERNAL", "the readiness probe failed; see the traceback"
            serving = False
            if self._last != reason + message:
                log.exception("probe_failed")
        if self._last != reason + message:
            self._last = reason + message
            level = logging.WARNING if reason else logging.INFO
            log.log(level, "health", extra={"serving": serving, "reason": reason, "detail": message})
        await self._health.set_all(serving)
        return serving


@contextlib.asynccontextmanager
async def probing(probe: Probe) -> AsyncIterator[None]:
    """Run `probe` for the body of the `with`."""
    task = asyncio.create_task(probe.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
