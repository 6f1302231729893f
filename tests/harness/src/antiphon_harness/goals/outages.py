"""Owns the goals about upstreams that are down, slow or flapping, and about what the router makes of the load then."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from antiphon_harness import checker
from antiphon_harness.bed import CALM, MODEL, Bed
from antiphon_harness.fakellm.script import Rule, Script
from antiphon_harness.goal import KEYS, Bound, Figures, Goal
from antiphon_harness.goals.keys import health_changes
from antiphon_harness.loadgen import PATIENT, Ask, Shot

_UNARY: Final = Ask(model=MODEL)
_DOWN: Final = Script(status=503, head_delay_s=0.02)
_RECOVERY_S: Final = 10.0
_CREDIT: Final = 30
"""What the budget of a fresh router holds: ten seconds of 3/s."""


async def outage(bed: Bed) -> Figures:
    """Every upstream answers 503 for a while, then all is well again. Clients repeat what never reached a router."""
    calm_s, down_s, after_s = bed.pick(10.0, 2.0), bed.pick(60.0, 6.0), _RECOVERY_S + bed.pick(10.0, 3.0)
    log = bed.router.process.log_size()
    async with bed.client(options=PATIENT) as load, asyncio.TaskGroup() as tasks:
        count = int(bed.rate * (calm_s + down_s + after_s))
        firing = tasks.create_task(load.fire(_UNARY, rate=bed.rate, count=count))
        await asyncio.sleep(calm_s)
        await bed.upstream.rules(Rule(_DOWN))
        down = time.monotonic()
        await asyncio.sleep(down_s)
        await bed.upstream.rules(Rule(CALM))
        up = time.monotonic()
    shots = firing.result()
    bed.keep(shots)
    asked = [shot for shot in shots if down <= shot.sent < up]
    seen = [one for one in bed.upstream.witness.accepted(since=down) if one.at < up]
    later = [shot for shot in shots if shot.due > up + _RECOVERY_S]
    failed = checker.failed(shots)
    answered = sum('"call_failed"' in line for line in bed.router.process.log_lines(log))
    amplified = await _half_down(bed)
    return {
        "calls in the outage": len(asked),
        "attempts in the outage": len(seen),
        "attempts / allowed": len(seen) / (1.10 * len(asked) + 3 * (up - down)),
        "goodput 10 s after it": sum(shot.ok for shot in later) / max(1, len(later)),
        "calls that clients added, in percent": 100.0 * (answered - len(failed)) / max(1, len(asked)),
        "attempts / allowed while every other one fails": amplified,
        "seconds until the first success": min((s.ended for s in shots if s.ok and s.sent > up), default=up + 1e3) - up,
    }


async def _half_down(bed: Bed) -> float:
    """Every other attempt fails: no breaker opens, and only the budget keeps the load from doubling."""
    await bed.upstream.rules(Rule(Script(status=500, head_delay_s=0.02), every=2), Rule(CALM))
    fresh = await bed.start_router()
    since = time.monotonic()
    async with bed.client(fresh.address) as load:
        shots = await load.fire(_UNARY, rate=bed.rate, count=int(bed.rate * bed.pick(60.0, 8.0)))
    took_s = time.monotonic() - since
    bed.keep(shots)
    return len(bed.upstream.witness.accepted(since=since)) / (1.10 * len(shots) + 3 * took_s + _CREDIT)


G09: Final = Goal(
    id="G09",
    title="every upstream answers 503 for 60 s, then all are well",
    backends=KEYS,
    bounds=(
        Bound("attempts / allowed", most=1.0, short_most=1.15),
        Bound("goodput 10 s after it", least=0.95),
        Bound("calls that clients added, in percent", most=1.0),
        Bound("attempts / allowed while every other one fails", most=1.0),
    ),
    run=outage,
)


async def flapping(bed: Bed) -> Figures:
    """The primary of a route goes up and down all the time; a secondary is there."""
    for_s, period_s = bed.pick(60.0, 14.0), 2.0
    key = bed.keys["a"]
    log = bed.router.process.log_size()
    async with bed.client() as load, asyncio.TaskGroup() as tasks:
        firing = tasks.create_task(load.fire(Ask(model="tiered"), rate=bed.rate, count=int(bed.rate * for_s)))
        start = time.monotonic()
        down = True
        while time.monotonic() < start + for_s:
            await bed.upstream.rules(*([Rule(Script(status=503), key=key)] if down else []), Rule(CALM))
            await asyncio.sleep(period_s)
            down = not down
    shots = firing.result()
    bed.keep(shots)
    probes = [line for line in health_changes(bed, log) if '"HALF_OPEN"' in line and '"REPLICA"' not in line]
    moved = sum(any(one["backend"] == "a" for one in shot.attempts) for shot in shots)
    return {
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "probes": len(probes),
        "share of calls that met the primary down": moved / len(shots),
    }


FLAP: Final = Goal(
    id="G09b",
    title="the primary of a route flaps for 60 s",
    backends=KEYS,
    bounds=(
        Bound("probes", most=4),
        Bound("failed", most=0),
        Bound("share of calls that met the primary down", most=0.1),
    ),
    run=flapping,
    routes=(
        {
            "model": "tiered",
            "targets": [
                {"backend": "a", "model": "m", "tier": 0},
                {"backend": "b", "model": "m", "tier": 1},
                {"backend": "c", "model": "m", "tier": 1},
            ],
        },
    ),
)


async def brownout(bed: Bed) -> Figures:
    """One of three becomes ten times as slow, then well again."""
    calm_s, slow_s, after_s = bed.pick(20.0, 4.0), bed.pick(40.0, 14.0), bed.pick(60.0, 2.0)
    key = bed.keys["a"]
    async with bed.client() as load, asyncio.TaskGroup() as tasks:
        count = int(bed.rate * (calm_s + slow_s + after_s))
        firing = tasks.create_task(load.fire(_UNARY, rate=bed.rate, count=count))
        await asyncio.sleep(calm_s)
        slow = time.monotonic()
        await bed.upstream.rules(Rule(Script(ttft_s=1.0), key=key), Rule(CALM))
        await asyncio.sleep(slow_s)
        await bed.upstream.rules(Rule(CALM))
        well = time.monotonic()
    shots = firing.result()
    bed.keep(shots)
    calm = [shot for shot in shots if slow - calm_s + 2 <= shot.due < slow]
    brown = [shot for shot in shots if slow + 10.0 <= shot.due < well]
    last = [shot for shot in shots if shot.due >= well + after_s / 2]
    return {
        "failed": len(checker.failed(shots)),
        "share of the slow one from 10 s on": _share(brown, "a"),
        "p95 from 10 s on / calm p95": _p95(brown) / _p95(calm),
        "share after recovery / its part": 3 * _share(last, "a"),
        "share before / its part": 3 * _share(calm, "a"),
    }


def _share(shots: Sequence[Shot], backend: str) -> float:
    return sum(shot.backend == backend for shot in shots) / max(1, len(shots))


def _p95(shots: Sequence[Shot]) -> float:
    return checker.percentile([shot.first_s for shot in shots], 95)


G13: Final = Goal(
    id="G13",
    title="brownout: one of three takes ten times as long to its first token",
    backends=KEYS,
    bounds=(
        Bound("failed", most=0),
        Bound("share of the slow one from 10 s on", most=0.15),
        Bound("p95 from 10 s on / calm p95", most=1.3, short_most=5.0),
        Bound("share after recovery / its part", least=0.9, most=1.1, full_only=True),
    ),
    run=brownout,
)


async def panicking(bed: Bed) -> Figures:
    """One key is refused, and everything else fails for ten seconds."""
    down_s, after_s = 10.0, bed.pick(8.0, 4.0)
    await bed.upstream.keys([bed.keys["b"], bed.keys["c"]])
    async with bed.client() as load, asyncio.TaskGroup() as tasks:
        for _ in range(9):
            await load.shoot(_UNARY)
        await bed.upstream.rules(Rule(_DOWN))
        down = time.monotonic()
        firing = tasks.create_task(load.fire(_UNARY, rate=bed.rate, count=int(bed.rate * (down_s + after_s))))
        await asyncio.sleep(down_s)
        await bed.upstream.rules(Rule(CALM))
        up = time.monotonic()
    shots = firing.result()
    bed.keep(shots)
    seen = bed.upstream.witness.accepted(since=down)
    asked = {shot.prompt for shot in shots if down + 3.0 <= shot.sent < up}
    tried = {one.prompt for one in seen}
    first = min((shot.ended for shot in shots if shot.ok and shot.sent >= up - 0.5), default=up + 1e3)
    later = [shot for shot in shots if shot.sent > first + 2.0]
    return {
        "share of calls tried while all were out": len(asked & tried) / max(1, len(asked)),
        "seconds until the first success": first - up,
        "failed later than 2 s after the first success": len(checker.failed(later)),
        "calls with the refused key": sum(one.key == bed.mark("a") for one in seen),
    }


G15: Final = Goal(
    id="G15",
    title="panic: all endpoints are out by errors that pass, one key is refused",
    backends=KEYS,
    bounds=(
        Bound("share of calls tried while all were out", least=1.0),
        Bound("seconds until the first success", most=2.0, short_most=4.0),
        Bound("failed later than 2 s after the first success", most=0),
        Bound("calls with the refused key", most=0),
    ),
    run=panicking,
)
