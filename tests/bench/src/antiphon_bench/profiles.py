"""Owns the answer to why a figure misses its bound: where the CPU time of one call goes, or what fills the memory."""

import cProfile
import io
import pstats
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from antiphon_bench import echo, router_cost
from antiphon_bench.adapter import Adapter
from antiphon_bench.dialects import DIALECTS
from antiphon_bench.services import running_echo, running_openai, running_router

_ROWS: Final = 12
_TOP: Final = 40
_CALLS: Final = 300


@dataclass(frozen=True, slots=True)
class Profile:
    """`rows`: the largest pieces, (where, how much); `unit` of the amounts; `text`: everything, for a file."""

    unit: str
    rows: list[tuple[str, float]]
    text: str


async def explain(name: str, scratch: Path, vendor: str) -> Profile:
    """The profile that belongs to a figure."""
    if name.endswith("_rss_mb"):
        return await _memory(name, scratch, vendor)
    if name.startswith("router"):
        return await _router(scratch, streamed="frame" in name)
    return await _adapter(name, vendor)


async def _adapter(name: str, vendor: str) -> Profile:
    dialect = next(one for one in DIALECTS if name.startswith(one.name))
    async with Adapter.opened(dialect, vendor) as ours:
        work: Callable[[], Awaitable[Any]] = ours.stream if "chunk" in name else ours.unary
        # CPU time: on the clock, a write would seem to cost what the server does with it on this core.
        profile = cProfile.Profile(time.process_time)
        profile.enable()
        for _ in range(_CALLS):
            await work()
        profile.disable()
    return of_stats(pstats.Stats(profile), _CALLS)


async def _router(scratch: Path, *, streamed: bool) -> Profile:
    load = router_cost.load_streams if streamed else router_cost.load
    calls = router_cost.STREAMS_PER_ROUND if streamed else router_cost.CALLS_PER_ROUND
    dump = scratch / "router.prof"
    async with (
        running_echo(scratch, "replica") as replica,
        running_router(scratch, {echo.PROVIDER: [replica.address]}, profile_to=dump) as router,
        router_cost.opened(router) as channel,
    ):
        await load(channel, calls)
    return of_stats(pstats.Stats(str(dump)), calls)


def of_stats(stats: pstats.Stats, calls: int) -> Profile:
    """Microseconds per call spent in the functions themselves; what ran less than once in two calls is start-up."""
    untyped: Any = stats
    spent = [
        (_name(*where), round(own_s / calls * 1e6, 1))
        for where, (_, times, own_s, _, _) in untyped.strip_dirs().stats.items()
        if times >= calls / 2
    ]
    spent.sort(key=lambda row: -row[1])
    untyped.stream = io.StringIO()
    untyped.sort_stats("tottime").print_stats(_TOP)
    untyped.sort_stats("cumtime").print_stats(_TOP)
    return Profile("µs per call", spent[:_ROWS], untyped.stream.getvalue())


def _name(file: str, line: int, function: str) -> str:
    # Functions written in C have no file.
    return function if file == "~" else f"{file}:{line} {function}"


async def _memory(name: str, scratch: Path, vendor: str) -> Profile:
    async with _service(name, scratch, vendor) as pid:
        sizes = mappings_kb(_smaps(pid))
    rows = [(what, round(kb * 1024 / 1e6, 1)) for what, kb in sizes.most_common(_TOP)]
    return Profile("MB", rows[:_ROWS], "".join(f"{mb:>8.1f} MB  {what}\n" for what, mb in rows))


@asynccontextmanager
async def _service(name: str, scratch: Path, vendor: str) -> AsyncIterator[int]:
    async with running_echo(scratch, "replica") as replica:
        service = (
            running_openai(scratch, vendor)
            if name.startswith("openai")
            else running_router(scratch, {echo.PROVIDER: [replica.address]})
        )
        async with service as process:
            yield process.pid


def _smaps(pid: int) -> str:
    return Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8")


def mappings_kb(smaps: str) -> Counter[str]:
    """Resident kB by what is mapped, from the text of /proc/PID/smaps; files by their name without the directory."""
    sizes: Counter[str] = Counter()
    what = ""
    for line in smaps.splitlines():
        head, *rest = line.split()
        if head.endswith(":"):
            if head == "Rss:":
                sizes[what] += int(rest[0])
        else:
            what = Path(rest[4]).name if len(rest) > 4 else "anonymous"
    return sizes
