"""Owns the edge of antiphon.router.v1.RouterAdminService: requests and orders in, pages and explanations out."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from antiphon.llm.v1 import error_pb2
from antiphon.router.v1 import router_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.call import Call, Context, Edge
from antiphon_router.shell import backends, targets
from antiphon_router.shell.explain import explained
from antiphon_router.shell.fleet_status import FleetStatus
from antiphon_router.shell.roster import Roster
from antiphon_router.shell.routes import Routes
from antiphon_router.shell.targets import moment

log = logging.getLogger(__name__)

SERVICE: Final = router_pb2.DESCRIPTOR.services_by_name["RouterAdminService"].full_name
DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 1000
MAX_SHOWN: Final = 128

Answer = Callable[[Call, bytes], Awaitable[bytes]]


class AdminServicer:
    """RouterAdminService over the routes in use and the roster."""

    def __init__(self, routes: Routes, roster: Roster, edge: Edge, fleet: FleetStatus) -> None:
        self._routes = routes
        self._roster = roster
        self._edge = edge
        self._fleet = fleet

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        answers = {"ListBackends": self._list, "ExplainRoute": self._explain, "EnableTarget": self._enable}
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {name: grpc.unary_unary_rpc_method_handler(self._method(name, answer)) for name, answer in answers.items()},
        )

    def _method(self, name: str, answer: Answer) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def method(data: bytes, context: Context) -> bytes:
            return await self._edge.answer(f"/{SERVICE}/{name}", data, context, answer)

        return method

    async def _list(self, call: Call, data: bytes) -> bytes:
        try:
            request = router_pb2.ListBackendsRequest.FromString(data)
        except DecodeError:
            raise _invalid("", "the request is not a valid ListBackendsRequest") from None
        if request.page_size < 0:
            raise _invalid("page_size", "page_size: negative; use 0 for the default")
        catalog = self._routes.catalog
        ordered = backends.ordered(catalog)
        known = {"", *(backend.id for backend in ordered)}
        if request.page_token not in known:
            raise _invalid("page_token", "page_token: unknown; use next_page_token of the page before")
        size = min(request.page_size or DEFAULT_PAGE, LARGEST_PAGE)
        rest = [backend for backend in ordered if backend.id > request.page_token]
        shown = [backends.shown(backend, catalog, self._roster) for backend in rest[:size]]
        response = router_pb2.ListBackendsResponse(backends=shown, routes=self._in_use())
        self._fleet.show(response)
        if len(rest) > size:
            response.next_page_token = rest[size - 1].id
        return response.SerializeToString()

    def _in_use(self) -> router_pb2.RoutesInUse:
        loaded, refused = self._routes.loaded, self._routes.refused
        in_use = router_pb2.RoutesInUse(version=loaded.version, load_time=moment(loaded.at))
        if refused is not None:
            in_use.problems.extend(refused.problems)
            in_use.problem_time.CopyFrom(moment(refused.at))
        return in_use

    async def _explain(self, call: Call, data: bytes) -> bytes:
        try:
            request = router_pb2.ExplainRouteRequest.FromString(data)
        except DecodeError:
            raise _invalid("", "the request is not a valid ExplainRouteRequest") from None
        return explained(request, self._routes.catalog, self._roster).SerializeToString()

    async def _enable(self, call: Call, data: bytes) -> bytes:
        try:
            request = router_pb2.EnableTargetRequest.FromString(data)
        except DecodeError:
            raise _invalid("", "the request is not a valid EnableTargetRequest") from None
        if not request.id:
            raise _invalid("id", "id: empty; name a target or a backend, as ListBackends shows them")
        keys = backends.targets_of(request.id, self._routes.catalog, self._roster)
        if not keys:
            message = f"there is no target and no backend {request.id[:MAX_SHOWN]!r}"
            # No reason of the contract is about targets; the code says it.
            raise CallFailure(error_pb2.CallError(code=grpc.StatusCode.NOT_FOUND.value[0], message=message))
        log.info("enabled", extra={"target": request.id, "targets": len(keys)})
        for key in keys:
            self._roster.enable(key)
        shown = [targets.shown(key, self._roster) for key in keys]
        return router_pb2.EnableTargetResponse(targets=shown).SerializeToString()


def _invalid(param: str, message: str) -> CallFailure:
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, message, param=param)
