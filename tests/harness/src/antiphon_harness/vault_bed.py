"""Owns what goals about keys run on: a real secret store, replicas that read their key from it, a coordinator."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc

from antiphon.router.v1 import keys_pb2, keys_pb2_grpc
from antiphon_harness.bed import CALM, MODEL, Bed
from antiphon_harness.fakellm.script import Rule
from antiphon_harness.goal import Goal
from antiphon_harness.loadgen import Ask, Shot
from antiphon_harness.processes import Process
from antiphon_harness.secret_store import SecretStore
from antiphon_harness.suite import Router, Suite

BACKEND: Final = "vaulted"
VAULTED: Final[Mapping[str, int]] = {BACKEND: 2}
"""One backend with two processes whose key lies in the store."""

_SLOTS: Final = 12
_SHORT_RPS: Final = 20.0
Routes = Sequence[Mapping[str, Any]]
_GRACE: Final = {"ANTIPHON_DRAIN_GRACE_S": "30"}


class VaultBed(Bed):
    """A slot and fresh replicas for each goal, over one store."""

    store: SecretStore
    slot = ""
    """`<provider>/<name>` of the goal."""

    def __init__(self, suite: Suite, *more: Any, **named: Any) -> None:
        super().__init__(suite, *more, **named)
        self.store = SecretStore(suite.scratch / "store")
        suite.callback(self.store.end)
        self._backends: Mapping[str, int] = {}
        self._goals = 0
        self._extra: list[Process] = []
        self.more_env: Mapping[str, str] = {}
        """For the replicas of the goals to come."""

    async def measure_load(self, for_s: float) -> None:
        """Less than elsewhere, because store, coordinator and whoever asks them share the machine."""
        if not self.replicas:
            await self.start_anew()
        await super().measure_load(for_s)
        self.rate = min(self.rate, 0.2 * self.smax, self.pick(100.0, _SHORT_RPS))

    @property
    def poll_s(self) -> float:
        """How often processes look into the store."""
        return self.pick(5.0, 1.0)

    def key(self, version: int) -> str:
        """The good key that a goal writes as this version."""
        return f"sk-harness-{self.slot.replace('/', '-')}-v{version}"

    async def add(self, backends: Mapping[str, int]) -> None:
        """Start the store; replicas come with each goal."""
        self._backends = backends
        slots = [f"openai/s{number}" for number in range(1, _SLOTS + 1)]
        await self.store.start(("openai", "anthropic"), slots)

    async def settings(self, process: str, *, slot: str = "", wrapped: bool = True) -> dict[str, str]:
        """The environment of a replica that reads its key from the store."""
        return {
            "OPENAI_BASE_URL": self.upstream.base_url,
            "OPENAI_API_KEY": f"vault:{slot or self.slot}",
            "ANTIPHON_VAULT_POLL_S": f"{self.poll_s:g}",
            "ANTIPHON_LOG_LEVEL": "info",
            **_GRACE,
            **await self.store.login("openai", process, wrapped=wrapped),
            **self.more_env,
        }

    async def replica(self, name: str, env: Mapping[str, str] | None = None, **how: Any) -> Process:
        """One more process of the goal, behind no router yet."""
        name = f"{name}-{self._goals}"
        settings = {**await self.settings(name, **how), **(env or {})}
        process = await self.suite.ours(name, "antiphon_provider_openai", settings)
        self._extra.append(process)
        return process

    @asynccontextmanager
    async def prepared(self, goal: Goal) -> AsyncIterator[None]:
        """A slot with version 1 in it, fresh replicas that have it, a calm upstream, a router."""
        await self.upstream.keys(None)
        await self.upstream.rules(Rule(CALM))
        self._goals += 1
        self.slot = f"openai/s{self._goals}"
        await self.store.put(self.slot, self.key(1))
        self.shots = []
        self.had_router = False
        try:
            if not goal.bare:
                await self.start_anew(routes=goal.routes)
            yield
        finally:
            await self.end_routers()
            for process in self._extra:
                process.end()
            self._extra.clear()
            self.replicas.clear()
            self.more_env = {}

    async def start_anew(
        self,
        env: Mapping[str, str] | None = None,
        *,
        routes: Routes = (),
        router_env: Mapping[str, str] | None = None,
    ) -> Router:
        """The replicas that the goal names, with more in their environment, and a router over them."""
        self.more_env = env or {}
        await self._start_replicas()
        return await self.start_router(routes, router_env)

    async def _start_replicas(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            started = {
                backend: [tasks.create_task(self.replica(f"{backend}-{n}")) for n in range(number)]
                for backend, number in self._backends.items()
            }
        self.replicas = {backend: [task.result() for task in group] for backend, group in started.items()}

    @asynccontextmanager
    async def load(self, ask: Ask | None = None, address: str = "") -> AsyncIterator[list[Shot]]:
        """Load L for the body of the `async with`; what came of it is in the list afterwards."""
        over = asyncio.Event()
        shots: list[Shot] = []
        async with self.client(address) as client, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(client.mix(_until(over, ask or Ask(model=MODEL)), rate=self.rate))
            try:
                yield shots
            finally:
                over.set()
        shots += running.result()
        self.keep(shots)

    @asynccontextmanager
    async def coordinator(self, watch: str = "", env: Mapping[str, str] | None = None) -> AsyncIterator["Coordinator"]:
        """A coordinator over the replicas, or over the addresses in `watch`."""
        settings = {
            "ANTIPHON_KEYS_WATCH": watch or ",".join(f"{BACKEND}={one.address}" for one in self.processes),
            "ANTIPHON_VAULT_POLL_S": f"{self.poll_s:g}",
            "ANTIPHON_KEYS_STEP_SUCCESSES": f"{self.count(20, 5)}",
            "ANTIPHON_KEYS_STEP_S": f"{self.pick(10, 1.0):g}",
            "ANTIPHON_KEYS_GRACE_S": f"{self.pick(15, 3):g}",
            **await self.store.login("coordinator", f"coordinator-{self._goals}"),
            **(env or {}),
        }
        process = await self.suite.ours("coordinator", "antiphon_keys", settings)
        try:
            async with grpc.aio.insecure_channel(process.address) as channel:
                coordinator = Coordinator(process, keys_pb2_grpc.KeyAdminServiceStub(channel))

                async def sees() -> bool:
                    return await coordinator.processes(self.slot) == len(self.processes)

                await until_so(sees, 20.0, 0.1)
                yield coordinator
        finally:
            process.end()


class Coordinator:
    """A running coordinator. `admin`: stub of KeyAdminService."""

    def __init__(self, process: Process, admin: Any) -> None:
        self.process = process
        self.admin = admin

    async def processes(self, slot: str) -> int:
        """How many it has heard of a key from."""
        found = await self.admin.ListKeyVersions(keys_pb2.ListKeyVersionsRequest(), timeout=20, wait_for_ready=True)
        return len({use.instance for one in found.versions if one.slot == slot for use in one.uses})

    async def shown(self, *words: str) -> str:
        """What `antiphon keys` shows people."""
        argv = [sys.executable, "-m", "antiphon_cli", "keys", *words, "--keys-address", self.process.address]
        run = asyncio.to_thread(
            subprocess.run, argv, env={"PATH": ""}, capture_output=True, text=True, check=False, timeout=60
        )
        return (await run).stdout


def _until(over: asyncio.Event, ask: Ask) -> Iterator[Ask]:
    while not over.is_set():
        yield ask


async def until_so(what: Any, limit_s: float, every_s: float = 0.05) -> float:
    """Ask again and again until `await what()` is true; returns when, or infinity after `limit_s`."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if await what():
            return time.monotonic()
        await asyncio.sleep(every_s)
    return float("inf")
