"""Owns the edge of what is forwarded: what a call is (model, ids, deadline), and that nothing but a status leaves.

Forbids itself: decoding requests. What to do with a call is forward.py's.
"""

import asyncio
import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import grpc

from antiphon.llm.v1 import chat_pb2, completion_pb2, embedding_pb2, native_pb2, rerank_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure, Reason, RpcStatus, end_trailer, failure, to_status
from antiphon_kit.telemetry import OFF, CallSpan, Telemetry
from antiphon_router.core.resolve import Refusal, Resolution, resolve
from antiphon_router.shell.ask import Incoming, Wishes, unusable, wishes_of
from antiphon_router.shell.call import DEADLINE_MARGIN_S, Answer, Call, Context
from antiphon_router.shell.failures import refused
from antiphon_router.shell.forward import NOTHING, Forwarder, is_cancelled
from antiphon_router.shell.reception import Reception
from antiphon_router.shell.roster import Roster
from antiphon_router.shell.routes import Routes
from antiphon_router.shell.wire import end_of, model_of

log = logging.getLogger(__name__)

_NATIVE: Final = native_pb2.DESCRIPTOR.services_by_name["NativeService"]
_FORWARDED: Final = (
    chat_pb2.DESCRIPTOR.services_by_name["ChatService"],
    embedding_pb2.DESCRIPTOR.services_by_name["EmbeddingService"],
    rerank_pb2.DESCRIPTOR.services_by_name["RerankService"],
    completion_pb2.DESCRIPTOR.services_by_name["CompletionService"],
    _NATIVE,
)
SERVICES: Final = tuple(service.full_name for service in _FORWARDED)
MAX_RESOLVED: Final = 1024
_REQUEST_ID: Final = re.compile(rf"[\x21-\x7e]{{1,{metadata.MAX_REQUEST_ID_CHARS}}}")

MethodHandler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
_OK: Final = RpcStatus(grpc.StatusCode.OK, "", ())
_CANCELLED: Final = RpcStatus(grpc.StatusCode.CANCELLED, "", ())

Work = Callable[[Call, bytes, Context], Awaitable[bytes]]


