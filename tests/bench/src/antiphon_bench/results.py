"""Owns the result pages: a JSON file with the figures, and a Markdown page made from nothing but that file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon_bench import machine
from antiphon_bench.figures import FIGURES, verdict
from antiphon_bench.profiles import Profile
from antiphon_bench.ratio import Ratio


def document(
    values: Mapping[str, float],
    details: Mapping[str, Any],
    profiles: Mapping[str, Profile],
    where: Mapping[str, Any],
    command: str,
) -> dict[str, Any]:
    """The content of the JSON file. `values`, `details` and `profiles` by name of the figure; `where`: the machine."""
    return {
        "figures": {one.name: round(values[one.name], 3) for one in FIGURES if one.name in values},
        "bounds": {one.name: one.bound for one in FIGURES if one.bound is not None},
        "command": command,
        "versions": machine.versions(),
        "machine": dict(where),
        "details": dict(details),
        "profiles": {
            name: {"unit": one.unit, "rows": [list(row) for row in one.rows]} for name, one in profiles.items()
        },
    }


def ratio_details(ratio: Ratio) -> dict[str, Any]:
    """A ratio as JSON; costs in microseconds of CPU."""
    return {
        "rounds": ratio.rounds,
        "low": round(ratio.low, 3),
        "high": round(ratio.high, 3),
        "ours_us": round(ratio.ours * 1e6, 1),
        "yardstick_us": round(ratio.yardstick * 1e6, 1),
    }


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is readable as text too: first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join([cells[0].ljust(widths[0]), *others])} |"

    rules = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([line(headings), f"|{'|'.join(rules)}|", *map(line, rows)])


def figure_table(result: Mapping[str, Any]) -> str:
    """The figures with their bounds."""
    rows = []
    for one in FIGURES:
        if one.name not in result["figures"]:
            continue
        value = result["figures"][one.name]
        detail = result["details"].get(one.name, {})
        spread = f"{detail['low']:.2f}–{detail['high']:.2f}" if "low" in detail else ""
        costs = f"{detail['ours_us']:g} / {detail['yardstick_us']:g} µs" if "ours_us" in detail else ""
        bound = "" if one.bound is None else f"≤ {one.bound:g}"
        rows.append((one.name, f"{value:.2f} {one.unit}", bound, verdict(one, value), spread, costs))
    return table(("figure", "value", "bound", "verdict", "low–high", "CPU ours / yardstick"), rows)


def page(result: Mapping[str, Any]) -> str:
    """The Markdown page of the figures."""
    meanings = [f"* `{one.name}`: {one.meaning}" for one in FIGURES if one.name in result["figures"]]
    return "\n".join(
        [
            "# What the suite costs",
            "",
            "Made from `bench.json` by `make bench`; do not edit. Ratios are medians of alternating rounds in one run.",
            "",
            figure_table(result),
            "",
            *meanings,
            "",
            *[line for name, one in result["profiles"].items() for line in _profile(name, one)],
            *provenance(result),
            "",
        ]
    )


def _profile(name: str, profile: Mapping[str, Any]) -> list[str]:
    rows = [(f"`{where}`", f"{amount:.1f}") for where, amount in profile["rows"]]
    heading = f"## Why `{name}` misses its bound"
    note = "The largest pieces. Where they are times, the profiler was on, which makes small functions look dearer."
    return [heading, "", note, "", table(("where", profile["unit"]), rows), ""]


def provenance(result: Mapping[str, Any]) -> list[str]:
    """Command, machine and versions as lines."""
    where = result["machine"]
    return [
        f"Command: `{result['command']}`",
        "",
        f"Machine: {where['cores']} cores, {where['cpu']}, {where['memory_gb']:g} GB, {where['system']}; "
        f"load before the run {where['load_before']:g}.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + ".",
    ]


def write(directory: Path, name: str, result: Mapping[str, Any], text: str) -> None:
    """Write NAME.json and NAME.md."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (directory / f"{name}.md").write_text(text, encoding="utf-8")
