"""The saboteurs still fit the product, and sabotage does what it says."""

import subprocess
import sys
from collections import Counter

import pytest

from antiphon_harness import catalog
from antiphon_harness.sabotage import EXIT_MISFIT, Edit
from antiphon_harness.saboteurs import SABOTEURS


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda one: one.name)
def test_a_saboteur_fits_the_code_and_is_aimed_at_a_goal(saboteur):
    for edit in saboteur.edits:
        assert edit.place().is_file()
        compile(edit.place().read_text().replace(edit.old, edit.new), "sabotaged", "exec")
    assert saboteur.goal in {goal.id for goal in catalog.GOALS if not goal.pending}


def test_there_are_enough_and_each_has_its_name():
    assert len(SABOTEURS) >= 20
    assert max(Counter(one.name for one in SABOTEURS).values()) == 1


def test_an_edit_that_does_not_fit_is_told():
    with pytest.raises(ValueError, match="0 places"):
        Edit("antiphon_router", "no such text anywhere", "").place()
    with pytest.raises(ValueError, match="not one"):
        Edit("antiphon_router", "def ", "").place()


def _sabotaged(name, code, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "antiphon_harness.sabotage", name, "--", "program"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_sabotaged_program_runs_with_the_bug(tmp_path):
    code = "from antiphon_contract import errors\nprint('grpc-retry-pushback-ms' in dict(errors.to_status("
    code += "errors.call_error(errors.Reason.ERROR_REASON_CONFLICT, 'x')).trailing_metadata))"
    clean = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert clean.stdout.strip() == "True"
    done = _sabotaged("no_pushback", code, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_a_saboteur_that_fits_no_longer_ends_the_program(tmp_path):
    (tmp_path / "antiphon_contract").mkdir()
    (tmp_path / "antiphon_contract" / "__init__.py").write_text("")
    done = _sabotaged("no_pushback", "print('ran')", tmp_path)
    assert done.returncode == EXIT_MISFIT
    assert "ran" not in done.stdout
    assert "does not fit" in done.stderr
