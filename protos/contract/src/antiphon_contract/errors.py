"""Owns the one mapping between an error's reason, its gRPC status and the trailers that carry it.

              raise                      abort_with_status                    call.trailing_metadata()
CallFailure(CallError) ── to_status() ──> grpc status + details + record ──> from_trailers() ── CallError

Forbids itself: texts of exceptions, URLs, secrets. A message is written for the caller where the error is raised.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract import metadata

DOMAIN: Final = "antiphon.llm"
MAX_DELAY_S: Final = 3600.0
MAX_MESSAGE_BYTES: Final = 2048
# grpc-message is percent-encoded, three bytes for one.
_MAX_STATUS_MESSAGE_BYTES: Final = 512
_PREFIX: Final = "ERROR_REASON_"

Reason = error_pb2.ErrorReason
Trailers = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Rule:
    """The status of a reason, and who may usefully try again."""

    code: grpc.StatusCode
    same_backend: bool = False
    other_backend: bool = False


_C = grpc.StatusCode
RULES: Final[dict[error_pb2.ErrorReason, Rule]] = {
    Reason.ERROR_REASON_INVALID_REQUEST: Rule(_C.INVALID_ARGUMENT),
    Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: Rule(_C.INVALID_ARGUMENT),
    Reason.ERROR_REASON_PARAM_UNSUPPORTED: Rule(_C.INVALID_ARGUMENT),
    Reason.ERROR_REASON_REQUEST_TOO_LARGE: Rule(_C.INVALID_ARGUMENT),
    Reason.ERROR_REASON_OPAQUE_STATE_REJECTED: Rule(_C.FAILED_PRECONDITION),
    Reason.ERROR_REASON_CONTENT_BLOCKED: Rule(_C.FAILED_PRECONDITION),
    Reason.ERROR_REASON_MODEL_NOT_FOUND: Rule(_C.NOT_FOUND),
    Reason.ERROR_REASON_OPERATION_UNSUPPORTED: Rule(_C.UNIMPLEMENTED, other_backend=True),
    Reason.ERROR_REASON_GATEWAY_AUTH: Rule(_C.UNAUTHENTICATED),
    Reason.ERROR_REASON_GATEWAY_FORBIDDEN: Rule(_C.PERMISSION_DENIED),
    Reason.ERROR_REASON_GATEWAY_RATE_LIMITED: Rule(_C.RESOURCE_EXHAUSTED, same_backend=True),
    Reason.ERROR_REASON_GATEWAY_BUDGET_EXHAUSTED: Rule(_C.RESOURCE_EXHAUSTED),
    Reason.ERROR_REASON_GATEWAY_OVERLOADED: Rule(_C.UNAVAILABLE, same_backend=True, other_backend=True),
    # Not UNAVAILABLE: only an operator can mend a dead key, and a mesh must not eject the service for it.
    Reason.ERROR_REASON_PROVIDER_CREDENTIALS: Rule(_C.FAILED_PRECONDITION, other_backend=True),
    Reason.ERROR_REASON_QUOTA_EXHAUSTED: Rule(_C.RESOURCE_EXHAUSTED, other_backend=True),
    Reason.ERROR_REASON_RATE_LIMITED: Rule(_C.RESOURCE_EXHAUSTED, same_backend=True, other_backend=True),
    Reason.ERROR_REASON_PROVIDER_OVERLOADED: Rule(_C.UNAVAILABLE, other_backend=True),
    Reason.ERROR_REASON_PROVIDER_ERROR: Rule(_C.UNAVAILABLE, same_backend=True, other_backend=True),
    Reason.ERROR_REASON_UPSTREAM_UNREACHABLE: Rule(_C.UNAVAILABLE, same_backend=True, other_backend=True),
    Reason.ERROR_REASON_UPSTREAM_TIMEOUT: Rule(_C.UNAVAILABLE, other_backend=True),
    Reason.ERROR_REASON_UPSTREAM_PROTOCOL: Rule(_C.INTERNAL, same_backend=True, other_backend=True),
    Reason.ERROR_REASON_STREAM_INTERRUPTED: Rule(_C.UNAVAILABLE),
    Reason.ERROR_REASON_CONFLICT: Rule(_C.ABORTED, same_backend=True, other_backend=True),
    Reason.ERROR_REASON_NO_HEALTHY_BACKEND: Rule(_C.UNAVAILABLE, same_backend=True),
    Reason.ERROR_REASON_CANCELLED: Rule(_C.CANCELLED),
    Reason.ERROR_REASON_DEADLINE_EXCEEDED: Rule(_C.DEADLINE_EXCEEDED),
    Reason.ERROR_REASON_GATEWAY_INTERNAL: Rule(_C.INTERNAL, other_backend=True),
    Reason.ERROR_REASON_GATEWAY_DRAINING: Rule(_C.UNAVAILABLE, other_backend=True),
}
CODE_BY_NUMBER: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}


class CallFailure(Exception):
    """A classified failure of one call or attempt; `error` is what crosses the wire."""

    def __init__(self, error: error_pb2.CallError) -> None:
        super().__init__(f"{reason_name(error.reason)}: {error.message}")
        self.error = error


def reason_name(reason: error_pb2.ErrorReason) -> str:
    """`ErrorInfo.reason`: the enum name without its prefix; `UNSPECIFIED` for values this build does not know."""
    try:
        return Reason.Name(reason).removeprefix(_PREFIX)
    except ValueError:
        return "UNSPECIFIED"


def call_error(
    reason: error_pb2.ErrorReason,
    message: str,
    *,
    retry_delay_s: float | None = None,
    param: str = "",
    provider: str = "",
    model: str = "",
    http_status: int = 0,
    native_type: str = "",
    native_code: str = "",
    provider_request_id: str = "",
    native_body: bytes = b"",
) -> error_pb2.CallError:
    """A `CallError` whose code and retry advice follow from `reason`. `retry_delay_s` is capped at an hour."""
    rule = RULES[reason]
    error = error_pb2.CallError(
        code=rule.code.value[0],
        reason=reason,
        message=cut(message, MAX_MESSAGE_BYTES),
        retry_same_backend=rule.same_backend,
        retry_other_backend=rule.other_backend,
        param=param,
        provider=provider,
        model=model,
        http_status=http_status,
        native_type=native_type,
        native_code=native_code,
        provider_request_id=provider_request_id,
        native_body=native_body,
    )
    if retry_delay_s is not None:
        delay_ns = int(min(max(retry_delay_s, 0.0), MAX_DELAY_S) * 1e9)
        error.retry_delay.FromNanoseconds(delay_ns)
    return error


def failure(
    reason: error_pb2.ErrorReason, message: str, *, retry_delay_s: float | None = None, param: str = ""
) -> CallFailure:
    """The exception for a failure that the gateway itself found."""
    return CallFailure(call_error(reason, message, retry_delay_s=retry_delay_s, param=param))


@dataclass(frozen=True, slots=True)
class RpcStatus(grpc.Status):
    """What `abort_with_status` takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def to_status(error: error_pb2.CallError, *extra: tuple[str, str | bytes]) -> RpcStatus:
    """The gRPC status of `error`: details within their budget, pushback, and the `extra` trailers.

    `abort_with_status` replaces trailers set before, so everything the call is to carry must be in here.
    """
    code = CODE_BY_NUMBER[error.code]
    trailers: tuple[tuple[str, str | bytes], ...] = (
        (metadata.STATUS_DETAILS, _details(error)),
        (metadata.PUSHBACK, "-1"),
        *extra,
    )
    return RpcStatus(code, cut(error.message, _MAX_STATUS_MESSAGE_BYTES), trailers)


