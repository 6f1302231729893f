"""Owns copies of calls for other backends: sent aside, answered to nobody, bounded in number and in time.

Forbids itself: everything that a caller could notice. A copy is in no caller's record, probes nothing, goes only where
all is well and half of the room is free, and what comes of it changes no target. A shadow that failed rests a while.
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
from antiphon_router.core.values import Scope, Shadow
from antiphon_router.shell.call import Call
from antiphon_router.shell.channels import Link, Links
from antiphon_router.shell.effects import has_effects
from antiphon_router.shell.failures import Wreck, end_in, failure_of, wreck_of
from antiphon_router.shell.roster import Roster

log = logging.getLogger(__name__)

MAX_SHADOWS: Final = 32
LIMIT_S: Final = 120.0
REST_S: Final = 10.0
"""For so long at least a shadow whose copy failed gets none; longer if its provider says so, up to LONGEST_REST_S."""

LONGEST_REST_S: Final = 300.0
MAX_RESTING: Final = 256


class Shadows:
    """The copies under way, for the body of an `async with`. `dice` gives a number of [0, 1)."""

    def __init__(self, roster: Roster, links: Links, *, dice: Callable[[], float] = random) -> None:
        self._roster = roster
        self._links = links
        self._dice = dice
        self._tasks: set[asyncio.Task[None]] = set()
        self._rests: dict[str, float] = {}
        """Until when shadows rest, by backend and model."""
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
        if self._rests and self._rests.get(shadow.candidate.key(Scope.KEY_MODEL).id, 0.0) > self._roster.clock():
            return
        running = self._roster.aside(shadow.candidate, len(request))
        if running is None:
            return
        attempt = running.attempt
        outgoing = (
            (metadata.MODEL_NATIVE, shadow.candidate.model),
            (metadata.ATTEMPT, "1/1"),
            (metadata.ATTEMPT_ID, f"{own_id}-s"),
            (metadata.REQUEST_ID, f"{own_id}-s"),
        )
        try:
            running.end = await _answered(self._links[attempt.replica.key], method, request, outgoing)
        except grpc.aio.AioRpcError as raised:
            wreck = wreck_of(raised, attempt)
            running.end = wreck.end
            self._rest(shadow, wreck)
            backend, reason = attempt.candidate.backend.id, reason_name(wreck.error.reason)
            log.info("shadow_call_failed", extra={"method": method, "backend": backend, "reason": reason})
        finally:
            running.close()

    def _rest(self, shadow: Shadow, wreck: Wreck) -> None:
        delay_s = failure_of(wreck, 0.0).delay_s or 0.0
        if len(self._rests) >= MAX_RESTING:
            del self._rests[next(iter(self._rests))]
        until = self._roster.clock() + min(max(REST_S, delay_s), LONGEST_REST_S)
        self._rests[shadow.candidate.key(Scope.KEY_MODEL).id] = until


async def _answered(link: Link, method: str, request: bytes, outgoing: tuple[tuple[str, str], ...]) -> bytes:
    """Read the answer to its end and keep nothing of it but the adapter's record, for the bounds of the backend."""
    rpc = link.call(method, LIMIT_S)
    try:
        if "/Stream" not in method:
            _, trailers = await rpc.unary(request, outgoing)
            return end_in(trailers)
        await rpc.begin(request, outgoing)
        async for _ in rpc:
            pass
        return end_in(await rpc.trailers())
    finally:
        rpc.close()
