"""Owns the assembly of a running router: both ports, links, discovery, public health. Whole for the body of a `with`.

catalog ─> Discovery ─> Links ─ health streams ─> Roster <─ Forwarder <─ ChatProxy ─ port for clients
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
from antiphon_router.core.resolve import Catalog
from antiphon_router.settings import RouterSettings
from antiphon_router.shell import admin, proxy
from antiphon_router.shell.channels import Links
from antiphon_router.shell.discovery import Discovery
from antiphon_router.shell.forward import Forwarder
from antiphon_router.shell.models import Models
from antiphon_router.shell.roster import Roster

BYTES_IN_FLIGHT_PER_REQUEST: Final = 4
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


@contextlib.asynccontextmanager
async def serving(settings: RouterSettings, catalog: Catalog, *, telemetry: Telemetry = OFF) -> AsyncIterator[Router]:
    """Serve `catalog` for the body of the `with`. Raises SettingError if an address cannot be had."""
    own = settings.service
    changed = asyncio.Event()
    roster = Roster(changed=changed.set)
    admission = Admission(own.max_concurrency, BYTES_IN_FLIGHT_PER_REQUEST * own.max_request_bytes)
    async with Links(roster) as links:
        forwarder = Forwarder(links)
        chat = proxy.ChatProxy(
            catalog,
            roster,
            forwarder,
            admission,
            total_timeout_s=own.total_timeout_s,
            max_request_bytes=own.max_request_bytes,
            telemetry=telemetry,
        )
        # ModelsServicer asks for a name and a list of models, nothing else of a provider.
        source = cast("ChatProvider", Models(catalog, roster, links))
        models = ModelsServicer(source, Edge("", admission, telemetry), limit_s=LIST_LIMIT_S)
        public = Service(
            own.listen,
            channel_options.public_server(own.max_request_bytes, int(own.total_timeout_s)),
            (chat, models.handler()),
            (*proxy.SERVICES, models_servicer.SERVICE),
            lameduck_s=own.drain_lameduck_s,
            grace_s=own.drain_grace_s,
            on_closing=admission.close,
            on_cutoff=forwarder.cut,
        )
        edge = Edge("", Admission(ADMIN_CALLS, ADMIN_CALLS * ADMIN_REQUEST_BYTES), telemetry)
        operators = Service(
            settings.admin_listen,
            channel_options.public_server(ADMIN_REQUEST_BYTES),
            (admin.AdminServicer(catalog, roster, edge).handler(),),
            (admin.SERVICE,),
            setting="ANTIPHON_ADMIN_LISTEN",
        )
        async with operators, public, _background(catalog, links, roster, public, changed):
            await operators.health.set_all(True)
            yield Router(public, operators, roster)


@contextlib.asynccontextmanager
async def _background(
    catalog: Catalog, links: Links, roster: Roster, public: Service, changed: asyncio.Event
) -> AsyncIterator[None]:
    discoveries = [Discovery(backend, links) for own in catalog.providers.values() for backend in own]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(discovery.run()) for discovery in discoveries]
        tasks.append(group.create_task(_report(roster, public, changed)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _report(roster: Roster, public: Service, changed: asyncio.Event) -> None:
    """Keep the public health what it is: SERVING while any backend has a replica that takes calls."""
    while True:
        changed.clear()
        await public.health.set_all(roster.any_takes_calls())
        await changed.wait()
