"""Owns the life of one service: started, watched, restarted with backoff, drained.

starting --> serving <--> not serving          restarting --> starting
    |           |              |                   ^
    +-----------+--------------+--- process ends --+     (code 78, or three times before it ever served: given up)
draining --> stopped                                     (from anywhere, once asked to stop)
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

from antiphon_embedded.health import last_words, watch
from antiphon_embedded.process import Child, ChildExited, Command, describe_exit, spawn
from antiphon_kit.tls_settings import TlsSettings

EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits: a setting is wrong; starting again would not help."""

_FIRST_BACKOFF_S: Final = 0.5
_MAX_BACKOFF_S: Final = 30.0
_STEADY_S: Final = 30.0
_MAX_FAILED_STARTS: Final = 3


class State(Enum):
    """Where a service is; the value is what people read."""

    STARTING = "starting"
    SERVING = "serving"
    NOT_SERVING = "not serving"
    RESTARTING = "restarting"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """What is shown of a service."""

    name: str
    state: State = State.STARTING
    address: str = ""
    detail: str = ""


class GaveUp(Exception):
    """A service that cannot be started; the whole suite is of no use without a decision of its operator."""

    def __init__(self, name: str, code: int, log: Path | None) -> None:
        super().__init__(f"{name} ended with {describe_exit(code)}")
        self.code = code
        self.log = log


class Supervisor:
    """Runs one service until it is asked to drain. `changed` is called with each new status."""

    def __init__(self, command: Command, log: Path | None, changed: Callable[[Status], None]) -> None:
        self.status = Status(command.name)
        self._command = command
        self._tls = TlsSettings.from_env(command.env).files
        self._log = log
        self._changed = changed
        self._child: Child | None = None
        self._health: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._ever_served = False

    async def run(self) -> None:
        """Keep the service running. Returns once drained; raises GaveUp. No process is left when it ends."""
        loop = asyncio.get_running_loop()
        failures = 0
        self._set(State.STARTING)
        while not self._stop.is_set():
            started = loop.time()
            code = await self._run_once()
            if self._stop.is_set():
                break
            if loop.time() - started > _STEADY_S:
                failures = 0
            failures += 1
            if code == EXIT_CONFIG or (not self._ever_served and failures >= _MAX_FAILED_STARTS):
                raise GaveUp(self._command.name, code, self._log)
            await self._back_off(code, min(_FIRST_BACKOFF_S * 2 ** (failures - 1), _MAX_BACKOFF_S))
        self._set(State.STOPPED)

    async def drain(self, grace_s: float) -> None:
        """Let running calls finish; what still runs after `grace_s` is killed. `run` returns soon after."""
        self._stop.set()
        child = self._child
        if child is None:
            return
        self._set(State.DRAINING, self.status.address)
        # gRPC prints a line of its own when the service then takes leave of an open watch.
        await self._stop_following()
        child.drain()
        try:
            await asyncio.wait_for(child.wait(), grace_s)
        except TimeoutError:
            child.kill()
            await child.wait()

    def kill(self) -> None:
        """End the process now."""
        self._stop.set()
        if self._child is not None:
            self._child.kill()

    async def _run_once(self) -> int:
        child = await spawn(self._command, self._log)
        self._child = child
        if self._stop.is_set():
            child.kill()
        self._health = asyncio.create_task(self._follow_health(child))
        try:
            return await child.wait()
        finally:
            self._child = None
            child.kill()
            await asyncio.gather(self._stop_following(), child.wait(), return_exceptions=True)

    async def _stop_following(self) -> None:
        if self._health is not None:
            self._health.cancel()
            await asyncio.gather(self._health, return_exceptions=True)

    async def _follow_health(self, child: Child) -> None:
        began = asyncio.get_running_loop().time()
        try:
            address = await child.address()
        except ChildExited:
            return
        ready = ""
        async with aclosing(watch(address, self._tls)) as states:
            async for serving in states:
                if self._stop.is_set():
                    return
                if serving:
                    self._ever_served = True
                    ready = ready or f"ready after {asyncio.get_running_loop().time() - began:.1f} s"
                    self._set(State.SERVING, address, ready)
                else:
                    self._set(State.NOT_SERVING, address, last_words(self._log) if self._log else "")

    async def _back_off(self, code: int, delay_s: float) -> None:
        self._set(State.RESTARTING, "", f"ended with {describe_exit(code)}, starts again in {delay_s:g} s")
        try:
            await asyncio.wait_for(self._stop.wait(), delay_s)
        except TimeoutError:
            self._set(State.STARTING)

    def _set(self, state: State, address: str = "", detail: str = "") -> None:
        status = replace(self.status, state=state, address=address, detail=detail)
        if status != self.status or state is State.STARTING:
            self.status = status
            self._changed(status)
