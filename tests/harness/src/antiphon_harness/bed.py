"""Owns what goals run on: provider services that serve several goals in turn, a fresh router for each, and the load."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from antiphon_harness.fakellm.script import Rule, Script
from antiphon_harness.goal import Goal
from antiphon_harness.loadgen import Ask, Client, Shot, client
from antiphon_harness.processes import Process
from antiphon_harness.suite import FakeUpstream, Router, Suite
from antiphon_harness.witness import fingerprint

MODEL: Final = "openai/m"
CALM: Final = Script(ttft_s=0.1)
"""A model that takes 100 ms to its first token and has the rest at hand."""

_MOST_RPS: Final = 500.0
_SETTINGS: Final = {"ANTIPHON_DRAIN_GRACE_S": "90"}


class Bed:
    """The deployment that a goal finds: replicas by backend, each backend's key, and a router in front."""

    def __init__(self, suite: Suite, upstream: FakeUpstream, *, full: bool, seed: int) -> None:
        self.suite = suite
        self.upstream = upstream
        self.full = full
        self.seed = seed
        self.replicas: dict[str, list[Process]] = {}
        self.keys: dict[str, str] = {}
        self.rate = 0.0
        """Load L in calls per second."""
        self.smax = 0.0
        self.shots: list[Shot] = []
        """Everything that the goal's clients saw, for the raw log."""
        self.had_router = False
        """Whether the goal's router came up."""
        self._routers: list[Router] = []

    @property
    def processes(self) -> list[Process]:
        """All replicas, in the order of their backends."""
        return [process for group in self.replicas.values() for process in group]

    @property
    def router(self) -> Router:
        """The router of the goal."""
        return self._routers[0]

    @property
    def dice(self) -> random.Random:
        """Always the same from the start of a goal on."""
        return random.Random(self.seed)

    def mark(self, backend: str) -> str:
        """The fingerprint of a backend's key, as in the witness log."""
        return fingerprint(self.keys[backend])

    def pick(self, full: float, short: float) -> float:
        """One of both by tier."""
        return full if self.full else short

    def count(self, full: int, short: int) -> int:
        """One of both by tier."""
        return full if self.full else short

    async def add(self, backends: Mapping[str, int]) -> None:
        """Start the replicas of `backends`."""
        starts = {}
        async with asyncio.TaskGroup() as tasks:
            for backend, number in backends.items():
                self.keys[backend] = key = f"sk-harness-{backend}"
                starts[backend] = [
                    tasks.create_task(self.suite.openai(f"{backend}-{n}", key, self.upstream.base_url, _SETTINGS))
                    for n in range(number)
                ]
        self.replicas = {backend: [task.result() for task in group] for backend, group in starts.items()}

    async def start_router(
        self,
        routes: Sequence[Mapping[str, Any]] = (),
        env: Mapping[str, str] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> Router:
        """One more router over all replicas, as soon as they are well."""
        rows = [
            {"id": backend, "provider": "openai", "addresses": [one.address for one in group], "state_domain": backend}
            for backend, group in self.replicas.items()
        ]
        written = {"backends": rows, "routes": list(routes), "limits": dict(limits or {})}
        router = await self.suite.router(written, {**_SETTINGS, **(env or {})})
        self._routers.append(router)
        await router.admin.until_all_well(len(self.processes))
        self.had_router = True
        return router

    async def end_routers(self) -> None:
        """End them all."""
        for router in self._routers:
            router.process.end()
        self._routers.clear()

    @asynccontextmanager
    async def prepared(self, goal: Goal) -> AsyncIterator[None]:
        """Everything well, a calm upstream and a fresh router, for one goal."""
        await self.upstream.keys(None)
        await self.upstream.places(None)
        await self.upstream.rules(Rule(CALM))
        for process in self.processes:
            process.thaw()
            if not process.is_running:
                await process.restart()
        self.shots = []
        self.had_router = False
        try:
            await self.start_router(goal.routes, limits=goal.limits)
            yield
        finally:
            await self.end_routers()

    async def measure_load(self, for_s: float) -> None:
        """Find out Smax, and from it L."""
        async with self.client() as load:
            await load.saturate(Ask(model=MODEL), workers=16, for_s=1.0)
            self.smax = await load.saturate(Ask(model=MODEL), workers=32, for_s=for_s)
        self.rate = min(_MOST_RPS, 0.5 * self.smax)

    @asynccontextmanager
    async def client(self, address: str = "", **options: Any) -> AsyncIterator[Client]:
        """A client of the goal's router or of another `address`."""
        async with client(address or self.router.address, **options) as opened:
            yield opened

    def keep(self, *groups: Sequence[Shot]) -> None:
        """Put shots into the raw log."""
        for group in groups:
            self.shots += group
