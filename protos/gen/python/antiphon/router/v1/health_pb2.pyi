import datetime

from antiphon.llm.v1 import error_pb2 as _error_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCOPE_UNSPECIFIED: _ClassVar[Scope]
    SCOPE_REPLICA: _ClassVar[Scope]
    SCOPE_ENDPOINT: _ClassVar[Scope]
    SCOPE_POOL: _ClassVar[Scope]
    SCOPE_KEY: _ClassVar[Scope]
    SCOPE_KEY_MODEL: _ClassVar[Scope]
    SCOPE_ACCOUNT: _ClassVar[Scope]

class HealthState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEALTH_STATE_UNSPECIFIED: _ClassVar[HealthState]
    HEALTH_STATE_HEALTHY: _ClassVar[HealthState]
    HEALTH_STATE_DEGRADED: _ClassVar[HealthState]
    HEALTH_STATE_SLOW_START: _ClassVar[HealthState]
    HEALTH_STATE_OPEN: _ClassVar[HealthState]
    HEALTH_STATE_HALF_OPEN: _ClassVar[HealthState]
    HEALTH_STATE_RATE_LIMITED: _ClassVar[HealthState]
    HEALTH_STATE_DISABLED: _ClassVar[HealthState]
    HEALTH_STATE_DRAINING: _ClassVar[HealthState]
    HEALTH_STATE_PANIC: _ClassVar[HealthState]

class HealthReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEALTH_REASON_UNSPECIFIED: _ClassVar[HealthReason]
    HEALTH_REASON_UNREACHABLE: _ClassVar[HealthReason]
    HEALTH_REASON_NOT_SERVING: _ClassVar[HealthReason]
    HEALTH_REASON_ERRORS: _ClassVar[HealthReason]
    HEALTH_REASON_SLOW: _ClassVar[HealthReason]
    HEALTH_REASON_OVERLOADED: _ClassVar[HealthReason]
    HEALTH_REASON_RATE_LIMIT: _ClassVar[HealthReason]
    HEALTH_REASON_AUTH: _ClassVar[HealthReason]
    HEALTH_REASON_PERMISSION: _ClassVar[HealthReason]
    HEALTH_REASON_BILLING: _ClassVar[HealthReason]
    HEALTH_REASON_SPEND_CAP: _ClassVar[HealthReason]
    HEALTH_REASON_REVOKED: _ClassVar[HealthReason]
    HEALTH_REASON_CONFIG: _ClassVar[HealthReason]
    HEALTH_REASON_OPERATOR: _ClassVar[HealthReason]
    HEALTH_REASON_NO_KEY: _ClassVar[HealthReason]
SCOPE_UNSPECIFIED: Scope
SCOPE_REPLICA: Scope
SCOPE_ENDPOINT: Scope
SCOPE_POOL: Scope
SCOPE_KEY: Scope
SCOPE_KEY_MODEL: Scope
SCOPE_ACCOUNT: Scope
HEALTH_STATE_UNSPECIFIED: HealthState
HEALTH_STATE_HEALTHY: HealthState
HEALTH_STATE_DEGRADED: HealthState
HEALTH_STATE_SLOW_START: HealthState
HEALTH_STATE_OPEN: HealthState
HEALTH_STATE_HALF_OPEN: HealthState
HEALTH_STATE_RATE_LIMITED: HealthState
HEALTH_STATE_DISABLED: HealthState
HEALTH_STATE_DRAINING: HealthState
HEALTH_STATE_PANIC: HealthState
HEALTH_REASON_UNSPECIFIED: HealthReason
HEALTH_REASON_UNREACHABLE: HealthReason
HEALTH_REASON_NOT_SERVING: HealthReason
HEALTH_REASON_ERRORS: HealthReason
HEALTH_REASON_SLOW: HealthReason
HEALTH_REASON_OVERLOADED: HealthReason
HEALTH_REASON_RATE_LIMIT: HealthReason
HEALTH_REASON_AUTH: HealthReason
HEALTH_REASON_PERMISSION: HealthReason
HEALTH_REASON_BILLING: HealthReason
HEALTH_REASON_SPEND_CAP: HealthReason
HEALTH_REASON_REVOKED: HealthReason
HEALTH_REASON_CONFIG: HealthReason
HEALTH_REASON_OPERATOR: HealthReason
HEALTH_REASON_NO_KEY: HealthReason

class Target(_message.Message):
    __slots__ = ("scope", "id", "state", "reason", "rule", "since_time", "next_try_time", "last_error", "last_error_time", "share", "in_flight", "time_to_first_content", "error_ratio", "instance", "contract_version")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_TIME_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_CONTENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATIO_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_VERSION_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    id: str
    state: HealthState
    reason: HealthReason
    rule: str
    since_time: _timestamp_pb2.Timestamp
    next_try_time: _timestamp_pb2.Timestamp
    last_error: _error_pb2.CallError
    last_error_time: _timestamp_pb2.Timestamp
    share: float
    in_flight: int
    time_to_first_content: _duration_pb2.Duration
    error_ratio: float
    instance: str
    contract_version: str
    def __init__(self, scope: _Optional[_Union[Scope, str]] = ..., id: _Optional[str] = ..., state: _Optional[_Union[HealthState, str]] = ..., reason: _Optional[_Union[HealthReason, str]] = ..., rule: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_try_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_error: _Optional[_Union[_error_pb2.CallError, _Mapping]] = ..., last_error_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., share: _Optional[float] = ..., in_flight: _Optional[int] = ..., time_to_first_content: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., error_ratio: _Optional[float] = ..., instance: _Optional[str] = ..., contract_version: _Optional[str] = ...) -> None: ...
