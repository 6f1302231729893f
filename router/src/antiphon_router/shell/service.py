"""Owns the assembly of a running router: both ports, links, discovery, public health. Whole for the body of a `with`.

RoutesFile ─> Routes ─> Discoveries ─> Links ─ health streams ─> Roster <─ Forwarder <─ ChatProxy ─ port for clients
                                                                   └─────> AdminServicer ───────── port for operators
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, cast

from antiphon_kit import channel_options, models_servicer
from antiphon_kit.admission import Admission
from antiphon_kit.call import Edge
from antiphon_kit.models_servicer import ModelsServicer
from antiphon_kit.provider import ChatProvider
from antiphon_kit.service import Service
from antiphon_kit.telemetry import OFF, Telemetry
from antiphon_kit.transport import connected
from antiphon_router.settings import RouterSettings
from antiphon_router.shell import admin, proxy
from antiphon_router.shell.channels import Links
from antiphon_router.shell.discovery import Discoveries, OpenSource, Source, opener
from antiphon_router.shell.fleet_status import FleetStatus
from antiphon_router.shell.forward import Forwarder
from antiphon_router.shell.gate import Gate, watch
from antiphon_router.shell.hold import Hold
from antiphon_router.shell.membership import Membership, OpenSecret
from antiphon_router.shell.models import Models
from antiphon_router.shell.reception import Reception
from antiphon_router.shell.roster import Roster
from antiphon_router.shell.routes import Routes
from antiphon_router.shell.routes_file import RoutesFile
from antiphon_router.shell.shadow import Shadows

LIST_LIMIT_S: Final = 10.0
ADMIN_CALLS: Final = 32
ADMIN_REQUEST_BYTES: Final = 1 << 20
NAME: Final = "antiphon-router"


@dataclass(frozen=True, slots=True)
class Router:
    """A serving router. `public` is to be drained."""

    public: Service
    admin: Service
    roster: Roster
    routes: Routes


@contextlib.asynccontextmanager
async def serving(
    settings: RouterSettings,
    routes: Routes,
    *,
    file: RoutesFile | None = None,
    secret: OpenSecret = lambda reference: None,
    telemetry: Telemetry = OFF,
) -> AsyncIterator[Router]:
    """Serve `routes` for the body of the `with`, and keep them what `file` says.

    `secret` opens what a reference in the routes file stands for. Raises SettingError if an address or a
    certificate cannot be had.
    """
    own = settings.service
    changed = asyncio.Event()
    roster = Roster(changed=changed.set)
    gate = Gate(own.max_concurrency, own.max_request_bytes)
    async with (
        connected(settings.tls) as transport,
        Links(roster, transport.live) as links,
        Shadows(roster, links) as shadows,
    ):
        reception = Reception(
            gate,
            max_calls=own.max_concurrency,
            request_bytes=own.max_request_bytes,
            certified=transport.live is not None,
        )
        routes.follow(lambda loaded: reception.follow(loaded.suite.limits))
        forwarder = Forwarder(links, shadows, Hold(settings.hold_bytes, own.keepalive_s))
        chat = proxy.ChatProxy(
            routes,
            roster,
            forwarder,
            reception,
            total_timeout_s=own.total_timeout_s,
            max_request_bytes=own.max_request_bytes,
            telemetry=telemetry,
        )
        # ModelsServicer asks for a name and a list of models, nothing else of a provider.
        source = cast("ChatProvider", Models(routes, roster, links))
        models = ModelsServicer(source, Edge("", gate, telemetry), limit_s=LIST_LIMIT_S)
        public = Service(
            own.listen,
            channel_options.public_server(own.max_request_bytes, int(own.total_timeout_s)),
            (chat, models.handler()),
            (*proxy.SERVICES, models_servicer.SERVICE),
            lameduck_s=own.drain_lameduck_s,
            grace_s=own.drain_grace_s,
            on_closing=gate.close,
            on_cutoff=forwarder.cut,
            transport=transport,
        )
        fleet = FleetStatus()
        edge = Edge("", Admission(ADMIN_CALLS, ADMIN_CALLS * ADMIN_REQUEST_BYTES), telemetry)
        operators = Service(
            settings.admin_listen,
            channel_options.public_server(ADMIN_REQUEST_BYTES),
            (admin.AdminServicer(routes, roster, edge, fleet).handler(),),
            (admin.SERVICE,),
            setting="ANTIPHON_ADMIN_LISTEN",
            transport=transport.only(settings.admin_peers),
        )
        work = _Work(routes, file, links, opener(_kubernetes(settings)), roster, changed, fleet, secret, gate)
        async with operators, public, work.running(public):
            await operators.health.set_all(True)
            yield Router(public, operators, roster, routes)


def _kubernetes(settings: RouterSettings) -> OpenSource | None:
    if not settings.kubernetes:
        return None

    def open_source(service: str) -> Source:
        # Here, so that who runs without Kubernetes does not carry an HTTP client.
        from antiphon_router.shell.kubernetes import Cluster, EndpointSlices

        return EndpointSlices(Cluster(settings.kubernetes, settings.kubernetes_account), service)

    return open_source


@dataclass(frozen=True, slots=True)
class _Work:
    """What goes on beside calls."""

    routes: Routes
    file: RoutesFile | None
    links: Links
    open_source: OpenSource
    roster: Roster
    changed: asyncio.Event
    fleet: FleetStatus
    secret: OpenSecret
    gate: Gate

    @contextlib.asynccontextmanager
    async def running(self, public: Service) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            discoveries = Discoveries(self.links, self.open_source, group)
            self.routes.follow(lambda loaded: discoveries.follow(loaded.catalog))
            membership = Membership(self.roster, self.fleet, self.secret, group)
            self.routes.follow(lambda loaded: membership.follow(loaded.suite))
            tasks = [
                group.create_task(self._report(public, discoveries)),
                group.create_task(watch(self.gate, self.roster.count_waits)),
            ]
            if self.file is not None:
                tasks.append(group.create_task(self.file.follow(self.routes)))
            try:
                yield
            finally:
                discoveries.cancel()
                membership.end()
                for task in tasks:
                    task.cancel()

    async def _report(self, public: Service, discoveries: Discoveries) -> None:
        """Keep the public health what it is: SERVING while any backend has a replica that takes calls."""
        while True:
            self.changed.clear()
            await public.health.set_all(self.roster.any_takes_calls())
            await self.changed.wait()
            discoveries.look_again()
