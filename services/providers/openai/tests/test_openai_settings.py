"""Starting the service with settings that cannot be used: one clear line, no traceback, no secret."""

import os
import subprocess
import sys

import pytest

KEY = "sk-proj-0123456789abcdefghij"


def start(**env):
    return subprocess.run(
        [sys.executable, "-m", "antiphon_provider_openai"],
        env={"PATH": os.environ["PATH"], "OPENAI_API_KEY": KEY, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("value", ["api.openai.com", f"https://x:{KEY}@api.openai.com/v1", f"https://x.test/?k={KEY}"])
def test_a_base_url_that_is_none(value):
    done = start(OPENAI_BASE_URL=value)
    assert done.returncode == 78
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("OPENAI_BASE_URL=")
    assert KEY not in done.stderr


def test_an_api_that_is_none():
    done = start(OPENAI_API="completions")
    assert done.returncode == 78
    assert done.stderr.startswith("OPENAI_API='completions': not a known word; use auto or chat or responses")
    assert len(done.stderr.splitlines()) == 1
