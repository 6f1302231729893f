"""The main program, as a process: ready line and descriptor, one clear line when it cannot start, exit codes."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from antiphon_contract.errors import Reason, failure
from antiphon_kit import server
from antiphon_kit.settings import SettingError

PROGRAM = """
import os, sys
from antiphon_kit.server import run_provider

class Idle:
    name = "idle"
    def generate(self, turn): ...
    async def ready(self):
        import asyncio
        assert "uvloop" in type(asyncio.get_running_loop()).__module__
    async def aclose(self):
        sys.stderr.write("closed\\n")

sys.exit(run_provider(lambda settings: Idle(), os.environ))
"""


def program(**env):
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "ANTIPHON_READY_FD": str(writing), **env},
        pass_fds=(writing,),
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    with os.fdopen(reading) as ready:
        return process, ready.read()


def test_a_program_tells_its_address_and_drains_on_sigterm():
    process, ready = program()
    assert ready.startswith("127.0.0.1:")
    assert ready.endswith("\n")
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "closed" in stderr
    assert [line for line in stderr.splitlines() if '"serving"' in line and ready.strip() in line]
    assert "Traceback" not in stderr


def test_a_bad_setting_is_one_line_and_exit_78():
    process, ready = program(ANTIPHON_MAX_CONCURRENCY="many")
    _, stderr = process.communicate(timeout=20)
    assert (ready, process.returncode) == ("", 78)
    assert stderr.count("\n") == 1
    assert stderr.startswith("ANTIPHON_MAX_CONCURRENCY='many': ")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SettingError("NAME", "x", "bad; mend it"), "NAME='x': bad; mend it\n"),
        (
            failure(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, "no key;\nset OPENAI_API_KEY"),
            "PROVIDER_CREDENTIALS: no key; set OPENAI_API_KEY\n",
        ),
    ],
)
def test_a_provider_that_cannot_be_made_is_one_line_and_exit_78(error, line, capsys, monkeypatch):
    monkeypatch.setattr(server.logs, "configure", lambda *_: None)
    # What it forbids, it forbids this process for good.
    monkeypatch.setattr(server, "forbid_dumps", lambda: None)

    async def make(settings):
        raise error

    assert server.run_provider(make, {}) == 78
    assert capsys.readouterr().err == line


def test_run_returns_what_the_coroutine_returns():
    async def main():
        return type(asyncio.get_running_loop()).__module__

    assert server.run(main()).startswith("uvloop")


async def test_serving_in_this_process_yields_the_port(scripted):
    from antiphon_kit.settings import ServiceSettings

    provider = scripted()
    async with server.serving(provider, ServiceSettings()) as port:
        assert port > 0
    assert provider.acloses == 1
