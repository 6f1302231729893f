"""Owns one real process: started, killed, frozen, drained and started again at the same address, all by its pid."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from antiphon_bench.processes import start
from antiphon_embedded import leash

_START_S: Final = 60.0
_STOP_S: Final = 15.0
# Another tree of the product can be put to the test by it.
_PASSED: Final = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}


class HarnessError(Exception):
    """The harness itself did not work; there is no figure."""


class Process:
    """`python ARGV` that says by ANTIPHON_READY_FD where it serves. `log`: file for what it prints.

    It does not outlive us. Start it on the main thread: the leash follows the thread that started it.
    """

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.address = ""
        self.log = log
        self._argv = argv
        self._env = env
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs or ran last."""
        assert self._popen is not None, "not started"
        return self._popen.pid

    async def start(self) -> None:
        """Start it, at its old address if it had one. Raises HarnessError if it does not say where it serves."""
        read_end, write_end = os.pipe()
        listen = self.address or "127.0.0.1:0"
        env = {
            "PATH": os.defpath,
            **_PASSED,
            "ANTIPHON_LISTEN": listen,
            **self._env,
            "ANTIPHON_READY_FD": str(write_end),
        }
        leashed = (sys.executable, "-I", "-S", leash.__file__, str(os.getpid()))
        try:
            self._popen = start((*leashed, sys.executable, *self._argv), env, self.log, pass_fds=(write_end,))
        finally:
            os.close(write_end)
        with os.fdopen(read_end) as ready:
            told = asyncio.to_thread(ready.readline)
            try:
                self.address = (await asyncio.wait_for(told, _START_S)).strip()
            except TimeoutError:
                self.address = ""
                self.kill()
        if not self.address:
            with suppress(HarnessError):
                await self.wait(1.0)
            raise HarnessError(f"{self.name} did not start (exit code {self._popen.poll()}): {self.last_words()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self._popen is not None and self.is_running:
            self._popen.send_signal(number)

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: its connections stay, and nobody answers."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM: drain."""
        self.signal(signal.SIGTERM)

    async def wait(self, limit_s: float = _STOP_S) -> int:
        """Its exit code, once it has ended. Raises HarnessError if it does not."""
        assert self._popen is not None, "not started"
        try:
            return await asyncio.to_thread(self._popen.wait, limit_s)
        except subprocess.TimeoutExpired:
            raise HarnessError(f"{self.name} did not end within {limit_s:g} s") from None

    async def restart(self) -> None:
        """Start it again once it has ended."""
        await self.wait(60.0)
        await self.start()

    def end(self) -> None:
        """End it now, whatever state it is in, and all it has started."""
        if self._popen is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        self.thaw()
        self.terminate()
        with suppress(HarnessError):
            await self.wait(5.0)
        self.end()

    def last_words(self) -> str:
        """The end of its log, for a message."""
        if not self.log.exists():
            return "it said nothing"
        return " / ".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]) or "it said nothing"

    def log_lines(self, since: int = 0) -> list[str]:
        """What it has printed, from byte `since` on."""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode("utf-8", "replace").splitlines()

    def log_size(self) -> int:
        """Bytes printed so far."""
        return self.log.stat().st_size