def cut(text: str, max_bytes: int) -> str:
    """`text`, at most `max_bytes` of UTF-8 long, never ending in half a code point."""
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= max_bytes else encoded[:max_bytes].decode("utf-8", "ignore")


def _details(error: error_pb2.CallError) -> bytes:
    trimmed = error_pb2.CallError()
    trimmed.CopyFrom(error)
    trimmed.native_body = error.native_body[:1024]
    for trim in (_without_body, _with_short_texts):
        packed = _pack(trimmed)
        if len(packed) <= metadata.MAX_STATUS_DETAILS_BYTES:
            return packed
        trim(trimmed)
    return _pack(trimmed)


def _without_body(error: error_pb2.CallError) -> None:
    error.native_body = b""


def _with_short_texts(error: error_pb2.CallError) -> None:
    for name in ("message", "native_type", "native_code", "param", "model", "provider_request_id"):
        setattr(error, name, cut(getattr(error, name), 256))
    del error.rate_limits[4:]


def _pack(error: error_pb2.CallError) -> bytes:
    status = status_pb2.Status(code=error.code, message=cut(error.message, 256))
    status.details.add().Pack(error)
    info = error_details_pb2.ErrorInfo(reason=reason_name(error.reason), domain=DOMAIN)
    for key, value in (("provider", error.provider), ("backend", error.backend), ("http_status", error.http_status)):
        if value:
            info.metadata[key] = str(value)
    status.details.add().Pack(info)
    if error.HasField("retry_delay"):
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=error.retry_delay))
    return bytes(status.SerializeToString())


