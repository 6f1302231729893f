"""The list of mutants stands on the code as it is, and what is written down is of this list."""

import json
from pathlib import Path

import mutants
import pytest
from mutants import Mutant, MutantError

RESULTS = mutants.ROOT / "docs" / "results" / "mutations.json"
ROW = "{name: a, file: sse.py, old: 'class SseDecoder', new: y, breaks: z}"


def test_there_are_enough_and_each_can_be_made_and_is_python() -> None:
    every = mutants.read()
    assert len(every) >= 40
    for mutant in every:
        compile(mutant.source(), mutant.file, "exec")


def test_what_is_written_down_is_of_this_list_and_good_enough() -> None:
    told = json.loads(RESULTS.read_text())
    assert [row["name"] for row in told["mutations"]] == [mutant.name for mutant in mutants.read()], "make mutations"
    assert told["caught"] == sum(row["caught"] and bool(row["by"]) for row in told["mutations"])
    assert told["rate"] >= 0.95


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"services/wires: [{ROW}, {ROW}]", "named twice"),
        (f"services/wires: [{ROW.replace('breaks: z', 'why: z')}]", "a: a mutant has"),
        (f"services/wires: [{ROW.replace('new: y', 'new: class SseDecoder')}]", "a: a mutant has"),
    ],
)
def test_a_row_that_is_none_is_named(text: str, complaint: str) -> None:
    with pytest.raises(MutantError, match=complaint):
        mutants.read(text)


@pytest.mark.parametrize("old", ["no such text", "def "])
def test_a_text_that_does_not_stand_there_once_is_no_mutant(old: str) -> None:
    with pytest.raises(MutantError, match="a: its old text stands"):
        Mutant("services/wires", "a", "sse.py", old, "new", "z").source()


def test_a_mutant_is_judged_by_the_tests_of_its_member_on_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, tests = tmp_path / "member/src/antiphon_judged", tmp_path / "member/tests"
    package.mkdir(parents=True)
    tests.mkdir()
    (package / "__init__.py").write_text("ANSWER = 42\nUNTESTED = 1\n")
    (tests / "test_it.py").write_text(
        "from antiphon_judged import ANSWER\ndef test_answer():\n    assert ANSWER == 42\n"
    )
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    assert "test_answer" in mutants.judge(Mutant("member", "a", "__init__.py", "42", "43", "z"))
    assert mutants.judge(Mutant("member", "b", "__init__.py", "UNTESTED = 1", "UNTESTED = 2", "z")) == ""
    with pytest.raises(MutantError, match="pytest ended with"):
        mutants.judge(Mutant("member", "c", "__init__.py", "ANSWER = 42", "", "z"))
    assert "42" in (package / "__init__.py").read_text()
