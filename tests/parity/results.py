"""Owns what is written down: docs/results/parity.json, the page made from it, and the README's table of features."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import parity_file
from parity_file import ROOT, ParityFile

RESULTS = ROOT / "docs" / "results" / "parity.json"
PAGE = ROOT / "docs" / "parity.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- features, made by tests/parity -->", "<!-- /features -->"

FEATURES = (
    *("Streaming", "System messages in the middle", "Images in", "Documents in", "Audio in", "Audio out"),
    *("Tools", "Parallel tool calls", "Strict tools", "Tool choice", "Custom tools and grammars"),
    *("Provider-run tools", "Structured output", "Reasoning", "Reasoning replay", "Citations", "Refusals"),
    *("Logprobs", "Stop texts", "Seed", "Penalties", "Several candidates", "Cache hints", "Cached tokens"),
    *("Service tiers", "Token counting", "Embeddings", "Rerank", "Text completion", "Model listing"),
)
# The best that one of a feature's fields is; the order of the words is that of worth.
_MARKS = {"native": "●", "emulated": "◐", "passthrough": "○"}


def bindings() -> set[str]:
    """The providers that have a binding, by their directories."""
    return {path.parts[-3] for path in ROOT.glob("services/providers/*/tests/test_conformance.py")}


def summary(
    rows: Iterable[tuple[str, str, str, str]], excused: Sequence[tuple[str, str, str]], unreviewed: Sequence[str]
) -> dict[str, Any]:
    """What parity.json holds. `rows`: (case, provider, mode, outcome); `excused`: (provider, case, reason)."""
    matrix: dict[str, dict[str, dict[str, str]]] = {}
    counts: Counter[str] = Counter()
    for case, provider, mode, outcome in rows:
        matrix.setdefault(case, {}).setdefault(provider, {})[mode] = outcome
        counts[outcome] += 1
    return {
        "cases": len(matrix),
        "providers": sorted({provider for row in matrix.values() for provider in row}),
        "passed": counts["passed"],
        "failed": counts["failed"],
        "excused": [{"provider": provider, "case": case, "reason": reason} for provider, case, reason in excused],
        "unreviewed_paths": len(unreviewed),
        "unreviewed": list(unreviewed),
        "matrix": matrix,
    }


def write(target: Path, told: dict[str, Any]) -> None:
    """The results, and all that is made from them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(told, parity_file.discover()))
    README.write_text(with_table(README.read_text(), parity_file.discover()))


def with_table(readme: str, files: Sequence[ParityFile]) -> str:
    """The text with the table between its markers; unchanged without them."""
    if BEGIN not in readme or END not in readme:
        return readme
    head, _, rest = readme.partition(BEGIN)
    return f"{head}{BEGIN}\n{table(files)}{END}{rest.partition(END)[2]}"


def table(files: Sequence[ParityFile]) -> str:
    """Feature × provider."""
    lines = [f"| Feature | {' | '.join(file.provider for file in files)} |", "|---" * (len(files) + 1) + "|"]
    for feature in FEATURES:
        marks = [_mark(file, feature) for file in files]
        if any(marks):
            lines.append(f"| {feature} | {' | '.join(mark or '–' for mark in marks)} |")
    return "\n".join(
        [*lines, "", "● a field of the contract · ◐ emulated, with a warning · ○ passed through as it is", ""]
    )


def _mark(file: ParityFile, feature: str) -> str:
    statuses = []
    for name, path in file.features.get(feature, ()):
        section = file.sections[name]
        statuses.append((section.fields | section.beyond)[path].status)
    # A feature is as good as the worst field that it takes.
    worst = max(statuses, key=[*_MARKS, "unsupported", "dropped"].index) if statuses else ""
    return _MARKS.get(worst, "")


def page(told: dict[str, Any], files: Sequence[ParityFile]) -> str:
    """docs/parity.md."""
    providers = told["providers"]
    lines = [
        "# Parity",
        "",
        "Made by `make parity` from [results/parity.json](results/parity.json) and the providers' `parity.yaml`.",
        "",
        f"{told['cases']} cases, {len(providers)} providers: {told['passed']} runs passed, {told['failed']} failed, "
        f"{len(told['excused'])} cases excused, {told['unreviewed_paths']} paths unreviewed. A case runs in up to four "
        "modes: directly and through the router, unary and as a stream.",
        "",
        *_dead(told.get("dead_streams")),
        "## Cases",
        "",
        f"| Case | {' | '.join(providers)} |",
        "|---" * (len(providers) + 1) + "|",
    ]
    lines += [
        f"| {case} | {' | '.join(_cell(row.get(one)) for one in providers)} |" for case, row in told["matrix"].items()
    ]
    lines += ["", "`n/m`: passed in n of m modes; –: not a case for this provider.", "", "## Excused", ""]
    lines += [f"* {one['provider']}, {one['case']}: {one['reason']}" for one in told["excused"]] or ["Nothing."]
    return "\n".join([*lines, "", *_fields(files), "", *_closed(files)]) + "\n"


def _cell(modes: dict[str, str] | None) -> str:
    if modes is None:
        return "–"
    count = Counter(modes.values())
    bad = [f"**{count[word]} {word}**" for word in ("failed", "excused") if count[word]]
    return ", ".join([f"{count['passed']}/{len(modes)}", *bad])


def _dead(told: dict[str, Any] | None) -> list[str]:
    if told is None:
        return []
    return [
        f"{told['count']} streams that the vendor never finished ({', '.join(told['endings'])}), through "
        f"{len(told['providers'])} services: {told['reported_finished']} reported as finished, "
        f"{told['without_usage']} without usage.",
        "",
    ]


def _fields(files: Sequence[ParityFile]) -> list[str]:
    """How many fields of each SDK have which fate."""
    head = "| SDK | " + " | ".join(parity_file.STATUSES) + " |"
    lines = ["## Fields of the SDKs", "", head, "|---" * (len(parity_file.STATUSES) + 1) + "|"]
    for file in files:
        count = Counter(told.status for section in file.sections.values() for told in section.fields.values())
        lines.append(f"| {file.sdk} | {' | '.join(str(count[status]) for status in parity_file.STATUSES)} |")
    return lines


def _closed(files: Sequence[ParityFile]) -> list[str]:
    """Where a member that nobody has heard of is not kept: reviewed, as any drop is."""
    lines = ["## Objects whose new members are not kept", ""]
    closed = [
        f"* {file.provider}, {section.name}, `{path}`: {told.reason}"
        for file in files
        for section in file.responses
        for path, told in section.beyond.items()
        if told.status == "dropped" and path.rpartition(".")[2] == "*"
    ]
    return lines + (closed or ["None."])
