"""Owns the comparison with other gateways: the same calls through each to the same scripted vendor, in turn.

Each peer runs as its maker starts it, with one worker; its CPU is that of all its processes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from antiphon_bench import machine
from antiphon_bench.processes import cpu_s, rss_mb
from antiphon_bench.ratio import quantile
from antiphon_bench.results import provenance, table

CONCURRENCY: Final = 4
CALLS_PER_ROUND: Final = 200
_WARM_UP_CALLS: Final = 100

Call = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Contender:
    """One way to the vendor. `pids`: roots of the process trees that are between; none for the direct way."""

    name: str
    version: str
    call: Call
    pids: Sequence[int] = ()
    idle_rss_mb: float | None = None
    cpu_per_round_s: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        return sum(map(cpu_s, self.pids))

    def rss_mb(self) -> float:
        """Resident memory of all its processes now."""
        return sum(map(rss_mb, self.pids))


async def compare(contenders: Sequence[Contender], rounds: int) -> None:
    """Fill in the measurements: every round goes once through all contenders, each round in another order."""
    for one in contenders:
        one.idle_rss_mb = one.rss_mb() if one.pids else None
    for one in contenders:
        await _load(one, _WARM_UP_CALLS)
        one.latencies_s.clear()
    for number in range(rounds):
        shift = number % len(contenders)
        for one in (*contenders[shift:], *contenders[:shift]):
            before = one.cpu_s()
            await _load(one, CALLS_PER_ROUND)
            one.cpu_per_round_s.append((one.cpu_s() - before) / CALLS_PER_ROUND)


async def _load(contender: Contender, calls: int) -> None:
    async def work() -> None:
        for _ in range(calls // CONCURRENCY):
            began = time.perf_counter()
            await contender.call()
            contender.latencies_s.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONCURRENCY):
            tasks.create_task(work())


def row(contender: Contender) -> dict[str, Any]:
    """The measurements of one contender as JSON; unknown is null."""
    return {
        "version": contender.version,
        "cpu_ms_per_call": round(median(contender.cpu_per_round_s) * 1e3, 3) if contender.pids else None,
        "latency_p50_ms": round(quantile(contender.latencies_s, 0.50) * 1e3, 2),
        "latency_p99_ms": round(quantile(contender.latencies_s, 0.99) * 1e3, 2),
        "idle_rss_mb": None if contender.idle_rss_mb is None else round(contender.idle_rss_mb, 1),
        "loaded_rss_mb": round(contender.rss_mb(), 1) if contender.pids else None,
        "calls": len(contender.latencies_s),
    }


def document(
    contenders: Sequence[Contender], skipped: Mapping[str, str], rounds: int, where: Mapping[str, Any], command: str
) -> dict[str, Any]:
    """The content of peers.json. `skipped`: who could not take part, and why."""
    return {
        "contenders": {one.name: row(one) for one in contenders},
        "skipped": dict(skipped),
        "load": {"concurrency": CONCURRENCY, "calls_per_round": CALLS_PER_ROUND, "rounds": rounds},
        "command": command,
        "versions": machine.versions(),
        "machine": dict(where),
    }


def peers_table(result: Mapping[str, Any]) -> str:
    """All contenders side by side; CPU also as multiples of Antiphon's."""
    rows = []
    ours = result["contenders"].get("antiphon", {}).get("cpu_ms_per_call")
    for name, one in result["contenders"].items():
        cpu = one["cpu_ms_per_call"]
        rows.append(
            (
                f"{name} {one['version']}".strip(),
                "" if cpu is None else f"{cpu:.2f}",
                "" if cpu is None or not ours else f"{cpu / ours:.1f}",
                f"{one['latency_p50_ms']:.1f}",
                f"{one['latency_p99_ms']:.1f}",
                "" if one["idle_rss_mb"] is None else f"{one['idle_rss_mb']:.0f}",
                "" if one["loaded_rss_mb"] is None else f"{one['loaded_rss_mb']:.0f}",
            )
        )
    headings = ("way to the vendor", "CPU ms/call", "× ours", "p50 ms", "p99 ms", "idle MB", "loaded MB")
    return table(headings, rows)


def page(result: Mapping[str, Any]) -> str:
    """The Markdown page of the comparison."""
    load = result["load"]
    skipped = [f"* {name} did not take part: {why}" for name, why in result["skipped"].items()]
    return "\n".join(
        [
            "# The same calls through other gateways",
            "",
            "Made from `peers.json` by `make bench-peers`; do not edit.",
            "",
            f"Unary calls to a scripted vendor that answers at once, {load['concurrency']} at a time, "
            f"{load['rounds']} rounds of {load['calls_per_round']} calls through each in turn. Every gateway has one "
            "worker and its maker's defaults, except that none checks its callers (LiteLLM refuses to start so unless "
            "told that it is meant). CPU and memory are those of all its processes; Antiphon's are the router and the "
            "openai service, which asks the vendor for a stream and folds it where the others ask for a whole answer. "
            "The first line is the way without a gateway: its latency is the floor.",
            "",
            peers_table(result),
            "",
            *([*skipped, ""] if skipped else []),
            *provenance(result),
            "",
        ]
    )
