"""Children are started on a leash, tell their address, and never outlive their launcher."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon_embedded.process import Child, ChildExited, Command, describe_exit, spawn, tail

STUB = Path(__file__).with_name("stub_service.py")
LAUNCHER = """
import asyncio, sys
from antiphon_embedded.process import Command, spawn
async def main():
    child = await spawn(Command("stub", (sys.executable, sys.argv[1]), {}), None)
    await child.address()
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""


def python(code: str) -> Command:
    return Command("stub", (sys.executable, "-c", code), {})


async def end(child: Child) -> int:
    child.kill()
    return await child.wait()


def wait_until_gone(pid: int) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # select() takes no descriptor above 1023, and a test process may have many.
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(20_000))
    finally:
        os.close(handle)


async def test_a_child_tells_its_address_and_ends_on_request() -> None:
    child = await spawn(Command("stub", (sys.executable, str(STUB)), {}), None)
    try:
        host, _, port = (await child.address()).rpartition(":")
        assert (host, int(port) > 0) == ("127.0.0.1", True)
        child.drain()
        assert await child.wait() == 0
        child.drain()
        child.kill()
    finally:
        await end(child)


async def test_a_child_that_ends_before_it_is_ready_is_an_error_with_its_code() -> None:
    child = await spawn(python("raise SystemExit(5)"), None)
    with pytest.raises(ChildExited, match="stub ended with code 5"):
        await child.address()


async def test_a_child_sees_only_the_environment_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    log = tmp_path / "log"
    child = await spawn(python("import os; print(sorted(os.environ))"), log)
    assert await child.wait() == 0
    assert "OPENAI_API_KEY" not in tail(log, 1)[0]


async def test_killing_a_child_ends_what_it_started_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(child.pid, flush=True)\n"
        "os.write(int(os.environ['ANTIPHON_READY_FD']), b'here:1\\n')\n"
        "child.wait()\n"
    )
    child = await spawn(python(code), log)
    await child.address()
    grandchild = int(tail(log, 1)[0])
    assert await end(child) == -signal.SIGKILL
    assert await asyncio.to_thread(wait_until_gone, grandchild)


def test_no_child_outlives_a_launcher_that_was_killed() -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(STUB)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with launcher:
        assert launcher.stdout is not None
        child = int(launcher.stdout.readline())
        os.kill(child, 0)
        launcher.kill()
        launcher.wait()
        assert wait_until_gone(child)


@pytest.mark.parametrize(("code", "words"), [(1, "code 1"), (-9, "SIGKILL"), (-250, "signal 250")])
def test_an_exit_is_described_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_the_tail_of_a_log_is_its_last_lines_and_of_none_is_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\n")
    assert tail(log, 2) == ["two", "three"]
    assert tail(tmp_path / "none", 2) == []
