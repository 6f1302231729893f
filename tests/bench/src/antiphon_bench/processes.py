"""Owns the processes under measurement: started with their own environment, their CPU and memory read, ended.

Linux only: the kernel's accounting is the judge, not the process itself.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_START_S: Final = 60.0
_STOP_S: Final = 15.0


class BenchError(Exception):
    """The measurement itself did not work; there is no figure."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started process and where it serves."""

    pid: int
    address: str


@asynccontextmanager
async def running(name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> AsyncIterator[Running]:
    """`python ARGV` until it says where it serves (ANTIPHON_READY_FD); ended afterwards. Raises BenchError."""
    read_end, write_end = os.pipe()
    environment = {"PATH": os.defpath, **env, "ANTIPHON_READY_FD": str(write_end)}
    process = start((sys.executable, *argv), environment, log, pass_fds=(write_end,))
    os.close(write_end)
    try:
        with os.fdopen(read_end) as ready:
            address = (await asyncio.wait_for(asyncio.to_thread(ready.readline), _START_S)).strip()
        if not address:
            raise BenchError(f"{name} did not start: {_last_words(log) or 'it said nothing'}")
        yield Running(process.pid, address)
    finally:
        await stop(process)


def start(
    argv: Sequence[str], env: Mapping[str, str], log: Path, *, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """A process in a group of its own. Not through the event loop: uvloop forks, and gRPC complains about forks."""
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            start_new_session=True,
        )


def _last_words(log: Path) -> str:
    return " / ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])


async def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end; kill its whole group if it does not."""
    process.terminate()
    try:
        await asyncio.to_thread(process.wait, _STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that the process and its live children have used."""
    return sum(_own_cpu_s(one) for one in tree(pid))


def rss_mb(pid: int) -> float:
    """Resident memory of the process and its children, in MB of 10^6 bytes."""
    return sum(_own_rss_mb(one) for one in tree(pid))


def tree(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def _own_cpu_s(pid: int) -> float:
    # In nanoseconds; /proc/PID/stat counts ticks of 10 ms, a tenth of what a round of calls takes.
    clock = ctypes.c_int()
    if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        return 0.0
    try:
        return time.clock_gettime(clock.value)
    except OSError:
        return 0.0


def _own_rss_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0
