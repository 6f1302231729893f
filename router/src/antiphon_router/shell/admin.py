"""Owns antiphon.router.v1.RouterAdminService: every target, its state, and the reason for it."""

import time
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.recorder import set_duration
from antiphon_router.core.balance import FORGOTTEN_AFTER_S
from antiphon_router.core.decide import in_flight
from antiphon_router.core.resolve import Catalog
from antiphon_router.core.values import Backend, Candidate, Scope, State, TargetKey
from antiphon_router.shell.roster import Roster

SERVICE: Final = router_pb2.DESCRIPTOR.services_by_name["RouterAdminService"].full_name
DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 1000

_WHOLE: Final = frozenset({Scope.ENDPOINT, Scope.KEY, Scope.ACCOUNT})
_WORST: Final = (
    State.DISABLED, State.RATE_LIMITED, State.OPEN, State.HALF_OPEN, State.DRAINING, State.UNSPECIFIED,
    State.PANIC, State.DEGRADED, State.SLOW_START, State.HEALTHY,
)  # fmt: skip


class AdminServicer:
    """RouterAdminService over the catalog and the roster."""

    def __init__(self, catalog: Catalog, roster: Roster, edge: Edge) -> None:
        self._backends = sorted((b for own in catalog.providers.values() for b in own), key=lambda b: b.id)
        self._catalog = catalog
        self._roster = roster
        self._edge = edge

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE, {"ListBackends": grpc.unary_unary_rpc_method_handler(self._list_backends)}
        )

    async def _list_backends(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/ListBackends", data, context, self._list)

    async def _list(self, call: Call, data: bytes) -> bytes:
        try:
            request = router_pb2.ListBackendsRequest.FromString(data)
        except DecodeError:
            raise _invalid("", "the request is not a valid ListBackendsRequest") from None
        if request.page_size < 0:
            raise _invalid("page_size", "page_size: negative; use 0 for the default")
        known = {"", *(backend.id for backend in self._backends)}
        if request.page_token not in known:
            raise _invalid("page_token", "page_token: unknown; use next_page_token of the page before")
        size = min(request.page_size or DEFAULT_PAGE, LARGEST_PAGE)
        rest = [backend for backend in self._backends if backend.id > request.page_token]
        response = router_pb2.ListBackendsResponse(backends=[self._backend(backend) for backend in rest[:size]])
        if len(rest) > size:
            response.next_page_token = rest[size - 1].id
        return response.SerializeToString()

    def _backend(self, backend: Backend) -> router_pb2.Backend:
        shown = router_pb2.Backend(
            id=backend.id,
            address=", ".join(backend.addresses),
            provider=backend.provider,
            state_domain=backend.account,
            max_in_flight=backend.max_in_flight,
        )
        candidates = self._candidates(backend)
        for name, candidate in candidates:
            pool = candidate.key(Scope.POOL).id
            shown.models.add(model=name, native_id=candidate.model, pool=pool)
        keys = {key for _, candidate in candidates for key in candidate.keys}
        keys |= set(Candidate(backend, "").keys) - {Candidate(backend, "").key(Scope.POOL)}
        keys |= {key for key in self._roster.fleet.shared if _is_of(key, backend)}
        replicas = [replica.key for replica in self._roster.fleet.replicas.get(backend.id, ())]
        order = list(Scope)
        others = sorted(
            (key for key in keys if key.scope is not Scope.KEY_MODEL or key in self._roster.fleet.shared),
            key=lambda key: (order.index(key.scope), key.id),
        )
        shown.targets.extend(self._target(key) for key in (*sorted(replicas), *others))
        shown.summary.CopyFrom(self._summary(backend, replicas, others))
        return shown

    def _candidates(self, backend: Backend) -> list[tuple[str, Candidate]]:
        """The models that the configuration names for `backend`, under their names."""
        named = [(name, c) for name, targets in self._catalog.routes.items() for c in targets if c.backend == backend]
        if backend.default_model:
            default = Candidate(backend, backend.default_model)
            named.append((f"{backend.provider}/{backend.default_model}", default))
        return named

    def _target(self, key: TargetKey) -> health_pb2.Target:
        roster = self._roster
        health = roster.health_of(key)
        now, wall = roster.clock(), time.time()
        target = health_pb2.Target(
            scope=f"SCOPE_{key.scope}",
            id=key.id,
            state=f"HEALTH_STATE_{health.state}",
            reason=f"HEALTH_REASON_{health.cause}",
            rule=health.rule,
        )
        if health.since:
            target.since_time.CopyFrom(_moment(wall + health.since - now))
        if health.next_try is not None:
            target.next_try_time.CopyFrom(_moment(wall + health.next_try - now))
        if (share := health.share(now)) < 1.0:
            target.share = share
        if (last := roster.last_errors.get(key)) is not None:
            target.last_error.CopyFrom(last.error)
            target.last_error.native_body = b""
            target.last_error_time.CopyFrom(_moment(wall + last.at - now))
        if (load := roster.fleet.loads.get(key)) is not None:
            target.in_flight = load.in_flight
            if load.first_content_s is not None and now - load.updated <= FORGOTTEN_AFTER_S:
                set_duration(target.time_to_first_content, load.first_content_s)
        return target

    def _summary(self, backend: Backend, replicas: list[TargetKey], others: list[TargetKey]) -> health_pb2.Target:
        """The best replica, unless the endpoint, the key or the account keeps everything out."""
        deciding = [key for key in others if key.scope in _WHOLE]
        if replicas:
            deciding.append(max(replicas, key=self._rank))
        decides = min(deciding, key=self._rank)
        summary = self._target(decides) if replicas else health_pb2.Target()
        summary.id = backend.id
        summary.ClearField("scope")
        summary.in_flight = in_flight(backend, self._roster.fleet)
        return summary

    def _rank(self, key: TargetKey) -> int:
        return _WORST.index(self._roster.health_of(key).state)


def _is_of(key: TargetKey, backend: Backend) -> bool:
    """Whether a target of a model that only a caller named is `backend`'s."""
    if key.scope is Scope.POOL:
        return key.id.startswith(f"{backend.provider}/") and key.id.endswith(backend.pool_mark)
    return key.scope is Scope.KEY_MODEL and key.id.startswith(f"{backend.id}/")


def _moment(wall_s: float) -> Timestamp:
    return Timestamp(seconds=int(wall_s), nanos=int(wall_s % 1 * 1e9))


def _invalid(param: str, message: str) -> CallFailure:
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, message, param=param)
