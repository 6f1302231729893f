"""Owns what the launcher knows about a running service's health: the standard health service, and its last words."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antiphon_contract.rotating_channel import RotatingChannel
from antiphon_contract.tls import LivePems, TlsFiles
from antiphon_embedded.process import tail

_RETRY_S: Final = 0.2
# Nothing but this machine is asked, so a proxy of the environment must not get between.
_OPTIONS: Final = (("grpc.enable_http_proxy", 0),)


async def watch(address: str, tls: TlsFiles | None = None) -> AsyncGenerator[bool, None]:
    """Whether the service takes calls, now and at each change. Goes on until closed; silent while unreachable.

    `tls`: the service's own certificate is good for its launcher too.
    """
    request = health_pb2.HealthCheckRequest()
    channel = (
        grpc.aio.insecure_channel(address, options=_OPTIONS)
        if tls is None
        else RotatingChannel(address, LivePems(tls), _OPTIONS)
    )
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        while True:
            try:
                async for response in stub.Watch(request, wait_for_ready=True):
                    yield response.status == health_pb2.HealthCheckResponse.SERVING
            except grpc.aio.AioRpcError:
                await asyncio.sleep(_RETRY_S)
    finally:
        await channel.close()


def last_words(log: Path) -> str:
    """Why a service does not serve, as its own log says last; empty when it says nothing."""
    for line in reversed(tail(log, 40)):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("serving") is False:
            return str(record.get("detail") or record.get("reason") or "")
    return ""
