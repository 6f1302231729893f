"""Owns what a route adds before first content: a limit on it, and a second attempt beside a slow first one.

    first ────────────────────────── slow ─────────────────> cancelled, recorded with what it will have cost
             delay ─> second ─────────────> first content: the call is this one's

Forbids itself: two attempts of what has effects of its own; deciding whether there is a second one (the core does).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from antiphon_contract.errors import Reason, call_error
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
    call: Call, first: Running, open_: Open[T], drop: Callable[[T | Wreck], None], request: bytes
) -> tuple[Running, T | Wreck]:
    """Open `first`, and a second attempt beside it when it is slow. The attempt that counts, and what came of it.

    The other attempt is closed. `drop` lets go of content that came too late.
    """
    delay_s = call.hedge_delay_s(first)
    if delay_s is None:
        return first, await open_(first)
    tasks: dict[asyncio.Future[T | Wreck], Running] = {asyncio.ensure_future(open_(first)): first}
    try:
        done, _ = await asyncio.wait(tasks, timeout=delay_s)
        if not done and (second := call.hedge(first, request)) is not None:
            tasks[asyncio.ensure_future(open_(second))] = second
        while True:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            task = next(each for each in tasks if each in done)
            running, opened = tasks.pop(task), task.result()
            if not (tasks and isinstance(opened, Wreck)):
                for loser in tasks.values():
                    call.lost(loser, running, len(request))
                return running, opened
            # The other one may still make it.
            call.note(running, opened)
            call.close_attempt(running)
    finally:
        await _let_go(tasks, drop)
        for running in tasks.values():
            call.close_attempt(running)


async def _let_go(tasks: "dict[asyncio.Future[T | Wreck], Running]", drop: Callable[[T | Wreck], None]) -> None:
    for task in tasks:
        task.cancel()
    for late in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(late, BaseException):
            drop(late)
