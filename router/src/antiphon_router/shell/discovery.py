"""Owns which replicas a backend has: written down, behind a DNS name, or in the EndpointSlices of a Kubernetes service.

gRPC's own resolver asks again only when a connection breaks, so it never learns of a replica that was added. Here a
name is asked every few seconds and whenever a replica is lost; Kubernetes tells by itself. What a source said last
counts while it cannot be asked.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from antiphon_router.core.resolve import Catalog
from antiphon_router.core.values import Replica
from antiphon_router.shell.channels import Links

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
AT_MOST_EVERY_S: Final = 0.5
"""Between two questions to DNS, however often somebody wants to know."""

DNS: Final = "dns:///"
KUBERNETES: Final = "k8s:///"


class Source(Protocol):
    """Where addresses of replicas come from."""

    async def addresses(self) -> Sequence[str]:
        """All of them now, as host:port. Raises OSError while they cannot be had."""
        ...

    async def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `addresses` may give something else; returns if that never happens."""
        ...


class Written:
    """One address, as configured."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def addresses(self) -> Sequence[str]:
        """Always the same."""
        return (self._address,)

    async def follow(self, changed: Callable[[], None]) -> None:
        """Never."""


class Dns:
    """Every address of a name ("host:port")."""

    def __init__(self, name: str, *, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._host, _, self._port = name.rpartition(":")
        self._every_s = every_s
        self._clock = clock
        self._known: Sequence[str] | None = None
        self._asked = 0.0

    async def addresses(self) -> Sequence[str]:
        """What the resolver of this host says now."""
        now = self._clock()
        if self._known is None or now - self._asked >= AT_MOST_EVERY_S:
            self._asked = now
            self._known = await self._ask()
        return self._known

    async def _ask(self) -> Sequence[str]:
        found = await asyncio.get_running_loop().getaddrinfo(
            self._host.strip("[]"), self._port, type=socket.SOCK_STREAM
        )
        hosts = {(family, str(where[0])) for family, *_, where in found}
        return sorted(f"[{h}]:{self._port}" if f is socket.AF_INET6 else f"{h}:{self._port}" for f, h in hosts)

    async def follow(self, changed: Callable[[], None]) -> None:
        """Every few seconds: DNS does not call."""
        while True:
            await asyncio.sleep(self._every_s)
            changed()


OpenSource = Callable[[str], Source]


def opener(kubernetes: OpenSource | None = None) -> OpenSource:
    """Opens the source that an address stands for; `kubernetes` those of "namespace/service:port"."""

    def open_source(address: str) -> Source:
        if address.startswith(DNS):
            return Dns(address.removeprefix(DNS))
        if address.startswith(KUBERNETES):
            assert kubernetes is not None, "the routes file was checked for that"
            return kubernetes(address.removeprefix(KUBERNETES))
        return Written(address)

    return open_source


class Discovery:
    """Follows the sources of one backend: opens links to what appears, lets go of what disappears."""

    def __init__(self, backend: str, links: Links, open_source: OpenSource, *, every_s: float = EVERY_S) -> None:
        self._backend = backend
        self._links = links
        self._open_source = open_source
        self._every_s = every_s
        self._again = asyncio.Event()
        self._sources: dict[str, Source] = {}
        self._known: dict[str, Sequence[str]] = {}
        self._replicas: dict[str, Replica] = {}

    @property
    def configured(self) -> tuple[str, ...]:
        """The addresses that it follows, as in the routes file."""
        return tuple(self._sources)

    def use(self, addresses: Iterable[str]) -> None:
        """Follow `addresses`; not while `run` runs."""
        self._sources = {a: self._sources.get(a) or self._open_source(a) for a in addresses}
        self._known = {address: known for address, known in self._known.items() if address in self._sources}

    async def run(self) -> None:
        """Follow for ever; ends by cancellation only."""
        async with asyncio.TaskGroup() as group:
            for source in self._sources.values():
                group.create_task(source.follow(self.look_again))
            while True:
                self._again.clear()
                await self.refresh()
                try:
                    async with asyncio.timeout(self._every_s):
                        await self._again.wait()
                except TimeoutError:
                    pass  # links that have become idle are closed in any case

    def look_again(self) -> None:
        """Ask the sources soon."""
        self._again.set()

    async def refresh(self) -> None:
        """Ask all sources once."""
        for address, source in self._sources.items():
            try:
                self._known[address] = await source.addresses()
            except OSError:
                log.warning("addresses_unknown", extra={"backend": self._backend, "address": address})
        found = {replica for known in self._known.values() for replica in known}
        for address in sorted(found - self._replicas.keys()):
            self._replicas[address] = replica = Replica(self._backend, address)
            self._links.open(replica)
            log.info("replica_added", extra={"backend": self._backend, "address": address})
        # A source that has not spoken yet may know a replica that another one, now gone, knew too.
        if len(self._known) == len(self._sources):
            await self._leave(self._replicas.keys() - found)
        await self._links.sweep()

    async def _leave(self, addresses: Iterable[str]) -> None:
        for address in sorted(addresses):
            await self._links.leave(self._replicas.pop(address))
            log.info("replica_removed", extra={"backend": self._backend, "address": address})

    async def end(self) -> None:
        """Let go of every replica: the backend is no longer configured. Not while `run` runs."""
        await self._leave(list(self._replicas))


class Discoveries:
    """One discovery per backend of the catalog in use. Its tasks are `group`'s."""

    def __init__(self, links: Links, open_source: OpenSource, group: asyncio.TaskGroup) -> None:
        self._links = links
        self._open_source = open_source
        self._group = group
        self._running: dict[str, tuple[Discovery, asyncio.Task[None]]] = {}

    def follow(self, catalog: Catalog) -> None:
        """Begin with backends that are new or elsewhere now, and end with those that are gone."""
        wanted = {backend.id: backend for own in catalog.providers.values() for backend in own}
        for backend in wanted.values():
            running = self._running.get(backend.id)
            if running is not None and running[0].configured == backend.addresses:
                continue
            discovery = running[0] if running else Discovery(backend.id, self._links, self._open_source)
            task = self._group.create_task(self._begin(discovery, backend.addresses, running and running[1]))
            self._running[backend.id] = (discovery, task)
        for gone in self._running.keys() - wanted.keys():
            discovery, task = self._running.pop(gone)
            self._group.create_task(self._end(discovery, task))

    def look_again(self) -> None:
        """A replica was lost: names may mean other addresses now."""
        for discovery, _ in self._running.values():
            discovery.look_again()

    def cancel(self) -> None:
        """End all of them; links stay for who closes them."""
        for _, task in self._running.values():
            task.cancel()

    async def _begin(self, discovery: Discovery, addresses: Sequence[str], before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await _stopped(before)
        discovery.use(addresses)
        await discovery.run()

    async def _end(self, discovery: Discovery, task: asyncio.Task[None]) -> None:
        await _stopped(task)
        await discovery.end()


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
