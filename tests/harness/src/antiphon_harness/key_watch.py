"""Owns what processes tell of their keys, followed all the time: stages with when they began, counts, problems."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import grpc

from antiphon.router.v1 import keys_pb2, keys_pb2_grpc
from antiphon_harness.processes import HarnessError, Process

_AGAIN_S: Final = 0.2
_NO_NEWS_S: Final = 1.0
Told = keys_pb2.WatchKeyUseResponse


def status(name: str) -> int:
    """The number of `KEY_STATUS_name`."""
    return int(keys_pb2.KeyStatus.Value(f"KEY_STATUS_{name}"))


class KeyWatch:
    """Follows processes, for the body of an `async with`. Times are on the monotonic clock."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Condition()
        self.told: dict[str, Told] = {}
        """The latest, by address."""
        self.since: dict[tuple[str, int, int], float] = {}
        """When a process first told a version to be in a stage: (address, version, status)."""
        self.problems: dict[tuple[str, str, int], float] = {}
        """When a process first told of a problem: (address, rule, version)."""
        self._checked: set[tuple[str, int]] = set()
        self._calls: dict[tuple[str, int], tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._follow(one.address)) for one in self._processes]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, address: str) -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            stub = keys_pb2_grpc.KeyUseServiceStub(channel)
            while True:
                try:
                    async for told in stub.WatchKeyUse(keys_pb2.WatchKeyUseRequest()):
                        await self._take(address, told)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(_AGAIN_S)

    async def _take(self, address: str, told: Told) -> None:
        now = time.monotonic()
        self.told[address] = told
        for use in told.uses:
            self.since.setdefault((address, use.version, use.status), now)
            self._calls[address, use.version] = (use.calls, use.successes)
            if use.HasField("check_time"):
                self._checked.add((address, use.version))
        for problem in told.problems:
            self.problems.setdefault((address, problem.rule, problem.version), now)
        async with self._news:
            self._news.notify_all()

    async def until(self, what: str, is_so: Callable[[], bool], limit_s: float = 60.0) -> float:
        """Wait until it is so; returns when that was. Raises HarnessError after `limit_s`."""
        if not await self.comes(is_so, limit_s):
            raise HarnessError(f"{what}: not within {limit_s:g} s; told: {self._summary()}")
        return time.monotonic()

    async def comes(self, is_so: Callable[[], bool], limit_s: float = 60.0) -> bool:
        """Wait until it is so, looking at all news, and now and then without any; False after `limit_s`."""
        until = time.monotonic() + limit_s
        async with self._news:
            while not is_so():
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return False
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, _NO_NEWS_S)):
                        await self._news.wait()
        return True

    def _summary(self) -> str:
        return "; ".join(
            ", ".join(
                f"{use.version} {keys_pb2.KeyStatus.Name(use.status).removeprefix('KEY_STATUS_')}" for use in one.uses
            )
            + "".join(f", {problem.rule} {problem.version}" for problem in one.problems)
            for one in self.told.values()
        )

    def everywhere(self, version: int, name: str) -> bool:
        """Whether every process tells the version to be in that stage."""
        return len(self.told) == len(self._processes) and all(
            any(use.version == version and use.status == status(name) for use in one.uses) for one in self.told.values()
        )

    def began(self, version: int, name: str) -> list[float]:
        """When processes first told the version to be in that stage, earliest first."""
        return sorted(at for (_, number, stage), at in self.since.items() if (number, stage) == (version, status(name)))

    def calls(self, version: int) -> int:
        """With it, of all processes, as they told last."""
        return sum(calls for (_, number), (calls, _) in self._calls.items() if number == version)

    def checks(self, version: int) -> int:
        """How many processes had the provider look at it before the first call."""
        return sum(number == version for _, number in self._checked)

    def successes(self, version: int) -> int:
        """With it, of all processes, as they told last."""
        return sum(successes for (_, number), (_, successes) in self._calls.items() if number == version)

    def rules(self) -> set[str]:
        """The problems that are told now."""
        return {problem.rule for one in self.told.values() for problem in one.problems}


async def asked(address: str, *, refresh: bool = False) -> Told:
    """What the process at `address` tells now; after a look into the store if `refresh`."""
    async with grpc.aio.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        stub = keys_pb2_grpc.KeyUseServiceStub(channel)
        if refresh:
            found = await stub.RefreshKeys(keys_pb2.RefreshKeysRequest(), timeout=20, wait_for_ready=True)
            return Told(uses=found.uses, problems=found.problems)
        watch = stub.WatchKeyUse(keys_pb2.WatchKeyUseRequest(), timeout=20, wait_for_ready=True)
        told: Told = await anext(aiter(watch))
        watch.cancel()
        return told
