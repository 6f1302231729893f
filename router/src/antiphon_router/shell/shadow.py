"""Owns copies of calls for other backends: sent aside, answered to nobody, bounded in number and in time.

Forbids itself: everything that a caller could notice. A copy is in no caller's record, and its failure counts for its
own backend only.
"""

import asyncio
import logging
from collections.abc import Callable
from random import random
from types import TracebackType
from typing import Final, Self

import grpc

from antiphon_contract import metadata
from antiphon_contract.errors import reason_name
from antiphon_router.core.failover import NEW_TURN
from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import Shadow
from antiphon_router.shell.call import Call
from antiphon_router.shell.channels import Link, Links
from antiphon_router.shell.effects import has_effects
from antiphon_router.shell.failures import failure_of, placed, wreck_of
from antiphon_router.shell.roster import Roster, Running
from antiphon_router.shell.wire import is_numbered

log = logging.getLogger(__name__)

MAX_SHADOWS: Final = 32
LIMIT_S: Final = 120.0
MAX_RESOLVED: Final = 256


class Shadows:
    """The copies under way, for the body of an `async with`. `dice` gives a number of [0, 1)."""

    def __init__(self, roster: Roster, links: Links, *, dice: Callable[[], float] = random) -> None:
        self._roster = roster
        self._links = links
        self._dice = dice
        self._tasks: set[asyncio.Task[None]] = set()
        self._resolutions: dict[Shadow, Resolution] = {}
        self.left_out = 0
        """Copies that were due and not sent, because too many were under way."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def copy(self, call: Call, request: bytes) -> None:
        """Send the copies that are due for `call`. Returns at once."""
        for shadow in call.policy.shadows:
            if self._dice() * 100.0 >= shadow.percent:
                continue
            if len(self._tasks) >= MAX_SHADOWS:
                self.left_out += 1
                continue
            task = asyncio.create_task(self._run(shadow, call.method, call.own_id, request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, shadow: Shadow, method: str, own_id: str, request: bytes) -> None:
        try:
            if not has_effects(method, request):
                await self._sent(shadow, method, own_id, request)
        except Exception:
            # Nobody waits for this task, and no caller may learn of it.
            log.exception("shadow_failed", extra={"method": method, "backend": shadow.candidate.backend.id})

    async def _sent(self, shadow: Shadow, method: str, own_id: str, request: bytes) -> None:
        running = self._roster.begin(self._resolution(shadow), NEW_TURN)
        if not isinstance(running, Running):
            return
        attempt = running.attempt
        outgoing = (
            (metadata.MODEL_NATIVE, shadow.candidate.model),
            (metadata.ATTEMPT, "1/1"),
            (metadata.ATTEMPT_ID, f"{own_id}-s"),
            (metadata.REQUEST_ID, f"{own_id}-s"),
        )
        try:
            await _answered(self._links[attempt.replica.key], method, request, outgoing, running)
        except grpc.aio.AioRpcError as raised:
            wreck = wreck_of(raised, attempt)
            running.failed(failure_of(wreck, running.elapsed_s()), placed(wreck.error, attempt))
            backend, reason = attempt.candidate.backend.id, reason_name(wreck.error.reason)
            log.info("shadow_call_failed", extra={"method": method, "backend": backend, "reason": reason})
        finally:
            running.close()

    def _resolution(self, shadow: Shadow) -> Resolution:
        found = self._resolutions.get(shadow)
        if found is None:
            if len(self._resolutions) >= MAX_RESOLVED:
                self._resolutions.clear()
            found = self._resolutions[shadow] = Resolution("shadow", ((shadow.candidate,),))
        return found


async def _answered(
    link: Link, method: str, request: bytes, outgoing: tuple[tuple[str, str], ...], running: Running
) -> None:
    """Read the answer to its end and keep nothing of it."""
    if "/Stream" not in method:
        await link.unary(method)(request, timeout=LIMIT_S, metadata=outgoing)
        running.succeeded()
        return
    rpc = link.stream(method)(request, timeout=LIMIT_S, metadata=outgoing)
    begun = False
    try:
        async for frame in rpc:
            if not begun and is_numbered(frame):
                begun = True
                running.succeeded()
    finally:
        rpc.cancel()
