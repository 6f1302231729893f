"""One service: followed, restarted, given up, drained."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from antiphon_embedded.process import Command
from antiphon_embedded.supervisor import GaveUp, State, Status, Supervisor

STUB = Path(__file__).with_name("stub_service.py")


class Log:
    def __init__(self) -> None:
        self.seen: list[Status] = []
        self.event = asyncio.Event()

    def __call__(self, status: Status) -> None:
        self.seen.append(status)
        self.event.set()

    async def until(self, wanted: Callable[[Status], bool]) -> Status:
        while not (found := [status for status in self.seen if wanted(status)]):
            self.event.clear()
            await asyncio.wait_for(self.event.wait(), 30)
        self.seen.clear()
        return found[-1]


@asynccontextmanager
async def supervised(mode: str, tmp_path: Path) -> AsyncIterator[tuple[Supervisor, Log, asyncio.Task[None]]]:
    log = Log()
    journal = {"ANTIPHON_TEST_JOURNAL": str(tmp_path / "journal")}
    command = Command("stub", (sys.executable, str(STUB), mode), journal)
    supervisor = Supervisor(command, tmp_path / "stub.log", log)
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, log, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def last_pid(tmp_path: Path) -> int:
    return int((tmp_path / "journal").read_text().splitlines()[-1].split('"pid": ')[1].split(",")[0])


async def test_a_service_starts_serves_and_drains(tmp_path: Path) -> None:
    async with supervised("", tmp_path) as (supervisor, log, task):
        status = await log.until(lambda status: status.state is State.SERVING)
        assert status.address.startswith("127.0.0.1:")
        await supervisor.drain(20)
        await task
        assert [status.state for status in log.seen][-2:] == [State.DRAINING, State.STOPPED]
    assert '"ended"' in (tmp_path / "journal").read_text()


async def test_a_service_that_is_killed_comes_back(tmp_path: Path) -> None:
    async with supervised("", tmp_path) as (_, log, _):
        await log.until(lambda status: status.state is State.SERVING)
        os.kill(last_pid(tmp_path), signal.SIGKILL)
        status = await log.until(lambda status: status.state is State.RESTARTING)
        assert status.detail == "ended with SIGKILL, starts again in 0.5 s"
        await log.until(lambda status: status.state is State.SERVING)


async def test_a_service_that_is_not_ready_says_why(tmp_path: Path) -> None:
    async with supervised("unready", tmp_path) as (_, log, _):
        status = await log.until(lambda status: status.state is State.NOT_SERVING)
        assert status.detail == "the model is missing"


async def test_a_wrong_setting_is_not_tried_again(tmp_path: Path) -> None:
    async with supervised("misconfigured", tmp_path) as (_, _, task):
        with pytest.raises(GaveUp) as caught:
            await task
    assert (caught.value.code, str(caught.value)) == (78, "stub ended with code 78")


async def test_a_service_that_never_served_is_given_up_after_three_starts(tmp_path: Path) -> None:
    async with supervised("broken", tmp_path) as (_, log, task):
        with pytest.raises(GaveUp, match="code 3"):
            await task
        assert [status.state for status in log.seen].count(State.RESTARTING) == 2


async def test_what_does_not_drain_in_time_is_killed(tmp_path: Path) -> None:
    async with supervised("stubborn", tmp_path) as (supervisor, log, task):
        await log.until(lambda status: status.state is State.SERVING)
        await supervisor.drain(0.2)
        await task
    assert '"ended"' not in (tmp_path / "journal").read_text()


async def test_a_service_asked_to_drain_while_it_starts_does_not_start(tmp_path: Path) -> None:
    async with supervised("", tmp_path) as (supervisor, log, task):
        await supervisor.drain(20)
        await asyncio.wait_for(task, 20)
        assert log.seen[-1].state is State.STOPPED


async def test_cancelling_leaves_no_process(tmp_path: Path) -> None:
    async with supervised("stubborn", tmp_path) as (_, log, _):
        await log.until(lambda status: status.state is State.SERVING)
        pid = last_pid(tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
