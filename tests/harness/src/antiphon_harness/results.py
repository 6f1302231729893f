"""Owns the result files: JSON with the figures, and Markdown pages made from nothing but that."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon_bench import machine
from antiphon_bench.results import provenance, table
from antiphon_harness.goal import Goal, Verdict

LEAST_CAUGHT: float = 0.95
_LOAD = "L is half of the saturation that was measured first, at most 500 calls/s"
_LOW = "; the design asks for 100 calls/s at least, which this machine cannot carry at half of its saturation"


def provided(result: dict[str, Any], where: Mapping[str, Any], command: str) -> dict[str, Any]:
    """`result` with machine, versions and command."""
    return {**result, "machine": dict(where), "versions": machine.versions(), "command": command}


def faults(
    verdicts: Sequence[Verdict], pending: Sequence[Goal], load: Mapping[str, float], *, seed: int, full: bool
) -> dict[str, Any]:
    """The content of faults.json."""
    rows = [_goal(verdict) for verdict in verdicts]
    rows += [
        {
            "goal": goal.id,
            "title": goal.title,
            "figure": "not yet",
            "bound": _bounds(goal),
            "pass": False,
            "why": goal.pending,
        }
        for goal in pending
    ]
    note = _LOAD + (_LOW if load["rate"] < 100 else "")
    return {
        "goals": sorted(rows, key=lambda row: str(row["goal"])),
        "load": {**load, "note": note},
        "tier": "full" if full else "short",
        "seed": seed,
    }


def joined(whole: Mapping[str, Any], part: Mapping[str, Any], command: str) -> dict[str, Any]:
    """`whole` with the goals of `part`, a run of its own by `command`, in place of those that it had."""
    news = {row["goal"]: {**row, "apart": command} for row in part["goals"]}
    return {**whole, "goals": [news.get(row["goal"], row) for row in whole["goals"]]}


def _goal(verdict: Verdict) -> dict[str, Any]:
    row = {
        "goal": verdict.goal.id,
        "title": verdict.goal.title,
        "figure": _figure(verdict),
        "bound": _bounds(verdict.goal),
        "pass": verdict.passed,
        "rate": round(verdict.rate, 1),
        "took_s": round(verdict.took_s, 1),
        "figures": {what: round(value, 4) for what, value in verdict.figures.items()},
    }
    return {**row, "missed": verdict.missed, "error": verdict.error} if not verdict.passed else row


def _figure(verdict: Verdict) -> str:
    if verdict.error:
        return f"not measured: {verdict.error}"
    wanted = dict.fromkeys(bound.what for bound in verdict.goal.bounds)
    return "; ".join(f"{what}: {verdict.figures[what]:.4g}" for what in wanted)


def _bounds(goal: Goal) -> str:
    return "; ".join(f"{bound.what}: {bound.text()}" for bound in goal.bounds)


def faults_page(result: Mapping[str, Any]) -> str:
    """The page of faults.json."""
    load = result["load"]
    lines = [
        "# What happens when things go wrong",
        "",
        "Made from `faults.json` by `make faults`; do not edit. Real processes on one machine: provider services, "
        "routers and a scripted upstream; every call is checked against what the upstream saw.",
        "",
        f"Load L = {load['rate']:g} calls/s, saturation {load['smax']:g} calls/s. {load['note']}.",
        "",
    ]
    rows = [(row["goal"], row["title"], "yes" if row["pass"] else "**no**") for row in result["goals"]]
    lines += [_left_table(("goal", "what happens", "pass"), rows), ""]
    for row in result["goals"]:
        if "apart" in row:
            lines += [f"{row['goal']} was measured in a run of its own: `{row['apart']}`.", ""]
    for row in result["goals"]:
        lines += [f"## {row['goal']}: {row['title']}", ""]
        lines += [f"Not yet: {row['why']}.", ""] if "why" in row else [*_figures(row), ""]
    return "\n".join([*lines, f"Seed {result['seed']}, {result['tier']} tier.", "", *provenance(result), ""])


def _figures(row: Mapping[str, Any]) -> list[str]:
    if row.get("error"):
        return [f"Not measured: {row['error']}"]
    bounds: dict[str, str] = {}
    for part in row["bound"].split("; "):
        what, _, bound = part.rpartition(": ")
        bounds[what] = bound
    cells = [(what, f"{value:g}", bounds.get(what, "")) for what, value in row["figures"].items()]
    return [table(("figure", "value", "bound"), cells)]


def _left_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"

    return "\n".join([line(headings), f"|{'|'.join('-' * (width + 2) for width in widths)}|", *map(line, rows)])


def saboteurs(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of saboteurs.json."""
    caught = sum(bool(row["caught"]) for row in rows)
    return {"saboteurs": list(rows), "caught": caught, "of": len(rows), "share": round(caught / max(1, len(rows)), 3)}


def saboteurs_page(result: Mapping[str, Any]) -> str:
    """The page of saboteurs.json."""
    lines = [
        "# Bugs that are brought back on purpose",
        "",
        "Made from `saboteurs.json` by `make saboteurs`; do not edit. Each is started in real processes, and a goal "
        "that was green must turn red. Numbers are issues of other projects where somebody met it in some version.",
        "",
        f"Caught: {result['caught']} of {result['of']}, at least {LEAST_CAUGHT:.0%} are wanted.",
        "",
    ]
    rows = [
        (f"`{one['saboteur']}`", one["what"], one["shipped"] or "–", one["goal"], "yes" if one["caught"] else "**no**")
        for one in result["saboteurs"]
    ]
    lines += [_left_table(("saboteur", "the bug", "met elsewhere", "goal", "caught"), rows), ""]
    return "\n".join([*lines, *provenance(result), ""])


def write(directory: Path, name: str, result: Mapping[str, Any], page: str) -> None:
    """Write NAME.json and NAME.md."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (directory / f"{name}.md").write_text(page, encoding="utf-8")
