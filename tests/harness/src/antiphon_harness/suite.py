"""Owns the deployment of a test: upstream, provider services, routers, as real processes; all ended at the end.

    async with Suite(scratch) as suite:
        upstream = await suite.upstream()
        one = await suite.openai("one", key="sk-1", base_url=upstream.base_url)
        router = await suite.router({"backends": [{"id": "a", "provider": "openai", "addresses": [one.address]}]})

Whoever needs other programs or another environment (a store of secrets, certificates) starts them with `launch`.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from antiphon_harness.admin import Admin
from antiphon_harness.fakellm.script import Rule
from antiphon_harness.processes import Process
from antiphon_harness.witness import WitnessReader

LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """A port of the loopback interface that nobody uses at the moment."""
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class FakeUpstream:
    """The scripted upstream and its control."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.witness = WitnessReader(log)

    @property
    def base_url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"http://{self.process.address}/v1"

    async def rules(self, *rules: Rule) -> None:
        """From now on; what runs already goes on as it was told."""
        await self._order("rules", [rule.as_json() for rule in rules])

    async def keys(self, keys: Sequence[str] | None) -> None:
        """The keys that are valid from now on; None: all."""
        await self._order("keys", None if keys is None else list(keys))

    async def places(self, places: int | None) -> None:
        """How many answers it gives at once from now on, the others waiting in line; None: all."""
        await self._order("places", places)

    async def _order(self, what: str, value: Any) -> None:
        host, _, port = self.process.address.rpartition(":")
        body = json.dumps(value).encode()
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"PUT /_control/{what} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert b" 204 " in answer, answer


class Router:
    """A router's process and its two faces."""

    def __init__(self, process: Process, admin: Admin, routes: Path) -> None:
        self.process = process
        self.admin = admin
        self.routes = routes
        """Its routes file."""

    @property
    def address(self) -> str:
        """Where clients call."""
        return self.process.address


class Suite:
    """The processes of one test. `sabotage`: a bug that programs of ours are started with from now on; empty: none."""

    def __init__(self, scratch: Path, *, sabotage: str = "") -> None:
        self.scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        self.sabotage = sabotage
        self._stack = AsyncExitStack()
        self._count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def callback(self, work: Callable[[], None]) -> None:
        """Have `work` done at the end, whatever happens."""
        self._stack.callback(work)

    async def launch(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> Process:
        """Start `python ARGV` and wait until it says where it serves; ended with the suite."""
        self._count += 1
        process = Process(name, argv, env, self.scratch / f"{self._count:02}-{name}.log")
        self._stack.callback(process.end)
        await process.start()
        return process

    async def ours(self, name: str, module: str, env: Mapping[str, str]) -> Process:
        """Start a program of the product."""
        sabotaged = ("-m", "antiphon_harness.sabotage", self.sabotage, "--", module)
        argv = sabotaged if self.sabotage else ("-m", module)
        return await self.launch(name, argv, {"ANTIPHON_LOG_LEVEL": "info", **env})

    async def upstream(self) -> FakeUpstream:
        """A scripted upstream."""
        log = self.scratch / f"witness-{self._count:02}.jsonl"
        process = await self.launch("fakellm", ("-m", "antiphon_harness.fakellm", str(log)), {})
        return FakeUpstream(process, log)

    async def openai(self, name: str, key: str, base_url: str, env: Mapping[str, str] | None = None) -> Process:
        """A replica of the openai service; its key is in the file `key-NAME` of the scratch directory."""
        file = self.scratch / f"key-{name}"
        file.write_text(key, encoding="ascii")
        settings = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY_FILE": str(file), "ANTIPHON_LOG_LEVEL": "warning"}
        return await self.ours(name, "antiphon_provider_openai", {**settings, **(env or {})})

    async def router(self, routes: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Router:
        """A router with these routes, as soon as it listens."""
        self._count += 1
        path = self.scratch / f"routes-{self._count:02}.yaml"
        path.write_text(json.dumps(routes, indent=1), encoding="utf-8")  # JSON is YAML
        admin = f"{LOOPBACK}:{free_port()}"
        settings = {"ANTIPHON_CONFIG": str(path), "ANTIPHON_ADMIN_LISTEN": admin, **(env or {})}
        return Router(await self.ours("router", "antiphon_router", settings), Admin(admin), path)
