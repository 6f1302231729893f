"""Owns the cost of the router: its CPU per unary call, over that of an echo server under the same load."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import grpc

from antiphon_bench import echo, ratio
from antiphon_bench.processes import BenchError, Running, cpu_s
from antiphon_bench.services import running_echo, running_router

CONCURRENCY: Final = 8
CALLS_PER_ROUND: Final = 2400
_CALL_S: Final = 30.0
_WARM_UP_CALLS: Final = 800


async def measure(scratch: Path, rounds: int) -> ratio.Ratio:
    """CPU seconds per call of both. Raises BenchError when a process or a call fails."""
    async with AsyncExitStack() as stack:
        yardstick = await stack.enter_async_context(running_echo(scratch, "yardstick"))
        replica = await stack.enter_async_context(running_echo(scratch, "replica"))
        router = await stack.enter_async_context(running_router(scratch, {echo.PROVIDER: [replica.address]}))
        sides = [(one, await stack.enter_async_context(opened(one))) for one in (router, yardstick)]
        for _, channel in sides:
            await load(channel, _WARM_UP_CALLS)
        pairs = [await _round(sides, flipped=bool(number % 2)) for number in range(rounds)]
    return ratio.of_rounds(pairs)


def opened(process: Running) -> grpc.aio.Channel:
    """A channel to a process, to be used with `async with`."""
    # With a shared pool two channels to one address would be one connection.
    options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
    return grpc.aio.insecure_channel(process.address, options=options)


async def _round(sides: list[tuple[Running, grpc.aio.Channel]], *, flipped: bool) -> ratio.Pair:
    cost = {}
    for process, channel in reversed(sides) if flipped else sides:
        before = cpu_s(process.pid)
        await load(channel, CALLS_PER_ROUND)
        cost[process.pid] = (cpu_s(process.pid) - before) / CALLS_PER_ROUND
    ours, yardstick = (cost[process.pid] for process, _ in sides)
    return ratio.Pair(ours, yardstick)


async def load(channel: grpc.aio.Channel, calls: int) -> None:
    """Make that many calls, CONCURRENCY at a time. Raises BenchError when one fails."""
    method: Any = channel.unary_unary(echo.GENERATE)
    body = echo.request()

    async def work() -> None:
        for _ in range(calls // CONCURRENCY):
            await method(body, timeout=_CALL_S)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONCURRENCY):
                tasks.create_task(work())
    except* grpc.aio.AioRpcError as group:
        first = group.exceptions[0]
        raise BenchError(f"a call failed under load: {getattr(first, 'code', lambda: '?')()}") from None
