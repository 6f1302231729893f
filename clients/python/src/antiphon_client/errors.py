"""Owns the exceptions of the client and the mapping onto them: by reason first, by status code second.

AntiphonError                   reason, code, message, param, retry_delay_s, provider, backend, request_id,
|                               response (what arrived so far), usage
+-- InvalidRequest              the request cannot succeed as it stands; also raised before anything is sent
|   +-- ContextLengthExceeded   prompt plus output exceed the model's window
|   +-- RequestTooLarge         more bytes than the gateway or the provider takes
|   +-- Unsupported             the provider, model or server lacks what was asked for
|   +-- ContentBlocked          the provider's policy blocks the request
+-- NotFound                    no such model or provider
+-- NotAuthorised               somebody's credentials are missing, wrong or not enough
|   +-- Unauthenticated         the gateway does not know the caller
|   +-- Forbidden               the gateway's policy forbids it
|   +-- CredentialsRefused      the provider refuses the key
+-- RateLimited                 wait `retry_delay_s`
+-- QuotaExhausted              credit, budget or spend limit is used up
+-- ProviderUnavailable         no provider could answer: overloaded, failing, unreachable, all out
+-- StreamInterrupted           the answer was cut after its first content; `response` holds what came
|   +-- StreamMalformed         the server broke the grammar of the stream
+-- DeadlineExceeded            `timeout_s` passed
+-- Cancelled                   cancelled by the server or by closing the client
+-- RouterUnreachable           no connection to the address, or it was lost before the answer
+-- Internal                    a fault of the gateway

Forbids itself: texts of foreign exceptions and of the transport, which name addresses and change with versions.
"""

from typing import Final

import grpc

from antiphon.llm.v1 import chat_pb2, error_pb2, usage_pb2
from antiphon_contract import errors as contract
from antiphon_contract.errors import Reason


class AntiphonError(Exception):
    """A call failed. `reason` is the name of an ErrorReason without its prefix, "" if the sender gave none."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        param: str = "",
        retry_delay_s: float | None = None,
        provider: str = "",
        backend: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.code = code
        self.param = param
        self.retry_delay_s = retry_delay_s
        self.provider = provider
        self.backend = backend
        self.detail: error_pb2.CallError | None = None
        self.request_id = ""
        self.response: chat_pb2.GenerateResponse | None = None
        self.usage: usage_pb2.Usage | None = None


class InvalidRequest(AntiphonError):
    """The request cannot succeed as it stands; `param` names the field where that is known."""


class ContextLengthExceeded(InvalidRequest):
    """Prompt plus output exceed the model's window."""


class RequestTooLarge(InvalidRequest):
    """More bytes than the gateway or the provider takes."""


class Unsupported(InvalidRequest):
    """The provider, model or server lacks what was asked for."""


class ContentBlocked(InvalidRequest):
    """The provider's policy blocks the request."""


class NotFound(AntiphonError):
    """No such model or provider; the message names what is known."""


class NotAuthorised(AntiphonError):
    """Somebody's credentials are missing, wrong or not enough."""


class Unauthenticated(NotAuthorised):
    """The gateway does not know the caller."""


class Forbidden(NotAuthorised):
    """The gateway's policy forbids it."""


class CredentialsRefused(NotAuthorised):
    """The provider refuses the key; only its owner can mend that."""


class RateLimited(AntiphonError):
    """A rate limit of the gateway or the provider; wait `retry_delay_s`."""


class QuotaExhausted(AntiphonError):
    """Credit, budget or spend limit is used up; waiting does not help by itself."""


class ProviderUnavailable(AntiphonError):
    """No provider could answer: overloaded, failing, unreachable, or all of them out."""


class StreamInterrupted(AntiphonError):
    """The answer was cut after its first content, or ended without its terminal record."""


class StreamMalformed(StreamInterrupted):
    """The server broke the grammar of the stream: a gap, a missing start, something after the end."""


class DeadlineExceeded(AntiphonError):
    """The time limit of the call passed."""


class Cancelled(AntiphonError):
    """Cancelled by the server or by closing the client; cancelling one's own task is asyncio.CancelledError."""


class RouterUnreachable(AntiphonError):
    """No connection to the address, or it was lost before the answer."""


class Internal(AntiphonError):
    """A fault of the gateway."""