class ChatProxy(grpc.GenericRpcHandler):
    """Every service that a model answers, by forwarding to the replicas of the catalog's backends."""

    def __init__(
        self,
        routes: Routes,
        roster: Roster,
        forwarder: Forwarder,
        reception: Reception,
        *,
        total_timeout_s: float,
        max_request_bytes: int,
        telemetry: Telemetry = OFF,
    ) -> None:
        self._routes = routes
        self._roster = roster
        self._reception = reception
        self._total_timeout_s = total_timeout_s
        self._max_request_bytes = max_request_bytes
        self._telemetry = telemetry
        prefix = secrets.token_hex(5)
        self._ids = (f"{prefix}-{n:x}" for n in itertools.count(1))
        self._handlers: dict[str, MethodHandler] = {}
        for service in _FORWARDED:
            for method in service.methods:
                name = f"/{service.full_name}/{method.name}"
                if not method.server_streaming:
                    self._handlers[name] = grpc.unary_unary_rpc_method_handler(self._edge(name, forwarder.unary))
                else:
                    work = forwarder.tunnel if service is _NATIVE else forwarder.stream
                    self._handlers[name] = grpc.unary_stream_rpc_method_handler(self._edge(name, work))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "MethodHandler | None":
        """The handler of a forwarded method."""
        return self._handlers.get(handler_call_details.method)

    def _edge(self, method: str, work: Work) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def answer(request: bytes, context: Context) -> bytes:
            received = context.invocation_metadata() or ()
            span = self._telemetry.start_call(method, received)
            visit, call, status = None, None, _CANCELLED
            try:
                incoming = dict(received)
                wishes = wishes_of(incoming, len(request))
                visit = self._reception.take(incoming, context, len(request), wishes.ask.priority)
                left_s = self._left_s(context.time_remaining())
                call = self._open(method, request, incoming, wishes, left_s=left_s, span=span)
                result = await work(call, request, context)
                status = _OK
                return result  # noqa: TRY300 - `finally` ends the span
            except Answer as given:
                status = given.status
            except CallFailure as failed:
                status = to_status(failed.error, end_trailer(end_of(failed.error)))
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                # One that nobody asked for would leave the client waiting for ever (grpc/grpc issue 29248).
                status = _status(Reason.ERROR_REASON_GATEWAY_DRAINING, "the call was cut in the router; send it again")
            except Exception:
                log.exception("internal_error", extra={"method": method})
                status = _status(Reason.ERROR_REASON_GATEWAY_INTERNAL, "the router failed to carry out the call")
            finally:
                if visit is not None:
                    visit.leave(call.end if call is not None else b"")
                span.finish(None, status.code)
            log.info("call_failed", extra={"method": method, "code": status.code.name, "detail": status.details})
            return _ended(context, status)

        return answer

    def _open(
        self,
        method: str,
        request: bytes,
        incoming: Incoming,
        wishes: Wishes,
        *,
        left_s: float,
        span: CallSpan,
    ) -> Call:
        if len(request) > self._max_request_bytes:
            raise failure(
                Reason.ERROR_REASON_REQUEST_TOO_LARGE,
                f"the request has {len(request)} bytes, more than the {self._max_request_bytes} that the router takes "
                "(ANTIPHON_MAX_REQUEST_BYTES); shorten it",
            )
        model = incoming.get(metadata.MODEL)
        key = (str(model) if model is not None else model_of(request), str(incoming.get(metadata.PROVIDER, "")))
        resolution = self._routes.resolved.get(key) or self._resolve(key)
        if isinstance(resolution, Refusal):
            raise refused(resolution)
        request_id = incoming.get(metadata.REQUEST_ID, "")
        if request_id and not (isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id)):
            raise unusable(metadata.REQUEST_ID, "use 1 to 128 printable ASCII characters without spaces")
        self._roster.credit()
        return Call(
            self._roster,
            resolution,
            method=method,
            own_id=next(self._ids),
            request_id=str(request_id),
            left_s=left_s,
            span=span,
            wishes=wishes,
        )

    def _left_s(self, callers_s: float | None) -> float:
        """What a caller's deadline leaves an adapter. Raises CallFailure if that is nothing."""
        left_s = self._total_timeout_s if callers_s is None else callers_s - DEADLINE_MARGIN_S
        if left_s <= 0:
            raise failure(
                Reason.ERROR_REASON_DEADLINE_EXCEEDED,
                f"the deadline leaves less than {DEADLINE_MARGIN_S:g} s, too little to ask anyone; allow more time",
            )
        return left_s

    def _resolve(self, key: tuple[str, str]) -> Resolution | Refusal:
        model, providers = key
        resolution = resolve(self._routes.catalog, model, tuple(filter(None, map(str.strip, providers.split(",")))))
        if isinstance(resolution, Resolution):
            for candidate in itertools.chain(*resolution.tiers):
                if not (candidate.model.isascii() and candidate.model.isprintable()):
                    # It travels in metadata.
                    raise unusable("model", "name a model in printable ASCII characters")
        resolved = self._routes.resolved
        if len(resolved) >= MAX_RESOLVED:
            resolved.clear()
        resolved[key] = resolution
        return resolution


def _ended(context: Context, status: RpcStatus) -> bytes:
    """End the call with `status`, as `abort` would; but that leaves a cycle of everything that belongs to the call."""
    context.set_code(status.code)
    context.set_details(status.details)
    context.set_trailing_metadata(status.trailing_metadata)
    return NOTHING


def _status(reason: Reason, message: str) -> RpcStatus:
    error = failure(reason, message).error
    return to_status(error, end_trailer(end_of(error)))
