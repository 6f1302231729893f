"""Owns the matrix case × provider × mode: a pytest plugin that collects it from the bindings of the parity suite.

    pytest -p parity_matrix --parity-results FILE services/providers/*/tests/test_conformance.py

A binding is a test class with a `provider`; a mode is how a case was run: direct or routed, unary or stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import results

_MODES = ("direct", "routed", "unary", "stream")
# What a report says, in the order of gravity.
FAILED, EXCUSED, PASSED = "failed", "excused", "passed"


@dataclass(frozen=True)
class Cell:
    """One case of one provider in one mode."""

    provider: str
    case: str
    mode: str


@dataclass(eq=False)
class Matrix:
    """Outcomes as the reports come in. What was skipped has failed: the suite drops no case."""

    cells: dict[str, Cell] = field(default_factory=dict)
    outcomes: dict[Cell, str] = field(default_factory=dict)
    reasons: dict[Cell, str] = field(default_factory=dict)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cells = {item.nodeid: cell for item in session.items if (cell := cell_of(item)) is not None}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cell = self.cells.get(report.nodeid)
        if cell is None:
            return
        excuse = getattr(report, "wasxfail", "") if report.skipped else ""
        if excuse:
            self.outcomes[cell], self.reasons[cell] = EXCUSED, excuse.removeprefix("reason: ")
        elif not report.passed:
            self.outcomes[cell] = FAILED
        elif report.when == "call":
            self.outcomes.setdefault(cell, PASSED)


def cell_of(item: pytest.Item) -> Cell | None:
    """Where an item stands in the matrix; None for a test that is no case of the suite."""
    provider = getattr(getattr(item, "cls", None), "provider", None)
    if not isinstance(item, pytest.Function) or not isinstance(provider, str):
        return None
    if not any(base.__module__.startswith("antiphon_conformance.") for base in item.cls.__mro__):
        return None
    label = getattr(item.cls, "label", "") or provider
    given = {name: str(value) for name, value in item.callspec.params.items()} if hasattr(item, "callspec") else {}
    mode = [given.get("target", "direct"), given.get("ask", "")]
    mode += [one for one in ("unary", "stream") if one in item.fixturenames and not given.get("ask")]
    more = [value for name, value in given.items() if name not in ("target", "ask")]
    case = item.originalname.removeprefix("test_").replace("_", " ")
    return Cell(label, f"{case} ({', '.join(more)})" if more else case, " ".join(one for one in mode if one in _MODES))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-results", default="", help="where to write the matrix, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Matrix(), "parity-matrix-cells")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Writes only what is whole: every binding of the tree was run, and nothing was left out."""
    option = session.config.option
    matrix = session.config.pluginmanager.get_plugin("parity-matrix-cells")
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if not option.parity_results or not isinstance(matrix, Matrix) or not ended:
        return
    missing = results.bindings() - {Path(nodeid.partition("::")[0]).parts[-3] for nodeid in matrix.cells}
    if missing or option.keyword or option.markexpr or option.collectonly:
        return
    # Not before: it imports the SDKs, and pytest has to see their plugins first.
    from review import unreviewed

    results.write(Path(option.parity_results), results.summary(rows(matrix), reasons(matrix), unreviewed()))


def rows(matrix: Matrix) -> list[tuple[str, str, str, str]]:
    """(case, provider, mode, outcome), sorted. A case without an outcome did not come to its end."""
    cells = sorted(set(matrix.cells.values()), key=lambda cell: (cell.case, cell.provider, cell.mode))
    return [(cell.case, cell.provider, cell.mode, matrix.outcomes.get(cell, FAILED)) for cell in cells]


def reasons(matrix: Matrix) -> Sequence[tuple[str, str, str]]:
    """(provider, case, reason) of what is excused, once."""
    return sorted({(cell.provider, cell.case, reason) for cell, reason in matrix.reasons.items()})
