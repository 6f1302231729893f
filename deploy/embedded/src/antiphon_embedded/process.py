"""Owns one child process: started on a leash, its address learnt, its end waited for, never left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from antiphon_embedded import leash

READY_FD: Final = "ANTIPHON_READY_FD"
_MAX_TAIL_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `env` is the whole environment of the process, nothing is inherited."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]


class ChildExited(Exception):
    """The process ended before it told its address."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with {describe_exit(code)} before it was ready")
        self.code = code


def describe_exit(code: int) -> str:
    """`code 1`, or `SIGKILL` where a signal ended the process."""
    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Child:
    """A running process. Whoever spawns one calls `kill` and `wait` in a `finally`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, ready: asyncio.StreamReader) -> None:
        self.name = name
        self._process = process
        self._ready = ready

    @property
    def pid(self) -> int:
        """Id of the process, which is also the id of its process group."""
        return self._process.pid

    async def address(self) -> str:
        """`host:port` where it serves, once it does. Raises ChildExited."""
        line = (await self._ready.readline()).decode().strip()
        if line:
            return line
        raise ChildExited(self.name, await self.wait())

    async def wait(self) -> int:
        """Exit code; negative: the signal that ended it."""
        return await self._process.wait()

    def drain(self) -> None:
        """Ask it to finish its calls and end."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it started, now. Does nothing when it is gone."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


async def spawn(command: Command, log: Path | None) -> Child:
    """Start `command`, its output appended to `log` (None: to ours).

    It gets its own process group, so that a Ctrl-C in the terminal reaches the launcher alone and services end in
    the launcher's order. Call it on the main thread: the leash follows the thread that forked.
    """
    read_end, write_end = os.pipe()
    output = None
    try:
        if log is not None:
            output = log.open("ab")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command.argv),
            env={**command.env, READY_FD: str(write_end)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(write_end,),
            start_new_session=True,
        )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
        if output is not None:
            output.close()
    return Child(command.name, process, await _reader(read_end))


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def tail(log: Path, lines: int) -> list[str]:
    """The last `lines` of a log; nothing when it cannot be read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MAX_TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
