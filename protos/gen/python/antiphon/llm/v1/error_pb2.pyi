import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_PARAM_UNSUPPORTED: _ClassVar[ErrorReason]
    ERROR_REASON_REQUEST_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_OPAQUE_STATE_REJECTED: _ClassVar[ErrorReason]
    ERROR_REASON_CONTENT_BLOCKED: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_OPERATION_UNSUPPORTED: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_AUTH: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_FORBIDDEN: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_RATE_LIMITED: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_BUDGET_EXHAUSTED: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_CREDENTIALS: _ClassVar[ErrorReason]
    ERROR_REASON_QUOTA_EXHAUSTED: _ClassVar[ErrorReason]
    ERROR_REASON_RATE_LIMITED: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_ERROR: _ClassVar[ErrorReason]
    ERROR_REASON_UPSTREAM_UNREACHABLE: _ClassVar[ErrorReason]
    ERROR_REASON_UPSTREAM_TIMEOUT: _ClassVar[ErrorReason]
    ERROR_REASON_UPSTREAM_PROTOCOL: _ClassVar[ErrorReason]
    ERROR_REASON_STREAM_INTERRUPTED: _ClassVar[ErrorReason]
    ERROR_REASON_CONFLICT: _ClassVar[ErrorReason]
    ERROR_REASON_NO_HEALTHY_BACKEND: _ClassVar[ErrorReason]
    ERROR_REASON_CANCELLED: _ClassVar[ErrorReason]
    ERROR_REASON_DEADLINE_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_DRAINING: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_REQUEST: ErrorReason
ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: ErrorReason
ERROR_REASON_PARAM_UNSUPPORTED: ErrorReason
ERROR_REASON_REQUEST_TOO_LARGE: ErrorReason
ERROR_REASON_OPAQUE_STATE_REJECTED: ErrorReason
ERROR_REASON_CONTENT_BLOCKED: ErrorReason
ERROR_REASON_MODEL_NOT_FOUND: ErrorReason
ERROR_REASON_OPERATION_UNSUPPORTED: ErrorReason
ERROR_REASON_GATEWAY_AUTH: ErrorReason
ERROR_REASON_GATEWAY_FORBIDDEN: ErrorReason
ERROR_REASON_GATEWAY_RATE_LIMITED: ErrorReason
ERROR_REASON_GATEWAY_BUDGET_EXHAUSTED: ErrorReason
ERROR_REASON_GATEWAY_OVERLOADED: ErrorReason
ERROR_REASON_PROVIDER_CREDENTIALS: ErrorReason
ERROR_REASON_QUOTA_EXHAUSTED: ErrorReason
ERROR_REASON_RATE_LIMITED: ErrorReason
ERROR_REASON_PROVIDER_OVERLOADED: ErrorReason
ERROR_REASON_PROVIDER_ERROR: ErrorReason
ERROR_REASON_UPSTREAM_UNREACHABLE: ErrorReason
ERROR_REASON_UPSTREAM_TIMEOUT: ErrorReason
ERROR_REASON_UPSTREAM_PROTOCOL: ErrorReason
ERROR_REASON_STREAM_INTERRUPTED: ErrorReason
ERROR_REASON_CONFLICT: ErrorReason
ERROR_REASON_NO_HEALTHY_BACKEND: ErrorReason
ERROR_REASON_CANCELLED: ErrorReason
ERROR_REASON_DEADLINE_EXCEEDED: ErrorReason
ERROR_REASON_GATEWAY_INTERNAL: ErrorReason
ERROR_REASON_GATEWAY_DRAINING: ErrorReason

class CallError(_message.Message):
    __slots__ = ("code", "reason", "message", "retry_same_backend", "retry_other_backend", "retry_delay", "provider", "backend", "model", "http_status", "native_type", "native_code", "provider_request_id", "param", "attempt", "rate_limits", "native_body")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_SAME_BACKEND_FIELD_NUMBER: _ClassVar[int]
    RETRY_OTHER_BACKEND_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_TYPE_FIELD_NUMBER: _ClassVar[int]
    NATIVE_CODE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PARAM_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_BODY_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: ErrorReason
    message: str
    retry_same_backend: bool
    retry_other_backend: bool
    retry_delay: _duration_pb2.Duration
    provider: str
    backend: str
    model: str
    http_status: int
    native_type: str
    native_code: str
    provider_request_id: str
    param: str
    attempt: int
    rate_limits: _containers.RepeatedCompositeFieldContainer[RateLimit]
    native_body: bytes
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[_Union[ErrorReason, str]] = ..., message: _Optional[str] = ..., retry_same_backend: bool = ..., retry_other_backend: bool = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., provider: _Optional[str] = ..., backend: _Optional[str] = ..., model: _Optional[str] = ..., http_status: _Optional[int] = ..., native_type: _Optional[str] = ..., native_code: _Optional[str] = ..., provider_request_id: _Optional[str] = ..., param: _Optional[str] = ..., attempt: _Optional[int] = ..., rate_limits: _Optional[_Iterable[_Union[RateLimit, _Mapping]]] = ..., native_body: _Optional[bytes] = ...) -> None: ...

class RateLimit(_message.Message):
    __slots__ = ("name", "limit", "remaining", "reset_after")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESET_AFTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: int
    remaining: int
    reset_after: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[int] = ..., remaining: _Optional[int] = ..., reset_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
