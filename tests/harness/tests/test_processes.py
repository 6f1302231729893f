"""Processes are found, signalled and ended by their own pid, whatever state they are in."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from antiphon_harness.processes import HarnessError, Process
from antiphon_harness.suite import Suite

SERVES = """
import os, sys, time
with os.fdopen(int(os.environ["ANTIPHON_READY_FD"]), "w") as ready:
    ready.write(os.environ["ANTIPHON_LISTEN"].replace(":0", ":4242") + "\\n")
time.sleep(600)
"""


async def test_a_process_comes_back_at_its_old_address(tmp_path):
    process = Process("p", ("-c", SERVES), {}, tmp_path / "p.log")
    await process.start()
    first = process.pid
    assert process.address == "127.0.0.1:4242"
    process.kill()
    assert await process.wait() == -9
    assert not process.is_running
    await process.restart()
    assert process.pid != first
    assert process.address == "127.0.0.1:4242"
    process.end()
    assert not process.is_running


async def test_a_suite_ends_what_it_started_even_if_it_is_frozen(tmp_path):
    async with Suite(tmp_path) as suite:
        one = await suite.launch("one", ("-c", SERVES), {})
        other = await suite.launch("other", ("-c", SERVES), {})
        other.freeze()
        assert one.is_running
    assert not one.is_running
    assert not other.is_running


OUTLIVED = """
import asyncio, signal, sys
from pathlib import Path
from antiphon_harness.processes import Process

async def main():
    child = Process("child", ("-c", sys.argv[1]), {}, Path(sys.argv[2]))
    await child.start()
    child.freeze()
    print(child.pid, flush=True)
    signal.pause()

asyncio.run(main())
"""


def test_no_process_outlives_a_harness_that_was_killed_frozen_or_not(tmp_path):
    argv = [sys.executable, "-c", OUTLIVED, SERVES, str(tmp_path / "child.log")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as harness:
        child = os.pidfd_open(int(harness.stdout.readline()))
        try:
            assert not select.select([child], [], [], 0)[0], "it runs"
            harness.kill()
            assert select.select([child], [], [], 20)[0], "it outlives its harness"
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(child, signal.SIGKILL)
            os.close(child)


async def test_what_does_not_start_says_why(tmp_path):
    async with Suite(tmp_path) as suite:
        with pytest.raises(HarnessError, match=r"broken did not start \(exit code .*\): no such luck"):
            await suite.launch("broken", ("-c", "import sys; sys.exit('no such luck')"), {})


async def test_a_process_that_does_not_end_is_told(tmp_path):
    process = Process("p", ("-c", SERVES), {}, tmp_path / "p.log")
    await process.start()
    with pytest.raises(HarnessError, match="did not end"):
        await process.wait(0.05)
    process.end()


async def test_the_environment_is_the_callers_alone(tmp_path):
    told = SERVES.replace("time.sleep(600)", "print(sorted(os.environ)); sys.stdout.flush(); time.sleep(600)")
    async with Suite(tmp_path) as suite:
        process = await suite.launch("p", ("-c", told), {"MINE": "1"})
        for _ in range(500):
            if process.log_lines():
                break
            await asyncio.sleep(0.01)
        names = set(eval(process.log_lines()[0]))
    assert {"MINE", "ANTIPHON_READY_FD", "ANTIPHON_LISTEN", "PATH"} <= names
    assert not {"HOME", "OPENAI_API_KEY"} & names
