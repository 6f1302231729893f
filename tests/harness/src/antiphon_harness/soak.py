"""Owns the soak: a router at half of its saturation for a long time, with cancels, failures and killed replicas.

What it must show at the end is that nothing has grown: memory by its slope after warming up, descriptors and threads
by their number once the load is gone.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from antiphon_bench.processes import rss_mb
from antiphon_harness import checker
from antiphon_harness.bed import CALM, MODEL, Bed
from antiphon_harness.fakellm.script import Rule, Script
from antiphon_harness.goal import REPLICAS, Goal
from antiphon_harness.loadgen import Ask, Client
from antiphon_harness.nemesis import schedule, unleash
from antiphon_harness.run import laid_out, say

MOST_MIB_PER_H: Final = 2.0
_WARM_SHARE: Final = 0.25
_EVERY_S: Final = 5.0
_QUIET_S: Final = 8.0
_MIX: Final = 20
_GROWTH: Final = 4
"""What thread pools and connections may have grown by since the load began; a leak is one per call or fault."""


async def _nothing(_: Bed) -> dict[str, float]:
    return {}


_SOAK: Final = Goal(id="SOAK", title="soak", backends=REPLICAS, bounds=(), run=_nothing)


async def run(minutes: float, scratch: Path, *, seed: int) -> dict[str, Any]:
    """The content of soak.json."""
    async with laid_out(_SOAK, scratch, full=False, seed=seed) as bed, bed.prepared(_SOAK):
        say(f"load {bed.rate:.0f} calls/s, half of the saturation, for {minutes:g} min")
        await bed.upstream.rules(
            Rule(Script(status=500, head_delay_s=0.02), model="failing", every=2),
            Rule(Script(ttft_s=0.1, gap_s=0.05, tokens=40), model="paced"),
            Rule(Script(end="fin", cut_after=5), model="dead"),
            Rule(CALM),
        )
        return await _soaked(bed, minutes * 60.0, seed)


async def _soaked(bed: Bed, duration_s: float, seed: int) -> dict[str, Any]:
    pid = bed.router.process.pid
    async with bed.client() as load:
        await load.fire(Ask(model=MODEL), rate=bed.rate, count=int(2 * bed.rate))
    await asyncio.sleep(_QUIET_S)
    before = _counts(pid)
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(_watched(pid, ended))
        async with bed.client() as load:
            nemesis = tasks.create_task(_killing(bed, duration_s, seed))
            outcomes = await _mixed(bed, load, duration_s, seed)
            await nemesis
        ended.set()
    await asyncio.sleep(_QUIET_S)
    after = _counts(pid)
    samples = watch.result()
    warm = [sample for sample in samples if sample[0] >= duration_s * _WARM_SHARE]
    slope = _slope(warm) * 3600.0
    in_flight = sum(one.in_flight for one in await bed.router.admin.targets())
    return {
        "minutes": round(duration_s / 60, 1),
        "rate": round(bed.rate, 1),
        "saturation": round(bed.smax, 1),
        "calls": sum(outcomes.values()),
        "outcomes": outcomes,
        "kills": len(nemesis.result()),
        "rss_mib_per_h": round(slope, 2),
        "bound_mib_per_h": MOST_MIB_PER_H,
        "rss_mib": [round(warm[0][1], 1), round(warm[-1][1], 1)] if warm else [],
        "before": before,
        "after": after,
        "calls_left": in_flight,
        "pass": slope <= MOST_MIB_PER_H
        and not in_flight
        and all(after[name] <= before[name] + _GROWTH for name in after),
        "samples": [[round(at), round(mib, 2)] for at, mib in samples],
    }


async def _mixed(bed: Bed, load: Client, duration_s: float, seed: int) -> dict[str, int]:
    """All kinds of calls in one stream of load; only their outcomes are kept."""
    dice = random.Random(seed)
    outcomes: dict[str, int] = {}
    until = time.monotonic() + duration_s
    while time.monotonic() < until:
        asks = [_any(dice) for _ in range(max(1, int(5 * bed.rate)))]
        for shot in await load.mix(asks, rate=bed.rate):
            name = shot.code if shot.ok else f"{shot.code} {shot.reason}"
            outcomes[name] = outcomes.get(name, 0) + 1
            if shot.ok and checker.silent([shot], len(shot.text.split())):
                outcomes["silent truncation"] = outcomes.get("silent truncation", 0) + 1
    return outcomes


def _any(dice: random.Random) -> Ask:
    drawn = dice.randrange(_MIX)
    if drawn == 0:
        return Ask(model="openai/failing", streamed=bool(dice.randrange(2)))
    if drawn == 1:
        return Ask(model="openai/paced", streamed=True, cancel_after_s=0.5 * dice.random())
    if drawn == 2:
        return Ask(model="openai/paced", streamed=True, timeout_s=0.5)
    if drawn == 3:
        return Ask(model="openai/dead", streamed=True)
    return Ask(model=MODEL, streamed=drawn % 2 == 0)


async def _killing(bed: Bed, duration_s: float, seed: int) -> Sequence[float]:
    async def kill(victim: int) -> None:
        bed.processes[victim].kill()
        await asyncio.sleep(1.0)
        await bed.processes[victim].restart()

    return await unleash(
        schedule(seed, ["kill"], len(bed.processes), duration_s=duration_s, every_s=max(30.0, duration_s / 20)),
        {"kill": kill},
    )


async def _watched(pid: int, ended: asyncio.Event) -> list[tuple[float, float]]:
    start = time.monotonic()
    samples = []
    while not ended.is_set():
        samples.append((time.monotonic() - start, rss_mb(pid) * 1e6 / 2**20))
        try:
            async with asyncio.timeout(_EVERY_S):
                await ended.wait()
        except TimeoutError:
            continue
    return samples


def _slope(samples: Sequence[tuple[float, float]]) -> float:
    """Least squares, MiB per second; 0 of fewer than three."""
    if len(samples) < 3:
        return 0.0
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    square = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / square if square else 0.0


def _counts(pid: int) -> dict[str, int]:
    return {
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
    }
