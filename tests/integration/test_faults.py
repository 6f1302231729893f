"""The short tier of `make faults`: goals with real processes, fewer calls, bounds that a busy machine keeps.

Overload (G14) and panic (G15) give figures of a quiet machine, and what the goals of keys and certificates (G18 on)
show is tested more narrowly in this directory: `make faults` runs them all.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from antiphon_harness import catalog

LEFT_OUT = {"G14", "G15"}
GOALS = [goal.id for goal in catalog.GOALS if goal.id < "G18" and goal.id not in LEFT_OUT]
LIMIT_S = 900


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the harness found, in a process of its own: it has an event loop and children to itself."""
    directory = tmp_path_factory.mktemp("faults")
    command = [
        sys.executable,
        "-m",
        "antiphon_harness",
        "faults",
        "--short",
        "--only",
        ",".join(GOALS),
        "--scratch",
        str(directory),
    ]
    target = directory / "report.json"
    done = subprocess.run(
        [*command, "--report", str(target)], capture_output=True, text=True, check=False, timeout=LIMIT_S - 30
    )
    assert target.exists(), done.stderr[-3000:]
    return {row["goal"]: row for row in json.loads(target.read_text())["goals"]}


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("goal", GOALS)
def test_a_goal_is_met(report: dict[str, Any], goal: str) -> None:
    row = report[goal]
    assert row["pass"], f"{row['title']}: {row['error'] or row['missed']}"
