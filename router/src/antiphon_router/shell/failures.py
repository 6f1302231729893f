"""Owns the way between failures on the wire and failures of the core: what a status means, and what a caller gets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import grpc

from antiphon.llm.v1 import error_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CODE_BY_NUMBER, RULES, CallFailure, Reason, call_error, from_trailers, reason_name
from antiphon_contract.errors import failure as call_failure
from antiphon_kit.stream import interrupted
from antiphon_router.core import faults
from antiphon_router.core.failover import Attempt
from antiphon_router.core.faults import Failure
from antiphon_router.core.resolve import Refusal

Trailers = Iterable[tuple[str, str | bytes]]

_C: Final = grpc.StatusCode
_UNAUTHENTICATED: Final = _C.UNAUTHENTICATED.value[0]
_KNOWN: Final = frozenset(faults.Reason)
_REASONS: Final = {reason_name(reason): reason for reason in RULES}


@dataclass(frozen=True, slots=True)
class Wreck:
    """What is left of a failed attempt: the error, whether its replica is lost, and the record the adapter wrote."""

    error: error_pb2.CallError
    lost: bool = False
    end: bytes = b""


def wreck_of(raised: grpc.aio.AioRpcError, attempt: Attempt) -> Wreck:
    """The wreck that a status makes: the adapter's own words where there are any."""
    trailers = tuple(raised.trailing_metadata() or ())
    error = from_trailers(trailers)
    code = raised.code()
    if error is not None:
        if error.code not in CODE_BY_NUMBER or not error.code:
            error.code = code.value[0]
        return Wreck(error, end=end_in(trailers))
    lost = code in (_C.UNAVAILABLE, _C.CANCELLED)
    return Wreck(_untyped(code, raised.details() or "", attempt), lost)


def end_in(trailers: Trailers) -> bytes:
    """The terminal record among trailers, as received; empty without one."""
    return answer_in(trailers)[0]


def answer_in(trailers: Trailers) -> tuple[bytes, str]:
    """The terminal record among the trailers of an answer, and what it says of the provider's limits, as received."""
    end, headroom = b"", ""
    for key, value in trailers:
        if key == metadata.END and isinstance(value, bytes):
            end = value
        elif key == metadata.HEADROOM and isinstance(value, str):
            headroom = value
    return end, headroom


def _untyped(code: grpc.StatusCode, details: str, attempt: Attempt) -> error_pb2.CallError:
    """The error behind a status that no adapter wrote. `details` are gRPC's own and are not passed on."""
    where = f"replica {attempt.replica.address} of backend {attempt.candidate.backend.id}"
    if code in (_C.UNAVAILABLE, _C.CANCELLED):
        reason = Reason.ERROR_REASON_UPSTREAM_UNREACHABLE
        message = f"{where} is lost: the connection failed before the answer was whole; is the service running?"
    elif code is _C.DEADLINE_EXCEEDED:
        reason = Reason.ERROR_REASON_DEADLINE_EXCEEDED
        message = "the call's deadline passed before the answer was complete; allow more time or ask for less output"
    elif code is _C.RESOURCE_EXHAUSTED and "larger than max" in details:
        if details.startswith("CLIENT"):
            reason, message = Reason.ERROR_REASON_UPSTREAM_PROTOCOL, f"{where} sent a larger message than may be taken"
        else:
            reason, message = Reason.ERROR_REASON_REQUEST_TOO_LARGE, "the request is too large; send less"
    elif code is _C.RESOURCE_EXHAUSTED:
        reason, message = Reason.ERROR_REASON_GATEWAY_OVERLOADED, f"{where} takes no more calls now; try again shortly"
    elif code is _C.UNIMPLEMENTED:
        reason = Reason.ERROR_REASON_OPERATION_UNSUPPORTED
        message = f"backend {attempt.candidate.backend.id} has no such operation; ask another provider"
    else:
        reason = Reason.ERROR_REASON_GATEWAY_INTERNAL
        message = f"{where} failed with {code.name} and without an explanation; see its log"
    return call_error(reason, message)


def no_answer(attempt: Attempt) -> Wreck:
    """An adapter that ended well without having said anything."""
    where = f"replica {attempt.replica.address} of backend {attempt.candidate.backend.id}"
    return Wreck(
        call_error(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, f"{where} ended its stream without an answer; see its log")
    )


def placed(error: error_pb2.CallError, attempt: Attempt) -> error_pb2.CallError:
    """`error` with what only the router knows: the backend and the number of the attempt."""
    candidate = attempt.candidate
    error.backend = candidate.backend.id
    error.attempt = attempt.number
    error.provider = error.provider or candidate.backend.provider
    error.model = error.model or candidate.model
    return error


def after_content(wreck: Wreck) -> Wreck:
    """The wreck once content has been delivered."""
    return Wreck(interrupted(wreck.error), wreck.lost, wreck.end)


def draining(*, committed: bool) -> error_pb2.CallError:
    """The error of a call that this router cuts because it stops."""
    message = "the router is stopping; send the call again, another replica takes it"
    error = call_error(Reason.ERROR_REASON_GATEWAY_DRAINING, message)
    return interrupted(error) if committed else error


def failure_of(wreck: Wreck, elapsed_s: float) -> Failure:
    """What the core needs to know of a wreck."""
    error = wreck.error
    name = reason_name(error.reason)
    delay_s = error.retry_delay.ToTimedelta().total_seconds() if error.HasField("retry_delay") else None
    return Failure(
        reason=faults.Reason(name) if name in _KNOWN else faults.Reason.UNSPECIFIED,
        lost=wreck.lost,
        http_status=error.http_status,
        native_code=error.native_code,
        delay_s=delay_s,
        retry_same=error.retry_same_backend,
        retry_other=error.retry_other_backend,
        callers_key=error.code == _UNAUTHENTICATED,
        elapsed_s=elapsed_s,
    )


def refused(refusal: Refusal) -> CallFailure:
    """The exception for a call that cannot be served."""
    return call_failure(
        _REASONS[refusal.reason], refusal.message, retry_delay_s=refusal.retry_after_s, param=refusal.param
    )
