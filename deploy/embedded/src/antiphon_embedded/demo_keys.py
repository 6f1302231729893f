"""Owns the key's way in the demo: written to a real Vault, read by its service, rotated while calls run, gone.

The vendor is scripted, because nobody has two real keys to spare; Vault, service, router and coordinator are not.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from antiphon.config.v1 import suite_pb2
from antiphon.router.v1 import keys_pb2
from antiphon_client import AntiphonError, AsyncClient
from antiphon_client.key_admin import KeyAdminClient
from antiphon_embedded import dev_vault
from antiphon_embedded.demo_service import DemoFailure, Service, running
from antiphon_embedded.demo_vendor import MODEL, DemoVendor, open_vendor
from antiphon_embedded.narrator import Narrator
from antiphon_embedded.plan import KeyStore, Plan, make_plan
from antiphon_embedded.ports import free_address
from antiphon_embedded.settings import LauncherSettings
from antiphon_embedded.vault_server import VaultFailure, VaultServer, executable
from antiphon_kit.settings import Env

PROVIDER: Final = "openai"
SLOT: Final = "openai/default"
KEYS: Final = ("demo-key-one", "demo-key-two")
CALLERS: Final = 2
# A rotation that takes minutes in production, in seconds.
_PACE: Final = {
    "ANTIPHON_VAULT_POLL_S": "0.3",
    "ANTIPHON_KEYS_SHARES": "0.1,0.5,1",
    "ANTIPHON_KEYS_STEP_SUCCESSES": "5",
    "ANTIPHON_KEYS_STEP_S": "1",
    "ANTIPHON_KEYS_GRACE_S": "1",
}
_LIMIT_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.1


class KeyWay:
    """Use with `async with`, which begins to prepare Vault beside what else the demo does; `show` tells the story."""

    def __init__(self, env: Env, directory: Path, routes: Path) -> None:
        # A key of the operator's own has no business in the demo.
        self._env = {name: value for name, value in env.items() if not name.startswith("OPENAI_")} | _PACE
        self._directory = directory
        self._settings = LauncherSettings(routes, "127.0.0.1:0", "127.0.0.1:0", directory, keys="127.0.0.1:0")
        self._address = free_address()
        self._server: VaultServer | None = None
        self._filling: asyncio.Task[KeyStore] | None = None
        self._why_not = ""

    @property
    def backend(self) -> str:
        """Lines for the routes file."""
        lines = (f"  - id: {PROVIDER}", f"    provider: {PROVIDER}", f"    default_model: {MODEL}")
        return "\n".join((*lines, f'    addresses: ["{self._address}"]'))

    async def __aenter__(self) -> Self:
        try:
            executable()
            server = VaultServer(self._directory / "vault")
            server.start()
        except VaultFailure as failure:
            self._why_not = str(failure)
            return self
        self._server = server
        self._filling = asyncio.create_task(asyncio.to_thread(self._fill, server))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._filling is not None:
            self._server.kill()
            with suppress(VaultFailure):  # what it was doing has come to nothing
                await self._filling

    def _fill(self, server: VaultServer) -> KeyStore:
        store = KeyStore(server.address, server.directory / "logins", frozenset({PROVIDER}))
        server.until_ready()
        dev_vault.fill(server, store, {PROVIDER: KEYS[0]})
        return store

    def _put(self, key: str) -> None:
        assert self._server is not None
        with self._server.root() as root:
            dev_vault.put_once(root, PROVIDER, key)

    async def show(self, tell: Narrator, heading: str, client: AsyncClient) -> None:
        """The whole way, on the page. Raises DemoFailure."""
        tell.heading(heading)
        if self._filling is None:
            tell.fact(f"not shown: {self._why_not}")
            return
        try:
            store = await asyncio.shield(self._filling)
        except VaultFailure as failure:
            raise DemoFailure(str(failure)) from None
        tell.good(f"{'vault':<10} holds the key of {SLOT}, version 1, at {store.address}")
        async with AsyncExitStack() as stack:
            vendor = stack.enter_context(open_vendor())
            vendor.allowed = set(KEYS)
            plan = self._plan(store, vendor)
            assert plan.keys is not None
            logs = self._directory
            starting = [
                await stack.enter_async_context(running(one.command, logs / f"{name}.log", name))
                for one, name in ((plan.providers[0], "provider"), (plan.keys, "keys"))
            ]
            services = await asyncio.gather(*(one.ready(tell) for one in starting))
            operator = await stack.enter_async_context(KeyAdminClient(services[1].address))
            await self._rotate(tell, vendor, client, operator)
            for service in services:
                await _ended(service)

    def _plan(self, store: KeyStore, vendor: DemoVendor) -> Plan:
        backend = suite_pb2.Backend(id=PROVIDER, provider=PROVIDER, addresses=[self._address])
        env = {**self._env, "OPENAI_BASE_URL": f"{vendor.url}/v1"}
        return make_plan(suite_pb2.Suite(backends=[backend]), self._settings, env, lambda _: True, store)

    async def _rotate(self, tell: Narrator, vendor: DemoVendor, client: AsyncClient, operator: KeyAdminClient) -> None:
        calls = Calls(client)
        try:
            async with asyncio.timeout(_LIMIT_S):
                await calls.first()
                async with calls.flowing():
                    first = await _until(operator, 1, keys_pb2.KEY_STATUS_CURRENT)
                    tell.fact(f"the service read it, fingerprint {first.fingerprint}; {CALLERS} callers ask on and on")
                    began = time.monotonic()
                    await asyncio.to_thread(self._put, KEYS[1])
                    tell.question("kv put secret/antiphon/openai/default value=…")
                    await self._told(tell, operator, began)
                    await _until(operator, 1, keys_pb2.KEY_STATUS_REVOKED)
                    used = vendor.chats[KEYS[0]]
                    vendor.allowed.remove(KEYS[0])  # as its owner does now, at the vendor
                    await calls.more(10)
        except TimeoutError:
            raise DemoFailure(f"the key was not rotated within {_LIMIT_S:g} s; see `antiphon keys`") from None
        except AntiphonError as error:
            raise DemoFailure(f"the rotation cannot be seen: {error}") from None
        late = vendor.chats[KEYS[0]] - used
        tell.fact("")
        tell.table(
            [
                ("calls meanwhile", f"{calls.served}, of which {len(calls.failed)} failed"),
                ("with version 1", f"{used}, and {late} after it was revoked"),
                ("with version 2", str(vendor.chats[KEYS[1]])),
            ]
        )
        if calls.failed or late:
            raise DemoFailure(f"a rotation is not to be noticed: {(calls.failed or ['the old key was used'])[0]}")

    async def _told(self, tell: Narrator, operator: KeyAdminClient, began: float) -> None:
        """Version 2 from candidate to current, as the coordinator tells it."""
        said = ""
        while True:
            found = {one.version: one for one in (await operator.versions(SLOT)).versions}
            version = found.get(2)
            if version is not None and version.status:
                current = version.status == keys_pb2.KEY_STATUS_CURRENT
                words = "in service" if current else f"candidate, {100 * version.share:g} % of the calls"
                if words != said:
                    tell.good(f"version 2  {words}, after {time.monotonic() - began:.1f} s")
                    said = words
                if current:
                    return
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _until(operator: KeyAdminClient, number: int, status: "keys_pb2.KeyStatus") -> keys_pb2.KeyVersion:
    while True:
        for version in (await operator.versions(SLOT)).versions:
            if version.version == number and version.status == status:
                return version
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _ended(service: Service) -> None:
    service.child.drain()
    await service.child.wait()


class Calls:
    """Calls through the router, counted."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._progress = asyncio.Event()
        self.served = 0
        self.failed: list[str] = []

    async def first(self) -> None:
        """Wait until the router has found the service."""
        while True:
            with suppress(AntiphonError):
                await self._ask()
                return
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _ask(self) -> None:
        await self._client.generate("Is the key good?", model=f"{PROVIDER}/{MODEL}")

    async def more(self, count: int) -> None:
        """Wait for as many further calls to be served, or for one that is not."""
        wanted = self.served + count
        while self.served < wanted and not self.failed:
            self._progress.clear()
            await self._progress.wait()

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """One call after the other by every caller, for the body of the `with`."""
        stop = asyncio.Event()

        async def flow() -> None:
            while not stop.is_set():
                try:
                    await self._ask()
                except AntiphonError as error:
                    self.failed.append(str(error))
                else:
                    self.served += 1
                self._progress.set()

        tasks = [asyncio.create_task(flow()) for _ in range(CALLERS)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)
