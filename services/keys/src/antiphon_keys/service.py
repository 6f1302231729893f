"""Owns the coordinator as a server: its port, its health, its tasks. Health follows the store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from antiphon_keys.admin import SERVICE, KeyAdminServicer
from antiphon_keys.coordinator import Coordinator
from antiphon_keys.places import Places
from antiphon_keys.settings import KeysSettings
from antiphon_keys.store import Store
from antiphon_keys.watch import Watch
from antiphon_kit import channel_options
from antiphon_kit.admission import Admission
from antiphon_kit.call import Edge
from antiphon_kit.service import Service
from antiphon_kit.telemetry import OFF, Telemetry
from antiphon_kit.tls import PLAINTEXT, Transport
from antiphon_kit.vault_client import VaultClient

NAME = "antiphon-keys"
MAX_REQUEST_BYTES = 64 * 1024


@contextlib.asynccontextmanager
async def serving(
    settings: KeysSettings, places: Places, *, telemetry: Telemetry = OFF, transport: Transport = PLAINTEXT
) -> AsyncIterator[Service]:
    """Coordinate for the body of the `with`. Raises SettingError if the address cannot be had."""
    admission = Admission(settings.service.max_concurrency, 1 << 24)
    store = Store(VaultClient(settings.vault))
    poll_s = settings.vault.poll_s
    coordinator = Coordinator(store, settings.pace, poll_s=poll_s, delete=settings.delete_retired)
    coordinator.tally.observe(telemetry)
    watch = Watch(places, coordinator.news, transport.live)
    servicer = KeyAdminServicer(coordinator, watch, settings.pace, Edge(NAME, admission, telemetry))
    service = Service(
        settings.service.listen,
        channel_options.public_server(MAX_REQUEST_BYTES),
        (servicer.handler(),),
        (SERVICE,),
        lameduck_s=settings.service.drain_lameduck_s,
        grace_s=settings.service.drain_grace_s,
        on_closing=admission.close,
        transport=transport,
    )
    try:
        # A task that ends by a fault of its own ends the program, which then is started again.
        async with service, asyncio.TaskGroup() as group:
            work = (watch.run(), coordinator.run(watch), _health(coordinator, service))
            tasks = [group.create_task(each) for each in work]
            try:
                yield service
            finally:
                for task in tasks:
                    task.cancel()
    finally:
        store.close()


async def _health(coordinator: Coordinator, service: Service) -> None:
    await coordinator.looked.wait()
    await service.health.set_all(True)
