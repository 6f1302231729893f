"""Owns the edge of antiphon.router.v1.KeyAdminService: orders and questions in, versions and refusals out."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from antiphon.llm.v1 import error_pb2
from antiphon.router.v1 import keys_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_keys import listing, observed, orders
from antiphon_keys.coordinator import Coordinator, Order
from antiphon_keys.orders import Refused, Why
from antiphon_keys.rotation import Pace
from antiphon_keys.store import STORE, Stored
from antiphon_keys.watch import Watch
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.vault_client import VaultTrouble

SERVICE: Final = keys_pb2.DESCRIPTOR.services_by_name["KeyAdminService"].full_name
_CODES: Final = {Why.MISSING: grpc.StatusCode.NOT_FOUND, Why.STATE: grpc.StatusCode.FAILED_PRECONDITION}


class KeyAdminServicer:
    """KeyAdminService over the coordinator."""

    def __init__(self, coordinator: Coordinator, watch: Watch, pace: Pace, edge: Edge) -> None:
        self._coordinator = coordinator
        self._watch = watch
        self._pace = pace
        self._edge = edge

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        answers: dict[str, tuple[Any, Callable[[Any], Awaitable[Any]]]] = {
            "ListKeyVersions": (keys_pb2.ListKeyVersionsRequest, self._list),
            "RotateKey": (keys_pb2.RotateKeyRequest, self._rotate),
            "PromoteKey": (keys_pb2.PromoteKeyRequest, self._promote),
            "RevokeKey": (keys_pb2.RevokeKeyRequest, self._revoke),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(self._method(name, kind, answer))
                for name, (kind, answer) in answers.items()
            },
        )

    def _method(
        self, name: str, kind: Any, answer: Callable[[Any], Awaitable[Any]]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def work(call: Call, data: bytes) -> bytes:
            try:
                request = kind.FromString(data)
            except DecodeError:
                raise failure(
                    Reason.ERROR_REASON_INVALID_REQUEST, f"the request is not a valid {kind.__name__}"
                ) from None
            response: bytes = (await answer(request)).SerializeToString()
            return response

        async def method(data: bytes, context: Context) -> bytes:
            return await self._edge.answer(f"/{SERVICE}/{name}", data, context, work)

        return method

    async def _list(self, request: keys_pb2.ListKeyVersionsRequest) -> keys_pb2.ListKeyVersionsResponse:
        reports = self._watch.reports
        slots = {**self._coordinator.slots}
        slots |= {name: Stored(name) for name in listing.only_held(slots, reports)}
        if request.slot and request.slot not in slots:
            raise _refusal(Refused(Why.MISSING, f"there is no slot {request.slot}; there is {_listed(slots)}"))
        names = [request.slot] if request.slot else sorted(slots)
        own = listing.problems(self._coordinator.problems.all())
        found = observed.problems(reports, own)
        return keys_pb2.ListKeyVersionsResponse(
            versions=[version for name in names for version in listing.versions(slots[name], reports)],
            problems=[each for each in found if not request.slot or each.slot in (request.slot, STORE)],
        )

    async def _rotate(self, request: keys_pb2.RotateKeyRequest) -> keys_pb2.RotateKeyResponse:
        order: Order = lambda document, seen, now_s: orders.rotate(  # noqa: E731
            document, request.version, seen, now_s, self._pace
        )
        return keys_pb2.RotateKeyResponse(version=await self._ordered(request.slot, order))

    async def _promote(self, request: keys_pb2.PromoteKeyRequest) -> keys_pb2.PromoteKeyResponse:
        order: Order = lambda document, seen, now_s: orders.promote(document, request.version, seen, now_s)  # noqa: E731
        return keys_pb2.PromoteKeyResponse(version=await self._ordered(request.slot, order))

    async def _revoke(self, request: keys_pb2.RevokeKeyRequest) -> keys_pb2.RevokeKeyResponse:
        if request.version < 1:
            message = "version: not named; say which one is to be revoked"
            raise failure(Reason.ERROR_REASON_INVALID_REQUEST, message, param="version")
        revoke = partial(orders.revoke, force=request.force)
        order: Order = lambda document, seen, now_s: (  # noqa: E731
            revoke(document, request.version, seen, now_s),
            request.version,
        )
        return keys_pb2.RevokeKeyResponse(version=await self._ordered(request.slot, order))

    async def _ordered(self, slot: str, order: Order) -> keys_pb2.KeyVersion:
        try:
            number = await self._coordinator.order(slot, order, self._watch)
        except Refused as refused:
            raise _refusal(refused) from None
        except VaultTrouble as trouble:
            raise failure(Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, str(trouble)) from None
        self._coordinator.news()
        shown = listing.versions(self._coordinator.slots[slot], self._watch.reports)
        return next(version for version in shown if version.version == number)


def _refusal(refused: Refused) -> CallFailure:
    # No reason of the contract is about keys of the store; the code says it.
    return CallFailure(error_pb2.CallError(code=_CODES[refused.why].value[0], message=str(refused)))


def _listed(slots: dict[str, Stored]) -> str:
    return ", ".join(sorted(slots)) or "none"
