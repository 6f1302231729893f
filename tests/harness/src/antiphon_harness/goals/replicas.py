"""Owns the goals about processes: killed, frozen, drained, under load."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from antiphon_harness import checker
from antiphon_harness.bed import CALM, MODEL, Bed
from antiphon_harness.fakellm.script import Rule, Script
from antiphon_harness.goal import REPLICAS, Bound, Figures, Goal
from antiphon_harness.loadgen import PATIENT, Ask, Client, Shot
from antiphon_harness.nemesis import schedule, unleash
from antiphon_harness.processes import HarnessError, Process

_WINDOW_S: Final = 5.0
_SETTLED_S: Final = 12.0
_READY_S: Final = 2.5
_UNARY: Final = Ask(model=MODEL)
_STREAM: Final = Ask(model=MODEL, streamed=True)


def _at(process: Process, shots: Sequence[Shot]) -> list[Shot]:
    """Shots with a failed attempt at this process."""
    return [shot for shot in shots if any(process.address in one["message"] for one in shot.attempts)]


async def killed_unary(bed: Bed) -> Figures:
    """Kill a replica again and again under load, start it again each time."""
    cycle_s, back_s = bed.pick(60.0, 15.0), bed.pick(20.0, 4.0)
    count = bed.count(20_000, int(15 * bed.rate))
    faults = schedule(bed.seed, ["kill"], 3, duration_s=count / bed.rate + 1, every_s=cycle_s / 2.5, jitter=0.2)
    faults = [one for number, one in enumerate(faults) if number % 2 == 0] or faults
    killed: list[tuple[float, float, Process]] = []

    async def kill(victim: int) -> None:
        process = bed.processes[victim]
        at = time.monotonic()
        process.kill()
        await asyncio.sleep(back_s)
        await process.restart()
        killed.append((at, time.monotonic(), process))

    async with bed.client() as load, asyncio.TaskGroup() as tasks:
        await load.fire(_UNARY, rate=bed.rate, count=int(2 * bed.rate))
        nemesis = tasks.create_task(unleash(faults, {"kill": kill}))
        shots = await load.fire(_UNARY, rate=bed.rate, count=count)
        await nemesis
    bed.keep(shots)
    window = [shot.took_s for shot in shots if any(at <= shot.due < at + _WINDOW_S for at, _, _ in killed)]
    calm = [shot.took_s for shot in shots if not any(at - 1 <= shot.due < back + _SETTLED_S for at, back, _ in killed)]
    late = [shot for at, back, process in killed for shot in _at(process, shots) if at + 1.0 < shot.sent < back - 1.0]
    return {
        "calls": len(shots),
        "kills": len(killed),
        "failed": len(checker.failed(shots)),
        "wrong or repeated text": len(checker.wrong_text(shots, CALM.tokens)),
        "p99 in the 5 s after a kill / calm p99": checker.percentile(window, 99) / checker.percentile(calm, 99),
        "calm p99": checker.percentile(calm, 99) * 1000,
        "p99 after a kill": checker.percentile(window, 99) * 1000,
        "calls to the dead replica after 1 s": len(late),
        "unaccounted attempts": len(checker.unaccounted(shots, bed.upstream.witness.accepted())),
    }


G01: Final = Goal(
    id="G01",
    title="SIGKILL one of three replicas at load L, unary",
    backends=REPLICAS,
    bounds=(
        Bound("failed", most=0),
        Bound("p99 in the 5 s after a kill / calm p99", most=2.0, short_most=8.0),
        Bound("calls to the dead replica after 1 s", most=0),
        Bound("wrong or repeated text", most=0),
        Bound("unaccounted attempts", most=0),
        Bound("kills", least=1),
        Bound("calls", least=20_000, full_only=True),
    ),
    run=killed_unary,
)


async def killed_streams(bed: Bed) -> Figures:
    """Kill a replica while some streams wait for their first token and others are in the middle."""
    await bed.upstream.rules(Rule(Script(ttft_s=1.0, gap_s=0.1, tokens=20)))
    dice = bed.dice
    shots: list[Shot] = []
    async with bed.client() as load:
        for _ in range(bed.count(10, 1)):
            victim = bed.processes[dice.randrange(3)]
            async with asyncio.TaskGroup() as tasks:
                firing = tasks.create_task(load.fire(_STREAM, rate=30.0, count=60))
                await asyncio.sleep(1.8 + 0.4 * dice.random())
                victim.kill()
            shots += firing.result()
            await victim.restart()
            await bed.router.admin.until_all_take_calls(3)
    bed.keep(shots)
    return {
        "streams": len(shots),
        "failed before the first token": sum(not shot.ok and shot.first is None for shot in shots),
        "cut after it": sum(not shot.ok and shot.first is not None for shot in shots),
        "moved before it": sum(shot.ok and bool(shot.attempts) for shot in shots),
        "losses that are not typed": len(checker.untyped_losses(shots)),
        "silent truncations": len(checker.silent(shots, 20)),
        "wrong or repeated text": len(checker.wrong_text(shots, 20)),
    }


G02: Final = Goal(
    id="G02",
    title="SIGKILL one of three replicas, streams",
    backends=REPLICAS,
    bounds=(
        Bound("failed before the first token", most=0),
        Bound("losses that are not typed", most=0),
        Bound("silent truncations", most=0),
        Bound("wrong or repeated text", most=0),
        Bound("cut after it", least=1),
        Bound("moved before it", least=1),
    ),
    run=killed_streams,
)


async def frozen(bed: Bed) -> Figures:
    """Freeze a replica: its connections stay open and nobody answers. Then let it go on."""
    frozen_s, calm_s, after_s = bed.pick(60.0, 5.0), bed.pick(10.0, 2.0), bed.pick(20.0, 8.0)
    victim = bed.processes[bed.dice.randrange(3)]
    async with bed.client() as load, asyncio.TaskGroup() as tasks:
        count = int((calm_s + frozen_s + after_s) * bed.rate)
        firing = tasks.create_task(load.fire(_UNARY, rate=bed.rate, count=count))
        await asyncio.sleep(calm_s)
        victim.freeze()
        stopped = time.monotonic()
        await asyncio.sleep(frozen_s)
        victim.thaw()
        thawed = time.monotonic()
    shots = firing.result()
    stuck = _at(victim, shots)
    before = {shot.instance for shot in shots if shot.ended < stopped}
    meanwhile = {shot.instance for shot in shots if stopped + 2.5 < shot.sent < thawed - 0.5}
    back = [shot for shot in shots if shot.sent > thawed and shot.instance in before - meanwhile]
    early = [shot for shot in shots if back and back[0].sent <= shot.sent < back[0].sent + 3.0]
    share = sum(shot.instance in before - meanwhile for shot in early) / max(1, len(early))
    waiting = await _waiting(bed)
    bed.keep(shots)
    return {
        "failed": len(checker.failed(shots)),
        "moved": len(stuck),
        "seconds until it got no more calls": max((shot.sent - stopped for shot in stuck), default=0.0),
        "seconds until it was back": back[0].sent - thawed if back else 1e3,
        "share of its part in the first 3 s": 3 * share,
        "slowest call": max(shot.took_s for shot in shots),
        **waiting,
    }


async def _waiting(bed: Bed) -> Figures:
    """Streams that wait long for their first token, with pings on connections that carry nothing else."""
    wait_s = bed.pick(120.0, 8.0)
    await bed.upstream.rules(Rule(Script(ttft_s=wait_s, role_first=False)))
    since = time.monotonic()
    ask = Ask(model=MODEL, streamed=True, timeout_s=wait_s + 60, first_event_s=wait_s + 30)
    async with bed.client() as load:
        shots = await load.fire(ask, rate=50.0, count=50)
    return {
        "long waits that failed": len(checker.failed(shots)),
        "attempts for 50 long waits": len(bed.upstream.witness.accepted(since=since)),
    }


G03: Final = Goal(
    id="G03",
    title="SIGSTOP one of three replicas, SIGCONT; and 50 streams that wait long for their first token",
    backends=REPLICAS,
    bounds=(
        Bound("failed", most=0),
        Bound("moved", least=1),
        Bound("seconds until it got no more calls", most=2.0, short_most=4.0),
        Bound("seconds until it was back", most=10.0),
        Bound("share of its part in the first 3 s", most=0.6),
        Bound("long waits that failed", most=0),
        Bound("attempts for 50 long waits", most=50, least=50),
    ),
    run=frozen,
)


async def restarted(bed: Bed) -> Figures:
    """Replace processes in turn, as a deployment does: two routers, then the replicas (one, in the short tier)."""
    stream_s = bed.pick(60.0, 3.0)
    tokens = int(stream_s * 2)
    second = await bed.start_router()
    addresses = f"ipv4:{bed.router.address},{second.address}"
    await bed.upstream.rules(Rule(Script(ttft_s=0.2, gap_s=0.5, tokens=tokens), model="long"), Rule(CALM))
    told: list[tuple[float, float]] = []
    async with bed.client(addresses, options=PATIENT) as load, asyncio.TaskGroup() as tasks:
        ended = asyncio.Event()
        unary = tasks.create_task(_until(ended, load, bed.rate / 2))
        long = []
        for process in (bed.router.process, second.process, *bed.processes[: bed.count(3, 1)]):
            long.append(tasks.create_task(_long(load, 10)))
            await asyncio.sleep(0.5)
            process.terminate()
            at = time.monotonic()
            code = await process.wait(stream_s + 60)
            if code:
                raise HarnessError(f"{process.name} ended with {code}")
            await process.start()
            told.append((at, time.monotonic()))
            await bed.router.admin.until_all_take_calls(3)
            # As deployments do (minReadySeconds): clients connect again within a second or two.
            await asyncio.sleep(_READY_S)
        ended.set()
    shots = unary.result()
    streams = [shot for task in long for shot in task.result()]
    bed.keep(shots, streams)
    late = 0
    for at, back in told:
        gone = _gone(shots, at, back)
        late += sum(at + 0.15 < shot.sent < back and shot.instance in gone for shot in shots)
    return {
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "long streams": len(streams),
        "broken streams": len(checker.failed(streams)) + len(checker.silent(streams, tokens)),
        "calls to a drained process after 150 ms": late,
    }


def _gone(shots: Sequence[Shot], at: float, back: float) -> set[str]:
    """Instances that answered before `at` and never after `back`."""
    return {shot.instance for shot in shots if shot.sent < at} - {shot.instance for shot in shots if shot.sent > back}


async def _until(ended: asyncio.Event, load: Client, rate: float) -> list[Shot]:
    shots: list[Shot] = []
    while not ended.is_set():
        shots += await load.fire(_UNARY, rate=rate, count=max(1, int(rate)))
    return shots


async def _long(load: Client, count: int) -> list[Shot]:
    return await load.fire(Ask(model="openai/long", streamed=True, timeout_s=200.0), rate=50.0, count=count)


G16: Final = Goal(
    id="G16",
    title="rolling restart of two routers and three replicas, with 50 long streams under way",
    backends=REPLICAS,
    bounds=(
        Bound("failed", most=0),
        Bound("long streams", least=30),
        Bound("long streams", least=50, full_only=True),
        Bound("broken streams", most=0),
        Bound("calls to a drained process after 150 ms", most=0),
    ),
    run=restarted,
)
