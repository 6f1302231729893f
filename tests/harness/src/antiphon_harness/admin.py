"""Owns the view of a router from its administration port: every target, its state and why."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from antiphon.router.v1 import health_pb2, router_pb2, router_pb2_grpc
from antiphon_harness.processes import HarnessError

_EVERY_S: Final = 0.05
_ANSWER_S: Final = 5.0
_TAKES_CALLS: Final = frozenset({"HEALTHY", "DEGRADED", "SLOW_START", "PANIC"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One target as the router tells it."""

    backend: str
    scope: str
    id: str
    state: str
    share: float
    in_flight: int


class Admin:
    """Asks a router; every question opens its own connection, so a router may come and go."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def targets(self) -> list[Seen]:
        """All targets of all backends. Raises AioRpcError while the router cannot be reached."""
        async with grpc.aio.insecure_channel(self.address, options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
            stub = router_pb2_grpc.RouterAdminServiceStub(channel)
            answer = await stub.ListBackends(router_pb2.ListBackendsRequest(), timeout=_ANSWER_S, wait_for_ready=True)
        return [_seen(backend, target) for backend in answer.backends for target in backend.targets]

    async def until(self, what: str, is_so: Callable[[Sequence[Seen]], bool], limit_s: float = 30.0) -> float:
        """Wait until it is so; returns how long that took in seconds. Raises HarnessError after `limit_s`."""
        started = time.monotonic()
        targets: list[Seen] = []
        while time.monotonic() - started < limit_s:
            try:
                targets = await self.targets()
            except grpc.aio.AioRpcError:
                targets = []
            if targets and is_so(targets):
                return time.monotonic() - started
            await asyncio.sleep(_EVERY_S)
        states = ", ".join(f"{one.scope} {one.id} {one.state}" for one in targets if one.state != "HEALTHY")
        raise HarnessError(f"{what}: not within {limit_s:g} s; not healthy: {states or 'none'}")

    async def until_all_well(self, replicas: int, limit_s: float = 30.0) -> float:
        """Wait until every one of so many replicas is HEALTHY and nothing else is out."""

        def well(targets: Sequence[Seen]) -> bool:
            found = [one for one in targets if one.scope == "REPLICA"]
            return len(found) == replicas and all(one.state == "HEALTHY" for one in targets)

        return await self.until(f"{replicas} replicas well", well, limit_s)

    async def until_all_take_calls(self, replicas: int, limit_s: float = 30.0) -> float:
        """Wait until so many replicas take calls, be it only a few."""

        def take(targets: Sequence[Seen]) -> bool:
            return sum(one.scope == "REPLICA" and one.state in _TAKES_CALLS for one in targets) == replicas

        return await self.until(f"{replicas} replicas take calls", take, limit_s)


def _seen(backend: router_pb2.Backend, target: health_pb2.Target) -> Seen:
    return Seen(
        backend.id,
        health_pb2.Scope.Name(target.scope).removeprefix("SCOPE_"),
        target.id,
        health_pb2.HealthState.Name(target.state).removeprefix("HEALTH_STATE_"),
        target.share if target.HasField("share") else 1.0,
        target.in_flight,
    )
