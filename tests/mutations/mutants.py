"""Owns the list of mutants and what is done to one: a slip in a copy of its member's package, judged by its unit tests.

<member>:
  - name: who it is               one line
    file: codec/usage.py          below the member's package
    old: the text as it stands    exactly once, or nothing is run
    new: what stands there then
    breaks: what that would mean
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutants.yaml")
LIMIT_S = 300
# With a server or a model behind them: too slow, and a codec's own tests have to see it without. So does what a
# conftest brings, an SDK above all, whose import takes longer than the tests.
_NO_CODEC_TESTS = ("*adapter*", "*beside*", "*conformance*", "*llama*", "*readiness*", "*sdk*", "*serv*")
_PLUGINS = ("asyncio", "timeout", "_hypothesis_pytestplugin")
_WITH_A_SERVER = "adapter or settings"
# Takes most of the time and seldom sees what the rest does not: tried on what the rest let through.
_THOROUGH = "split or noise or any or 10_000"
_MEMBERS = {"name", "file", "old", "new", "breaks"}
# An id without a test in it is a file that could not be read.
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::\S+)", re.MULTILINE)


class MutantError(Exception):
    """A mutant that cannot be made; the message says which and why."""


@dataclass(frozen=True)
class Mutant:
    """One slip. `member` is the directory of the distribution."""

    member: str
    name: str
    file: str
    old: str
    new: str
    breaks: str

    @property
    def package(self) -> Path:
        """The source of the member's package."""
        (found,) = (ROOT / self.member / "src").glob("antiphon_*")
        return found

    def source(self) -> str:
        """The file with the slip in it. Raises MutantError unless the old text stands there once."""
        text = (self.package / self.file).read_text()
        if (count := text.count(self.old)) != 1:
            raise MutantError(
                f"{self.name}: its old text stands {count} times in {self.member}, {self.file}: {self.old}"
            )
        return text.replace(self.old, self.new)


def read(text: str | None = None) -> list[Mutant]:
    """The whole list. Raises MutantError for the first row that is not one."""
    found = []
    for member, rows in yaml.safe_load(LIST.read_text() if text is None else text).items():
        for row in rows:
            if row.keys() != _MEMBERS or row["old"] == row["new"]:
                raise MutantError(f"{row.get('name', row)}: a mutant has {', '.join(sorted(_MEMBERS))}, all different")
            found.append(Mutant(member, **row))
    names = [mutant.name for mutant in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise MutantError(f"{sorted(twice)} are named twice")
    return found


def judge(mutant: Mutant) -> str:
    """The first test that sees it; "" if none does."""
    with TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / mutant.package.name
        shutil.copytree(mutant.package, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / mutant.file).write_text(mutant.source())
        return unit_tests(mutant.member, [folder])


def unit_tests(member: str, path: Sequence[str] = ()) -> str:
    """The first unit test of `member` that fails, with the packages in `path` before its own; "" if none does.

    Raises MutantError where they do not even begin: an import that fails is no test that sees something.
    """
    return _run(member, path, f"not ({_THOROUGH} or {_WITH_A_SERVER})") or _run(member, path, _THOROUGH)


def _run(member: str, path: Sequence[str], words: str) -> str:
    tests = ROOT / member / "tests"
    left_out = [f"--ignore-glob={tests / name}" for name in _NO_CODEC_TESTS]
    plugins = [word for plugin in ("no:cacheprovider", *_PLUGINS) for word in ("-p", plugin)]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--noconftest", *plugins, "-k", words, *left_out, str(tests)]
    found = os.pathsep.join([*path, str(tests)])
    environment = {**os.environ, "PYTHONPATH": found, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    try:
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"no end within {LIMIT_S} s"
    if run.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return ""
    first = _FAILED.search(run.stdout)
    if run.returncode != pytest.ExitCode.TESTS_FAILED or first is None:
        raise MutantError(f"{member}: pytest ended with {run.returncode}:\n{run.stdout[-1000:]}")
    return first[1]