def from_trailers(trailers: Trailers) -> error_pb2.CallError | None:
    """The `CallError` in the trailers of a failed call; None when its sender knows no contract."""
    for key, value in trailers:
        if key == metadata.STATUS_DETAILS and isinstance(value, bytes):
            try:
                for detail in status_pb2.Status.FromString(value).details:
                    error = error_pb2.CallError()
                    if detail.Unpack(error):
                        return error
            except DecodeError:
                return None
    return None


def end_from_trailers(trailers: Trailers) -> response_pb2.ResponseEnd | None:
    """The terminal record in the trailers of a finished call."""
    for key, value in trailers:
        if key == metadata.END and isinstance(value, bytes):
            try:
                return response_pb2.ResponseEnd.FromString(value)
            except DecodeError:
                return None
    return None


def end_trailer(end: response_pb2.ResponseEnd) -> tuple[str, bytes]:
    """The terminal record as a trailer, cut to its budget: native data first, then messages, then warnings."""
    packed = end.SerializeToString()
    if len(packed) <= metadata.MAX_END_BYTES and not _has_native(end):
        return metadata.END, packed
    small = response_pb2.ResponseEnd()
    small.CopyFrom(end)
    small.error.native_body = b""
    if not end.HasField("error"):
        small.ClearField("error")
    for clear in (_clear_native_json, _clear_messages, _clear_warnings):
        clear(small)
        packed = small.SerializeToString()
        if len(packed) <= metadata.MAX_END_BYTES:
            return metadata.END, packed
    for name in ("provider", "model", "service_tier", "response_id"):
        setattr(small, name, cut(getattr(small, name), 256))
    return metadata.END, small.SerializeToString()


def _has_native(end: response_pb2.ResponseEnd) -> bool:
    return bool(end.native_json or end.usage.native_json or end.error.native_body)


def _clear_native_json(end: response_pb2.ResponseEnd) -> None:
    end.native_json = ""
    if end.HasField("usage"):
        end.usage.native_json = ""
    for warning in _warnings(end):
        warning.native_json = ""


def _clear_messages(end: response_pb2.ResponseEnd) -> None:
    if end.HasField("error"):
        _with_short_texts(end.error)
    for warning in _warnings(end):
        warning.message = cut(warning.message, 80)


def _clear_warnings(end: response_pb2.ResponseEnd) -> None:
    del end.warnings[8:]


def _warnings(end: response_pb2.ResponseEnd) -> Iterable[response_pb2.Warning]:
    # In the generated stub the name Warning resolves to the builtin, because it is used before it is defined.
    return cast("Iterable[response_pb2.Warning]", end.warnings)
