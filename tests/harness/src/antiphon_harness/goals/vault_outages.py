"""Owns the goals about a secret store that is sealed, frozen or dead, and about a start without it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import grpc

from antiphon.router.v1 import keys_pb2
from antiphon_harness import checker
from antiphon_harness.admin import Seen
from antiphon_harness.bed import MODEL
from antiphon_harness.goal import Bound, Figures, Goal
from antiphon_harness.key_watch import KeyWatch, asked
from antiphon_harness.loadgen import Ask
from antiphon_harness.processes import Process
from antiphon_harness.vault_bed import BACKEND, VAULTED, VaultBed, until_so

_LONG: Final = bool(os.environ.get("ANTIPHON_LONG"))
"""Ten minutes of each outage for real, with the settings that are usual."""

_TROUBLES: Final = {"stale", "unreachable", "sealed", "broken", "identity", "denied", "missing"}
_LAG_EVERY_S: Final = 0.05


class _Outage:
    """One kind of trouble and what it did. Times in seconds."""

    def __init__(self, bed: VaultBed, stale_after_s: float) -> None:
        self._bed = bed
        self._stale_after_s = stale_after_s
        self.beyond: list[float] = []
        self.below: list[float] = []
        self.alarm_late: list[float] = []
        self.fresh: list[float] = []
        self.lag: list[float] = []

    async def pass_by(
        self, hold_s: float, begin: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]], *, lag: bool
    ) -> None:
        """Begin it, look at the processes meanwhile, end it, and wait until all is well."""
        processes = self._bed.processes
        async with KeyWatch(processes) as watch:
            await watch.until("all is confirmed", lambda: not watch.rules() & _TROUBLES)
            await begin()
            began = time.monotonic()
            if lag:
                self.lag += await _lag(processes[0], hold_s)
            await asyncio.sleep(max(0.0, began + hold_s - time.monotonic()))
            for process in processes:
                before = time.monotonic()
                told = await asked(process.address)
                after = time.monotonic()
                for use in told.uses:
                    staleness = _staleness(use)
                    self.beyond.append(staleness - (after - began))
                    self.below.append(before - began - staleness)
            alarms = [at for (_, rule, _), at in watch.problems.items() if rule == "stale"]
            late = [at - began - self._stale_after_s for at in alarms]
            self.alarm_late += late if len(late) == len(processes) else [1e3]
            await end()
            ended = time.monotonic()
            await watch.until("all is confirmed again", lambda: not watch.rules() & _TROUBLES, 120.0)
            self.fresh.append(time.monotonic() - ended)


def _staleness(use: keys_pb2.KeyUse) -> float:
    return use.staleness.seconds + use.staleness.nanos / 1e9


async def _lag(process: Process, for_s: float) -> list[float]:
    """How long a question takes that needs nothing but the event loop."""
    until = time.monotonic() + for_s
    found = []
    async with grpc.aio.insecure_channel(process.address) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        await check(b"", timeout=20)
        while time.monotonic() < until:
            sent = time.monotonic()
            await check(b"", timeout=20)
            found.append(time.monotonic() - sent)
            await asyncio.sleep(_LAG_EVERY_S)
    return found


async def outages(bed: VaultBed) -> Figures:
    """Sealed, frozen, dead, one after the other, under load; a process with a short patience beside it."""
    hold_s = 600.0 if _LONG else bed.pick(35.0, 7.0)
    stale_s = 60.0 if _LONG else bed.pick(10.0, 3.0)
    most_s = bed.pick(30.0, 5.0)
    store = bed.store
    await bed.start_anew({"ANTIPHON_VAULT_STALE_AFTER_S": f"{stale_s:g}"})
    strict = await bed.replica("strict", {"ANTIPHON_VAULT_MAX_STALENESS_S": f"{most_s:g}"})
    outage = _Outage(bed, stale_s)
    calm = await _lag(bed.processes[0], 2.0)

    async def seal() -> None:
        await asyncio.to_thread(store.server.seal)

    async def ready() -> None:
        await asyncio.to_thread(store.server.until_ready)

    async def freeze() -> None:
        store.server.freeze()

    async def thaw() -> None:
        store.server.thaw()

    async def kill() -> None:
        store.server.kill()

    async with bed.load() as shots:
        await outage.pass_by(hold_s, seal, ready, lag=False)
        await outage.pass_by(hold_s, freeze, thaw, lag=True)
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(_until_stopped(bed, strict, hold_s))
            await outage.pass_by(max(hold_s, most_s + 3.0), kill, store.restart, lag=False)
    stopped, reason = stopping.result()
    lag = checker.percentile(outage.lag, 99)
    return {
        "seconds of each outage": hold_s,
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "told staleness beyond the true one": max(outage.beyond),
        "told staleness below the true one": max(0.0, *outage.below),
        "seconds from the soft limit to the alarm": max(outage.alarm_late),
        "seconds until all is fresh again": max(outage.fresh),
        "seconds from the greatest staleness to the stop": stopped - most_s,
        "stopped for another reason": float(reason != "PROVIDER_CREDENTIALS"),
        "p99 of a question to the event loop while the store is frozen": 1000 * lag,
        "longest question while frozen": 1000 * max(outage.lag),
        "p99 of the same before": 1000 * checker.percentile(calm, 99),
    }


async def _until_stopped(bed: VaultBed, process: Process, hold_s: float) -> tuple[float, str]:
    """How old the key was when calls ended, in seconds, and the reason they were given."""
    async with bed.client(process.address) as client:
        until = time.monotonic() + hold_s + 60.0
        while time.monotonic() < until:
            shot = await client.shoot(Ask(model="m", timeout_s=10.0))
            if not shot.ok:
                told = await asked(process.address)
                now = time.monotonic()
                staleness = [_staleness(use) for use in told.uses]
                return max(staleness, default=0.0) - (now - shot.ended), shot.reason
            await asyncio.sleep(0.05)
    return 1e3, "none"


G21: Final = Goal(
    id="G21",
    title="the secret store is sealed, frozen and dead",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("failed", most=0),
        Bound("told staleness beyond the true one", most=7.0),
        Bound("told staleness below the true one", most=0.1),
        Bound("seconds from the soft limit to the alarm", most=10.0),
        Bound("seconds until all is fresh again", most=10.0, short_most=15.0),
        Bound("seconds from the greatest staleness to the stop", most=1.0, least=-0.05, short_most=3.0),
        Bound("stopped for another reason", most=0),
        Bound("p99 of a question to the event loop while the store is frozen", most=50.0, short_most=1500.0, unit="ms"),
    ),
    bare=True,
    run=outages,
)


async def cold_start(bed: VaultBed) -> Figures:
    """A process starts while the store is dead; another one that has its key takes the calls."""
    store = bed.store
    env = await bed.settings(f"cold-{bed.slot[-1]}")
    store.server.kill()
    cold = await bed.suite.ours("cold", "antiphon_provider_openai", env)
    bed.suite.callback(cold.end)
    address = {"warm": [one.address for one in bed.processes], "cold": [cold.address]}
    rows = [
        {"id": name, "provider": "openai", "addresses": where, "state_domain": BACKEND}
        for name, where in address.items()
    ]
    router = await bed.suite.router({"backends": rows})
    bed.suite.callback(router.process.end)
    await router.admin.until("the warm ones are well", lambda seen: _well(seen, "warm") == len(bed.processes))
    started = time.monotonic()
    async with bed.load(Ask(model=MODEL), router.address) as shots:
        told = await _health(cold)
        await asyncio.sleep(bed.pick(20.0, 4.0))
        told_again = await _health(cold)
        problems = {one.rule for one in (await asked(cold.address)).problems}
        alive = cold.is_running
        await store.restart()
        up = time.monotonic()

        async def serving() -> bool:
            return await _health(cold) == 1

        in_s = await until_so(serving, 60.0) - up
        await router.admin.until("the cold one is well", lambda seen: _well(seen, "cold") == 1, 60.0)
        await asyncio.sleep(2.0)
    router.process.end()
    cold.end()
    before = sum(shot.ok and shot.backend == "cold" and shot.ended < up for shot in shots)
    after = sum(shot.ok and shot.backend == "cold" for shot in shots)
    return {
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "serving without a key": float(1 in (told, told_again)) + before,
        "ended for want of the store": float(not alive),
        "says what is wrong": float("unreachable" in problems),
        "seconds from the store's return until it serves": in_s,
        "calls that it served then": after,
        "seconds without the store": up - started,
    }


def _well(seen: Sequence[Seen], backend: str) -> int:
    return sum(one.backend == backend and one.scope == "REPLICA" and one.state == "HEALTHY" for one in seen)


async def _health(process: Process) -> int:
    """1: SERVING, 2: NOT_SERVING."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    service = b"antiphon.llm.v1.ChatService"
    async with grpc.aio.insecure_channel(process.address, options=options) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        answer = await check(b"\x0a" + bytes([len(service)]) + service, timeout=20, wait_for_ready=True)
    return int(answer[1]) if answer else 0


G23: Final = Goal(
    id="G23",
    title="a process starts while the secret store is dead",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("failed", most=0),
        Bound("serving without a key", most=0),
        Bound("ended for want of the store", most=0),
        Bound("says what is wrong", least=1),
        Bound("seconds from the store's return until it serves", most=20.0),
        Bound("calls that it served then", least=1),
    ),
    run=cold_start,
)
