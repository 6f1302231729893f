"""Owns the trial of the saboteurs: each is started for real, and its goal must turn red, having been green before."""

import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from antiphon_harness import catalog
from antiphon_harness.bed import Bed
from antiphon_harness.goal import Goal, Verdict
from antiphon_harness.processes import HarnessError
from antiphon_harness.run import laid_out, leaves, pursued, say
from antiphon_harness.sabotage import Saboteur

Row = dict[str, Any]

_NOT_STARTED: Final = "did not start: "
_ROUTER: Final = "antiphon_router"


async def run(saboteurs: Sequence[Saboteur], scratch: Path, *, seed: int) -> list[Row]:
    """One row per saboteur: whether it was caught, and by what."""
    rows = []
    for goal_id, group in groupby(sorted(saboteurs, key=lambda one: one.goal), key=lambda one: one.goal):
        (goal,) = catalog.named([goal_id])
        rows += await _judged(goal, list(group), scratch, seed)
    return rows


async def _judged(goal: Goal, saboteurs: Sequence[Saboteur], scratch: Path, seed: int) -> list[Row]:
    """The goal as it is, then with bugs of the router, over the same replicas; then with bugs of the replicas too."""
    rows = []
    async with laid_out(goal, scratch / goal.id, full=False, seed=seed) as bed:
        clean = await pursued(goal, bed)
        say(f"{goal.id} without a saboteur: {_result(clean)}")
        for one in saboteurs:
            if _is_routers(one):
                rows.append(_row(one, clean, await _with_router(goal, bed, one)))
    for one in saboteurs:
        if not _is_routers(one):
            rows.append(_row(one, clean, await _with_all(goal, scratch / one.name, seed, one)))
    return rows


def _is_routers(saboteur: Saboteur) -> bool:
    return all(edit.package == _ROUTER for edit in saboteur.edits)


async def _with_router(goal: Goal, bed: Bed, saboteur: Saboteur) -> Verdict:
    bed.suite.sabotage = saboteur.name
    try:
        verdict = await pursued(goal, bed)
    finally:
        bed.suite.sabotage = ""
    if not bed.had_router:
        return Verdict(goal, error=_NOT_STARTED + verdict.error)
    return verdict


async def _with_all(goal: Goal, scratch: Path, seed: int, saboteur: Saboteur) -> Verdict:
    started = time.monotonic()
    try:
        async with laid_out(goal, scratch, full=False, seed=seed, sabotage=saboteur.name) as bed:
            return await pursued(goal, bed)
    except* HarnessError as group:
        error = "; ".join(map(str, leaves(group)))
    return Verdict(goal, error=_NOT_STARTED + error, took_s=time.monotonic() - started)


def _row(saboteur: Saboteur, clean: Verdict, verdict: Verdict) -> Row:
    # What cannot even start has not been caught by a goal.
    caught = clean.passed and not verdict.passed and not verdict.error.startswith(_NOT_STARTED)
    by = _result(verdict)
    say(f"{saboteur.name}: {'caught' if caught else 'NOT CAUGHT'} by {saboteur.goal}: {by}")
    return {
        "saboteur": saboteur.name,
        "what": saboteur.what,
        "shipped": saboteur.shipped,
        "goal": saboteur.goal,
        "clean": clean.passed,
        "caught": caught,
        "by": by,
        "took_s": round(verdict.took_s, 1),
    }


def _result(verdict: Verdict) -> str:
    if verdict.error:
        return f"not measured: {verdict.error}"
    return "; ".join(verdict.missed) or "green"
