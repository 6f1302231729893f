"""The matrix is whole, the pages are made from it, and what is committed is what would be made."""

import json
from pathlib import Path
from types import SimpleNamespace

import parity_file
import parity_matrix
import pytest
import results
import review

pytest_plugins = ("pytester",)

SUITE = """
import pytest
class Suite:
    provider = "p"
    @pytest.fixture(params=["direct", "routed"])
    def target(self, request): return request.param
    @pytest.fixture(params=["unary", "stream"])
    def ask(self, request): return request.param
    @pytest.fixture
    def stream(self): ...
    def test_says_it(self, target, ask): ...
    def test_breaks(self, target, stream): assert target == "direct"
    @pytest.mark.parametrize("status", [429, 500])
    def test_fails_well(self, target, status): ...
    def test_is_skipped(self, target): pytest.skip("quietly")
    @pytest.mark.xfail(strict=True, reason="not yet")
    def test_is_excused(self, target): assert False
    @pytest.mark.xfail(strict=True, reason="no more")
    def test_passes_by_now(self, target): ...
Suite.__module__ = "antiphon_conformance.suite"
class TestBound(Suite): ...
def test_beside(): ...
"""


@pytest.fixture
def matrix(pytester: pytest.Pytester) -> parity_matrix.Matrix:
    pytester.makepyfile(SUITE)
    found = parity_matrix.Matrix()
    pytester.inline_run("-p", "no:cacheprovider", "-p", "no:asyncio", plugins=[found])
    return found


def test_every_run_of_a_case_has_its_place(matrix: parity_matrix.Matrix) -> None:
    rows = {(case, mode): outcome for case, provider, mode, outcome in parity_matrix.rows(matrix)}
    assert rows == {
        **{("says it", f"{way} {kind}"): "passed" for way in ("direct", "routed") for kind in ("unary", "stream")},
        ("breaks", "direct stream"): "passed",
        ("breaks", "routed stream"): "failed",
        **{(f"fails well ({status})", way): "passed" for way in ("direct", "routed") for status in (429, 500)},
        **{("is skipped", way): "failed" for way in ("direct", "routed")},
        **{("is excused", way): "excused" for way in ("direct", "routed")},
        **{("passes by now", way): "failed" for way in ("direct", "routed")},
    }
    assert parity_matrix.reasons(matrix) == [("p", "is excused", "not yet")]


def test_the_summary_and_the_page(matrix: parity_matrix.Matrix) -> None:
    told = results.summary(parity_matrix.rows(matrix), parity_matrix.reasons(matrix), ["p: x is new in the SDK"])
    assert {name: told[name] for name in ("cases", "providers", "passed", "failed", "unreviewed_paths")} == {
        "cases": 7,
        "providers": ["p"],
        "passed": 9,
        "failed": 5,
        "unreviewed_paths": 1,
    }
    page = results.page(told, parity_file.discover())
    assert "never finished" not in page
    dead = {"count": 9, "reported_finished": 2, "without_usage": 1, "providers": ["p"], "endings": {"FIN": 9}}
    assert "9 streams that the vendor never finished (FIN), through 1 services: 2 reported as finished, 1" in (
        results.page({**told, "dead_streams": dead}, parity_file.discover())
    )
    assert "| breaks | 1/2, **1 failed** |" in page
    assert "| is excused | 0/2, **2 excused** |" in page
    assert "* p, is excused: not yet" in page


@pytest.mark.parametrize("reason", ["", "keyword", "markexpr", "collectonly", "interrupted", "binding"])
def test_half_a_run_is_not_written_down(reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = parity_matrix.Cell("p", "says it", "direct")
    run = sorted(results.bindings())[reason == "binding" :]
    matrix = parity_matrix.Matrix({f"services/providers/{one}/tests/test_conformance.py::x": some for one in run})
    option = SimpleNamespace(parity_results=str(tmp_path / "parity.json"), keyword="", markexpr="", collectonly=False)
    setattr(option, reason or "none", "x")
    plugins = SimpleNamespace(get_plugin=lambda _: matrix)
    session = SimpleNamespace(config=SimpleNamespace(option=option, pluginmanager=plugins))
    code = pytest.ExitCode.INTERRUPTED if reason == "interrupted" else pytest.ExitCode.OK
    written: list[Path] = []
    monkeypatch.setattr(results, "write", lambda target, told: written.append(target))
    monkeypatch.setattr(review, "unreviewed", list)
    parity_matrix.pytest_sessionfinish(session, code)  # type: ignore[arg-type]  # what it uses of one
    assert bool(written) is not bool(reason)


# -- what is committed


def test_features_are_rows_of_the_table() -> None:
    told = {feature for file in parity_file.discover() for feature in file.features}
    assert told <= set(results.FEATURES), "a new name goes into results.FEATURES, or is another one's"


def test_the_table_is_made_between_its_markers() -> None:
    files = parity_file.discover()
    made = results.with_table(f"a\n{results.BEGIN}\nold\n{results.END}\nb\n", files)
    assert made == f"a\n{results.BEGIN}\n{results.table(files)}{results.END}\nb\n"
    assert "| Tools | ●" in made
    assert results.with_table("without", files) == "without"


def test_the_readme_is_up_to_date() -> None:
    readme = results.README.read_text()
    assert results.with_table(readme, parity_file.discover()) == readme, "run `python tests/parity pages`"


def test_the_page_is_up_to_date() -> None:
    told = json.loads(results.RESULTS.read_text())
    assert results.PAGE.read_text() == results.page(told, parity_file.discover()), "run `python tests/parity pages`"
