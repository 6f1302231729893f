"""Thousands of runs that end in law or in a seed, and the same run twice is the same run."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulated_router import simulated

HERE = Path(__file__).parent
SEEDS = 2_000


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def run(*arguments: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, str(HERE), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_two_thousand_seeds_break_no_law():
    """In processes of their own: measuring coverage would double the time."""
    assert f"{SEEDS} runs" in run("--seeds", str(SEEDS))


@pytest.mark.parametrize("seed", range(900_000, 900_020))
def test_a_run_can_be_played_again(seed):
    assert simulated(seed) == simulated(seed)


def test_a_run_is_the_same_in_another_process():
    here = "".join(simulated(seed).digest for seed in range(5))
    for hashes in ("1", "2"):
        told = run("--seeds", "5", "--jobs", "1", "--digests", PYTHONHASHSEED=hashes)
        assert here in "".join(told.split())
