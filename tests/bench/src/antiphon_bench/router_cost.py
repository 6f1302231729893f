"""Owns the cost of the router: its CPU per call and frame, over that of an echo server under the same load."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from antiphon_bench import echo, ratio
from antiphon_bench.processes import BenchError, Running, cpu_s
from antiphon_bench.services import running_echo, running_router

CONCURRENCY: Final = 8
CALLS_PER_ROUND: Final = 400
STREAMS_PER_ROUND: Final = 32
SETS: Final = 5
"""Of processes, started anew: two routers of the same tree differ by up to 8 % for as long as they run."""
_CALL_S: Final = 30.0

Load = Callable[[grpc.aio.Channel, int], Awaitable[None]]
Sides = list[tuple[Running, grpc.aio.Channel]]
"""Router and yardstick."""


async def measure(scratch: Path, rounds: int) -> dict[str, ratio.Ratio]:
    """CPU seconds per call and per frame of both. Raises BenchError when a process or a call fails."""
    unary: list[ratio.Pair] = []
    frames: list[ratio.Pair] = []
    for _ in range(SETS):
        async with _sides(scratch) as sides:
            unary += await _compared(sides, load, CALLS_PER_ROUND, rounds)
            frames += await _compared(sides, load_streams, STREAMS_PER_ROUND, rounds, echo.FRAMES)
    return {
        "router_unary_cpu_vs_echo": ratio.of_rounds(unary),
        "router_frame_cpu_vs_echo": ratio.of_rounds(frames),
    }


@asynccontextmanager
async def _sides(scratch: Path) -> AsyncIterator[Sides]:
    """A router in front of two replicas, and the echo server, each with a channel to it."""
    async with AsyncExitStack() as stack:
        yardstick = await stack.enter_async_context(running_echo(scratch, "yardstick"))
        replicas = [(await stack.enter_async_context(running_echo(scratch, f"replica-{n}"))).address for n in range(2)]
        router = await stack.enter_async_context(running_router(scratch, {echo.PROVIDER: replicas}))
        yield [(one, await stack.enter_async_context(opened(one))) for one in (router, yardstick)]


def opened(process: Running) -> grpc.aio.Channel:
    """A channel to a process, to be used with `async with`."""
    # With a shared pool two channels to one address would be one connection.
    options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
    return grpc.aio.insecure_channel(process.address, options=options)


async def _compared(sides: Sides, work: Load, calls: int, rounds: int, units: int = 1) -> list[ratio.Pair]:
    """Of so many calls per round, each of them `units` of work. The first round of each is to warm up."""
    for _, channel in sides:
        await work(channel, calls)
    pairs = []
    for number in range(rounds):
        cost = {}
        for process, channel in reversed(sides) if number % 2 else sides:
            before = cpu_s(process.pid)
            await work(channel, calls)
            cost[process.pid] = (cpu_s(process.pid) - before) / (calls * units)
        pairs.append(ratio.Pair(*(cost[process.pid] for process, _ in sides)))
    return pairs


async def load(channel: grpc.aio.Channel, calls: int) -> None:
    """Make that many calls, CONCURRENCY at a time. Raises BenchError when one fails."""
    method: Any = channel.unary_unary(echo.GENERATE)
    body = echo.request(echo.ROUTE)

    async def one() -> None:
        await method(body, timeout=_CALL_S)

    await _crowd(one, calls)


async def load_streams(channel: grpc.aio.Channel, calls: int) -> None:
    """The same for streamed answers. Raises BenchError also for one that is not whole."""
    method: Any = channel.unary_stream(echo.STREAM)
    body = echo.request(echo.ROUTE)

    async def one() -> None:
        frames = [frame async for frame in method(body, timeout=_CALL_S)]
        if len(frames) != echo.FRAMES:
            raise BenchError(f"{len(frames)} of {echo.FRAMES} frames came")

    await _crowd(one, calls)


async def _crowd(one: Callable[[], Awaitable[None]], calls: int) -> None:
    async def work() -> None:
        for _ in range(calls // CONCURRENCY):
            await one()

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONCURRENCY):
                tasks.create_task(work())
    except* grpc.aio.AioRpcError as group:
        first = group.exceptions[0]
        raise BenchError(f"a call failed under load: {getattr(first, 'code', lambda: '?')()}") from None
