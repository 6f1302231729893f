"""A process that holds keys leaves no core file behind."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="there is no such thing elsewhere")
def test_a_crash_leaves_no_core_file_and_nobody_looks_in(tmp_path: Path) -> None:
    program = (
        # As much as this process may leave: another test may have lowered the hard limit, and nobody raises that.
        "import os, ctypes, resource; most = resource.getrlimit(resource.RLIMIT_CORE)[1];"
        "resource.setrlimit(resource.RLIMIT_CORE, (most, most));"
        "from antiphon_kit.process_hygiene import forbid_dumps; forbid_dumps();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE), flush=True);"
        "os.abort()"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["0", "0", "0"]
    assert ended.returncode == -6
    assert not list(tmp_path.iterdir())
