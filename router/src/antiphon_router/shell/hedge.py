"""Owns what a route adds before first content: a limit on it, and a second attempt beside a slow first one.

    first ────────────────────────── slow ─────────────────> cancelled, recorded with what it will have cost
             delay ─> second ─────────────> first content: the call is this one's

Forbids itself: two attempts of what has effects of its own; deciding whether there is a second one (the core does).
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar, cast

from antiphon_contract.errors import Reason, call_error
from antiphon_router.shell.alarms import Alarms, cancel
from antiphon_router.shell.call import Call
from antiphon_router.shell.failures import Wreck
from antiphon_router.shell.roster import Running

T = TypeVar("T")

Open = Callable[[Running], Awaitable[T | Wreck]]
"""Runs an attempt until its first content, or until it failed. What it gives back holds on to the attempt's RPC."""


async def limited(open_: Open[T], limit_s: float, running: Running) -> T | Wreck:
    """`open_`, failed if there is no first content within `limit_s`."""
    try:
        async with asyncio.timeout(limit_s):
            return await open_(running)
    except TimeoutError:
        attempt = running.attempt
        return Wreck(
            call_error(
                Reason.ERROR_REASON_UPSTREAM_TIMEOUT,
                f"backend {attempt.candidate.backend.id} sent no content within {limit_s:g} s "
                "(first_content_timeout of the route); use another model or raise the limit",
                native_code="first_content",
            )
        )


async def raced(
    call: Call, first: Running, open_: Open[T], drop: Callable[[T | Wreck], None], *, request: bytes, alarms: Alarms
) -> tuple[Running, T | Wreck]:
    """Open `first`, and a second attempt beside it when it is slow. The attempt that counts, and what came of it.

    The other attempt is closed. `drop` lets go of content that came too late.
    """
    delay_s = call.hedge_delay_s(first)
    if delay_s is None:
        return first, await open_(first)
    rivals: list[_Rival[T]] = []
    waiter = cast("asyncio.Task[object]", asyncio.current_task())
    alarm = alarms.set(delay_s, partial(_join, rivals, call, first, open_, request=request, waiter=waiter))
    try:
        try:
            opened = await open_(first)
        except asyncio.CancelledError:
            if not rivals or not rivals[0].interrupted():
                raise
            decided = rivals[0].winner()
        else:
            decided = await rivals[0].outcome(opened) if rivals and rivals[0].running is not None else (first, opened)
        finally:
            cancel(alarm)
    except BaseException:
        for rival in rivals:
            await rival.close(drop)
        raise
    try:
        for rival in rivals:
            await rival.close(drop)
    except BaseException:
        # The caller left meanwhile: nobody gets what there was to give.
        drop(decided[1])
        raise
    return decided


def _join(
    rivals: "list[_Rival[T]]",
    call: Call,
    first: Running,
    open_: Open[T],
    *,
    request: bytes,
    waiter: "asyncio.Task[object]",
) -> None:
    """`first` is slow: the second attempt joins `rivals`, if there is to be one."""
    second = call.hedge(first, request)
    if second is not None:
        rivals.append(_Rival(call, first, second, open_, waiter))


class _Rival(Generic[T]):
    """The attempt `running` beside `first`, which runs in the task `waiter`.

    So it is not before an attempt is slow that a call costs a task more; who comes first then cancels that wait.
    """

    def __init__(
        self,
        call: Call,
        first: Running,
        running: Running,
        open_: Open[T],
        waiter: "asyncio.Task[object]",
    ) -> None:
        self._call = call
        self._first = first
        self.running: Running | None = running
        """None: it has failed."""
        self._waiter = waiter
        self._cancels = waiter.cancelling()
        self._alone = self._won = False
        self._opening = asyncio.ensure_future(open_(running))
        self._opening.add_done_callback(self._ended)

    def _ended(self, opening: "asyncio.Future[T | Wreck]") -> None:
        if self._alone or self.running is None or opening.cancelled():
            return
        if opening.exception() is None and isinstance(wreck := opening.result(), Wreck):
            # The first one may still make it.
            self._fail(self.running, wreck)
            self.running = None
        else:
            self._won = self._waiter.cancel()

    def _fail(self, running: Running, wreck: Wreck) -> None:
        self._call.note(running, wreck)
        self._call.close_attempt(running)

    def interrupted(self) -> bool:
        """Whether it was this one that ended the wait for `first`, and not the caller as well. To be asked once."""
        return self._won and self._waiter.uncancel() <= self._cancels

    def winner(self) -> tuple[Running, T | Wreck]:
        """This one had content first."""
        opened = self._opening.result()
        second = self._taken()
        self._call.lost(self._first, second)
        self._call.close_attempt(self._first)
        return second, opened

    async def outcome(self, opened: T | Wreck) -> tuple[Running, T | Wreck]:
        """`first` came to an end while this one runs."""
        self.interrupted()
        assert self.running is not None
        if not isinstance(opened, Wreck):
            self._call.lost(self.running, self._first)
            return self._first, opened
        self._alone = True
        self._fail(self._first, opened)
        opened = await self._opening
        return self._taken(), opened

    def _taken(self) -> Running:
        second, self.running = self.running, None
        assert second is not None
        return second

    async def close(self, drop: Callable[[T | Wreck], None]) -> None:
        """It does not count, if it still runs."""
        if self.running is None:
            return
        second = self._taken()
        self._opening.cancel()
        try:
            await asyncio.wait([self._opening])
        finally:
            if self._opening.done():
                _drop_late(drop, self._opening)
            else:
                self._opening.add_done_callback(partial(_drop_late, drop))
            self._call.close_attempt(second)


def _drop_late(drop: Callable[[T | Wreck], None], opening: "asyncio.Future[T | Wreck]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        drop(opening.result())
