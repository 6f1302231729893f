"""Owns which replicas a backend has: written down, or behind a DNS name that is asked again and again.

gRPC's own resolver asks again only when a connection breaks, so it never learns of a replica that was added.
"""

import asyncio
import logging
import socket
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from antiphon_router.core.values import Backend, Replica
from antiphon_router.shell.channels import Links

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
DNS: Final = "dns:///"


class Source(Protocol):
    """Where addresses of replicas come from."""

    async def addresses(self) -> Sequence[str]:
        """All of them now, as host:port. Raises OSError while they cannot be had."""
        ...


class Written:
    """One address, as configured."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def addresses(self) -> Sequence[str]:
        """Always the same."""
        return (self._address,)


class Dns:
    """Every address of a name ("host:port")."""

    def __init__(self, name: str) -> None:
        self._host, _, self._port = name.rpartition(":")

    async def addresses(self) -> Sequence[str]:
        """What the resolver of this host says now."""
        found = await asyncio.get_running_loop().getaddrinfo(
            self._host.strip("[]"), self._port, type=socket.SOCK_STREAM
        )
        hosts = {(family, str(where[0])) for family, *_, where in found}
        return sorted(f"[{h}]:{self._port}" if f is socket.AF_INET6 else f"{h}:{self._port}" for f, h in hosts)


def sources(addresses: Iterable[str]) -> list[Source]:
    """The sources that a backend's `addresses` stand for."""
    return [Dns(a.removeprefix(DNS)) if a.startswith(DNS) else Written(a) for a in addresses]


class Discovery:
    """Follows the sources of one backend: opens links to what appears, lets go of what disappears."""

    def __init__(self, backend: Backend, links: Links, *, every_s: float = EVERY_S) -> None:
        self._backend = backend
        self._links = links
        self._every_s = every_s
        self._sources = sources(backend.addresses)
        self._known: dict[Source, Sequence[str]] = {}
        self._replicas: dict[str, Replica] = {}

    async def run(self) -> None:
        """Follow for ever; ends by cancellation only."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._every_s)

    async def refresh(self) -> None:
        """Ask all sources once. What a source said last counts while it cannot be asked."""
        for source in self._sources:
            try:
                self._known[source] = await source.addresses()
            except OSError:
                log.warning("addresses_unknown", extra={"backend": self._backend.id})
        found = {address for known in self._known.values() for address in known}
        for address in sorted(found - self._replicas.keys()):
            self._replicas[address] = replica = Replica(self._backend.id, address)
            self._links.open(replica)
            log.info("replica_added", extra={"backend": self._backend.id, "address": address})
        for address in sorted(self._replicas.keys() - found):
            await self._links.leave(self._replicas.pop(address))
            log.info("replica_removed", extra={"backend": self._backend.id, "address": address})
        await self._links.sweep()