CLASS_BY_REASON: Final[dict[error_pb2.ErrorReason, type[AntiphonError]]] = {
    Reason.ERROR_REASON_INVALID_REQUEST: InvalidRequest,
    Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: ContextLengthExceeded,
    Reason.ERROR_REASON_PARAM_UNSUPPORTED: Unsupported,
    Reason.ERROR_REASON_REQUEST_TOO_LARGE: RequestTooLarge,
    Reason.ERROR_REASON_OPAQUE_STATE_REJECTED: InvalidRequest,
    Reason.ERROR_REASON_CONTENT_BLOCKED: ContentBlocked,
    Reason.ERROR_REASON_MODEL_NOT_FOUND: NotFound,
    Reason.ERROR_REASON_OPERATION_UNSUPPORTED: Unsupported,
    Reason.ERROR_REASON_GATEWAY_AUTH: Unauthenticated,
    Reason.ERROR_REASON_GATEWAY_FORBIDDEN: Forbidden,
    Reason.ERROR_REASON_GATEWAY_RATE_LIMITED: RateLimited,
    Reason.ERROR_REASON_GATEWAY_BUDGET_EXHAUSTED: QuotaExhausted,
    Reason.ERROR_REASON_GATEWAY_OVERLOADED: ProviderUnavailable,
    Reason.ERROR_REASON_PROVIDER_CREDENTIALS: CredentialsRefused,
    Reason.ERROR_REASON_QUOTA_EXHAUSTED: QuotaExhausted,
    Reason.ERROR_REASON_RATE_LIMITED: RateLimited,
    Reason.ERROR_REASON_PROVIDER_OVERLOADED: ProviderUnavailable,
    Reason.ERROR_REASON_PROVIDER_ERROR: ProviderUnavailable,
    Reason.ERROR_REASON_UPSTREAM_UNREACHABLE: ProviderUnavailable,
    Reason.ERROR_REASON_UPSTREAM_TIMEOUT: ProviderUnavailable,
    Reason.ERROR_REASON_UPSTREAM_PROTOCOL: ProviderUnavailable,
    Reason.ERROR_REASON_STREAM_INTERRUPTED: StreamInterrupted,
    Reason.ERROR_REASON_CONFLICT: ProviderUnavailable,
    Reason.ERROR_REASON_NO_HEALTHY_BACKEND: ProviderUnavailable,
    Reason.ERROR_REASON_CANCELLED: Cancelled,
    Reason.ERROR_REASON_DEADLINE_EXCEEDED: DeadlineExceeded,
    Reason.ERROR_REASON_GATEWAY_INTERNAL: Internal,
    Reason.ERROR_REASON_GATEWAY_DRAINING: ProviderUnavailable,
}
CLASS_BY_CODE: Final[dict[grpc.StatusCode, type[AntiphonError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidRequest,
    grpc.StatusCode.UNIMPLEMENTED: Unsupported,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Forbidden,
    grpc.StatusCode.RESOURCE_EXHAUSTED: RateLimited,
    grpc.StatusCode.UNAVAILABLE: ProviderUnavailable,
    grpc.StatusCode.ABORTED: ProviderUnavailable,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}


def invalid(message: str, param: str) -> InvalidRequest:
    """What the client itself refuses to send, in the words the server would use."""
    return InvalidRequest(message, reason="INVALID_REQUEST", code=grpc.StatusCode.INVALID_ARGUMENT, param=param)


def unauthenticated(message: str) -> Unauthenticated:
    """A caller whose certificate is missing, wrong or refused."""
    return Unauthenticated(message, reason="GATEWAY_AUTH", code=grpc.StatusCode.UNAUTHENTICATED)


def from_call_error(error: error_pb2.CallError) -> AntiphonError:
    """The exception for a typed error of the gateway."""
    code = contract.CODE_BY_NUMBER.get(error.code, grpc.StatusCode.UNKNOWN)
    kind = CLASS_BY_REASON.get(error.reason) or CLASS_BY_CODE.get(code, Internal)
    reason = contract.reason_name(error.reason)
    failure = kind(
        error.message or f"the gateway gave no message ({code.name})",
        reason="" if reason == "UNSPECIFIED" else reason,
        code=code,
        param=error.param,
        retry_delay_s=error.retry_delay.ToTimedelta().total_seconds() if error.HasField("retry_delay") else None,
        provider=error.provider,
        backend=error.backend,
    )
    failure.detail = error
    return failure


def from_status(code: grpc.StatusCode, details: str, address: str, *, after_content: bool) -> AntiphonError:
    """The exception for a status that carries no typed error: the transport's own, or of a server of another kind."""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return _too_large(details, address)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"{address} did not finish within the time limit", reason=code.name, code=code)
    if code is grpc.StatusCode.CANCELLED:
        return Cancelled("the call was cancelled by the server or by closing the client", reason=code.name, code=code)
    if after_content:
        message = f"the connection to {address} was lost in the middle of the answer"
        return StreamInterrupted(message, reason="STREAM_INTERRUPTED", code=code)
    if code is grpc.StatusCode.UNAVAILABLE:
        lost = "Socket closed" in details or "GOAWAY" in details
        what = f"the connection to {address} was lost before the answer" if lost else f"no connection to {address}"
        return RouterUnreachable(what, code=code)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Unsupported(f"what listens at {address} does not serve this call; is it an Antiphon router?", code=code)
    kind = CLASS_BY_CODE.get(code, Internal)
    return kind(f"{address} answered {code.name} without a reason", code=code)


def _too_large(details: str, address: str) -> AntiphonError:
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    if details.startswith("CLIENT"):
        return Internal(f"an answer of {address} is larger than this client takes", code=code)
    message = f"the request is larger than {address} takes; shorten it"
    return RequestTooLarge(message, reason="REQUEST_TOO_LARGE", code=code, param="prompt")
