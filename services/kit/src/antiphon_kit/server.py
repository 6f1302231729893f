"""Owns the main program of a provider service: event loop, settings, start-up errors, serving, drain.

run_provider ─> make(settings) ─> serve: Service + services.handlers + Probe ─> until_signalled
"""

import asyncio
import contextlib
import inspect
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from antiphon_contract.errors import CallFailure
from antiphon_kit import channel_options, key_metrics, logs, services
from antiphon_kit.admission import Admission
from antiphon_kit.call import Edge
from antiphon_kit.health import Probe, probing
from antiphon_kit.key_use import KeyUseServicer
from antiphon_kit.process_hygiene import forbid_dumps
from antiphon_kit.provider import ChatProvider, KeyHolder
from antiphon_kit.service import Service, until_signalled
from antiphon_kit.settings import Env, ServiceSettings, SettingError, integer
from antiphon_kit.telemetry import OFF, Telemetry, open_telemetry
from antiphon_kit.tls import PLAINTEXT, Transport
from antiphon_kit.tls_settings import TlsSettings
from antiphon_kit.transport import connected
from antiphon_kit.upstream import Upstream

log = logging.getLogger(__name__)

T = TypeVar("T")
Make = Callable[[ServiceSettings], Awaitable[ChatProvider] | ChatProvider]

EXIT_CONFIG: Final = 78
"""EX_CONFIG: starting again will not help before somebody mends the configuration."""

BYTES_IN_FLIGHT_PER_REQUEST: Final = 4
CLOSING_S: Final = 5.0


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's one event loop: uvloop where there is one, made before any gRPC object."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def run_provider(make: Make, env: Env) -> int:
    """Be a provider service until SIGTERM or SIGINT; returns the exit code, 0 or EXIT_CONFIG.

    `make` builds the provider; a SettingError or CallFailure from it, or from reading the settings, becomes one line
    on stderr.
    """
    forbid_dumps()
    try:
        settings = ServiceSettings.from_env(env)
        tls = TlsSettings.from_env(env)
        logs.configure(settings.log_level, settings.log_format, sys.stderr)
        run(_main(make, settings, tls, env))
    except SettingError as error:
        return _refuse(str(error))
    except CallFailure as failed:
        return _refuse(str(failed))
    return 0


def _refuse(message: str) -> int:
    sys.stderr.write(" ".join(message.split()) + "\n")
    return EXIT_CONFIG


async def _main(make: Make, settings: ServiceSettings, tls: TlsSettings, env: Env) -> None:
    async with connected(tls) as transport:
        await _serve(make, settings, transport, env)


async def _serve(make: Make, settings: ServiceSettings, transport: Transport, env: Env) -> None:
    made = make(settings)
    provider = await made if inspect.isawaitable(made) else made
    try:
        telemetry = open_telemetry(settings, f"antiphon-{provider.name}")
    except SettingError:
        await provider.aclose()
        raise
    try:
        async with serve(provider, settings, telemetry=telemetry, transport=transport) as service:
            await until_signalled(service, lambda: announce(service.address, env))
    finally:
        await telemetry.aclose()


def announce(address: str, env: Env) -> None:
    """Say where the program serves: one log line, and `host:port` to the file descriptor ANTIPHON_READY_FD."""
    log.info("serving", extra={"address": address})
    if (descriptor := integer(env, "ANTIPHON_READY_FD", -1, 0, 1 << 20)) >= 0:
        with os.fdopen(descriptor, "w") as ready:
            ready.write(f"{address}\n")


@contextlib.asynccontextmanager
async def serving(provider: ChatProvider, settings: ServiceSettings) -> AsyncIterator[int]:
    """Serve `provider` in this process for the body of the `with`; yields the port. For tests and for embedding."""
    async with serve(provider, settings) as service:
        yield service.port


@contextlib.asynccontextmanager
async def serve(
    provider: ChatProvider,
    settings: ServiceSettings,
    *,
    telemetry: Telemetry = OFF,
    probe_every_s: float = 10.0,
    transport: Transport = PLAINTEXT,
) -> AsyncIterator[Service]:
    """Serve `provider` for the body of the `with`, then close it. Raises SettingError if the address cannot be had."""
    admission = Admission(settings.max_concurrency, BYTES_IN_FLIGHT_PER_REQUEST * settings.max_request_bytes)
    edge = Edge(provider.name, admission, telemetry)
    upstream = Upstream(provider.name, settings)
    ring = provider.keys if isinstance(provider, KeyHolder) else None
    key_use = KeyUseServicer(ring, edge.instance)
    if ring is not None:
        key_metrics.observe(ring, telemetry)

    def close() -> None:
        admission.close()
        key_use.stop()

    service = Service(
        settings.listen,
        channel_options.provider_server(settings.max_request_bytes, int(settings.total_timeout_s)),
        (*services.handlers(provider, upstream, edge), key_use.handler()),
        services.NAMES,
        lameduck_s=settings.drain_lameduck_s,
        grace_s=settings.drain_grace_s,
        on_closing=close,
        on_cutoff=upstream.cut,
        transport=transport,
    )
    try:
        live = ring.running() if ring is not None else contextlib.nullcontext()
        async with live, service, probing(Probe(provider.ready, service.health, every_s=probe_every_s)):
            yield service
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await edge.idle()
    finally:
        await provider.aclose()
