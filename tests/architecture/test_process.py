"""What tests rely on of the process they run in."""

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[2] / "conftest.py"


def test_programs_that_tests_start_can_be_interrupted_where_the_run_itself_cannot():
    program = f"""
import runpy, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
runpy.run_path({str(CONFTEST)!r})
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    subprocess.run([sys.executable, "-c", program], check=True)
