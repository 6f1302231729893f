"""Owns the cost of the adapters: CPU of this process per call and per chunk, over the vendor's SDK for the same.

Both run in this process in turn, against the same server in another one; what the server burns is not counted.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from antiphon_bench import ratio
from antiphon_bench.adapter import Adapter
from antiphon_bench.dialects import DIALECTS
from antiphon_bench.sdk import Yardstick

UNARY_PER_ROUND: Final = 160
STREAMS_PER_ROUND: Final = 64
DRIPPED_PER_ROUND: Final = 16
_AT_ONCE: Final = 8

Work = Callable[[], Awaitable[Any]]


async def measure(vendor: str, rounds: int) -> dict[str, ratio.Ratio]:
    """Ratios by name of the figure; costs in CPU seconds per call or per chunk. `vendor`: host:port."""
    found: dict[str, ratio.Ratio] = {}
    for dialect in DIALECTS:
        yardstick = Yardstick(dialect, vendor)
        async with Adapter.opened(dialect, vendor) as ours:
            try:
                for name, times, at_once in (
                    ("unary", UNARY_PER_ROUND, 1),
                    ("chunk", STREAMS_PER_ROUND, 1),
                    ("chunk_dripped", DRIPPED_PER_ROUND, _AT_ONCE),
                ):
                    works = _work(ours, name), _work(yardstick, name)
                    figure = f"{dialect.name}_{name}_cpu_vs_sdk"
                    found[figure] = await _compare(*works, times, rounds, at_once=at_once)
            finally:
                await yardstick.aclose()
    return found


def _work(side: Adapter | Yardstick, name: str) -> Work:
    return {"unary": side.unary, "chunk": side.stream, "chunk_dripped": side.dripped_stream}[name]


async def _compare(ours: Work, yardstick: Work, times: int, rounds: int, *, at_once: int = 1) -> ratio.Ratio:
    for work in (ours, yardstick):
        await _cost_s(work, max(at_once, times // 4), at_once)
    pairs = []
    for number in range(rounds):
        order = (yardstick, ours) if number % 2 else (ours, yardstick)
        cost = {work: await _cost_s(work, times, at_once) for work in order}
        pairs.append(ratio.Pair(cost[ours], cost[yardstick]))
    return ratio.of_rounds(pairs)


async def _cost_s(work: Work, times: int, at_once: int) -> float:
    """CPU seconds of this process for one unit of what `work` returns: a number of chunks, or one call."""
    # Garbage of the side before must not be collected at the cost of this one.
    gc.collect()
    before = time.process_time()
    units = 0
    for _ in range(times // at_once):
        done = await asyncio.gather(*(work() for _ in range(at_once)))
        units += sum(one if isinstance(one, int) else 1 for one in done)
    return (time.process_time() - before) / units
