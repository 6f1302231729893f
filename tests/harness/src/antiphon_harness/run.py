"""Owns the run of the goals: which share processes, in which order, what is said meanwhile, what is written."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from antiphon_harness import catalog
from antiphon_harness.bed import Bed
from antiphon_harness.goal import Goal, Verdict, checked
from antiphon_harness.processes import HarnessError
from antiphon_harness.suite import Suite

_MEASURE_FULL_S: Final = 20.0
_MEASURE_SHORT_S: Final = 4.0


@asynccontextmanager
async def laid_out(goal: Goal, scratch: Path, *, full: bool, seed: int, sabotage: str = "") -> Any:
    """The processes that `goal` and others with the same backends run on, with L measured."""
    async with Suite(scratch, sabotage=sabotage) as suite:
        bed = (goal.bed or Bed)(suite, await suite.upstream(), full=full, seed=seed)
        await bed.add(goal.backends)
        async with bed.prepared(goal):
            await bed.measure_load(_MEASURE_FULL_S if full else _MEASURE_SHORT_S)
        yield bed


async def pursued(goal: Goal, bed: Bed) -> Verdict:
    """One goal on a bed that is laid out for it. What the harness cannot measure is a verdict too."""
    started = time.monotonic()
    try:
        async with bed.prepared(goal):
            figures = checked(goal, await goal.run(bed))
        error = ""
    except* (HarnessError, grpc.aio.AioRpcError, OSError) as group:
        figures, error = {}, "; ".join(map(_told, leaves(group)))
    if bed.shots:
        with (bed.suite.scratch / f"{goal.id}-shots.jsonl").open("w", encoding="utf-8") as raw:
            raw.writelines(json.dumps(shot.as_json()) + "\n" for shot in bed.shots)
    return Verdict(goal, figures, error, time.monotonic() - started, bed.full, bed.rate)


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


async def run(goals: Sequence[Goal], scratch: Path, *, full: bool, seed: int) -> tuple[list[Verdict], dict[str, float]]:
    """All `goals`; returns verdicts in the order of the catalog, and the load: L and Smax."""
    say(f"seed {seed}; scratch {scratch}")
    verdicts: dict[str, Verdict] = {}
    load: dict[str, float] = {}
    for number, group in enumerate(catalog.groups(goals)):
        async with laid_out(group[0], scratch / str(number), full=full, seed=seed) as bed:
            say(f"saturation {bed.smax:.0f} calls/s; load L = {bed.rate:.0f} calls/s")
            load.setdefault("smax", round(bed.smax, 1))
            load.setdefault("rate", round(bed.rate, 1))
            for goal in group:
                verdicts[goal.id] = await pursued(goal, bed)
                say(line(verdicts[goal.id]))
    return [verdicts[goal.id] for goal in goals], load


def line(verdict: Verdict) -> str:
    """A verdict in a line or a few."""
    goal = verdict.goal
    head = f"{goal.id} {'pass' if verdict.passed else 'FAIL'} {verdict.took_s:5.0f} s  {goal.title}"
    if verdict.error:
        return f"{head}\n      not measured: {verdict.error}"
    rows = [
        f"      {what}: {value:.4g}" + next((f"  (bound {b.text()})" for b in goal.bounds if b.what == what), "")
        for what, value in verdict.figures.items()
    ]
    return "\n".join([head, *rows])


def say(what: str) -> None:
    """Progress, for people."""
    print(what, file=sys.stderr, flush=True)
