"""Sizes and names that keep the house easy to live in."""

import ast
from pathlib import Path

import pytest
from workspace import ROOT, written

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
AIM_FUNCTION_LINES = 50
MAX_KIT_MODULE_LINES = 400
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc"}

SOURCES = [path for member in written() for path in member.modules()]
TESTS = sorted({*ROOT.glob("**/tests/**/*.py")} - set(SOURCES))
CODE = [
    path for path in [*SOURCES, *TESTS] if not {".venv", ".tools", ".cache", "gen"} & set(path.relative_to(ROOT).parts)
]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("path", CODE, ids=_name)
def test_files_and_functions_stay_small(path):
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    long = {
        f.name: f.end_lineno - f.lineno + 1
        for f in _functions(path)
        if f.end_lineno - f.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert not long


def test_few_functions_are_longer_than_we_aim_for():
    lengths = [f.end_lineno - f.lineno + 1 for path in SOURCES for f in _functions(path)]
    assert sum(length > AIM_FUNCTION_LINES for length in lengths) <= 0.01 * len(lengths)


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_module_says_what_it_owns(path):
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree), "the first line of a module says what it owns"
    assert path.stem not in FORBIDDEN_NAMES


def test_the_makefile_is_short_and_explains_its_targets():
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert len(lines) <= 70
    targets = [line for line in lines if line[:1].isalpha() and ":" in line and "=" not in line]
    assert all("##" in line for line in targets), targets
