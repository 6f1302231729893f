import datetime

from antiphon.llm.v1 import http_pb2 as _http_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CallOptions(_message.Message):
    __slots__ = ("provider_json", "provider_headers", "unsupported_policy", "timeouts", "native_mode", "labels")
    class UnsupportedPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNSUPPORTED_POLICY_UNSPECIFIED: _ClassVar[CallOptions.UnsupportedPolicy]
        UNSUPPORTED_POLICY_ERROR: _ClassVar[CallOptions.UnsupportedPolicy]
        UNSUPPORTED_POLICY_WARN: _ClassVar[CallOptions.UnsupportedPolicy]
    UNSUPPORTED_POLICY_UNSPECIFIED: CallOptions.UnsupportedPolicy
    UNSUPPORTED_POLICY_ERROR: CallOptions.UnsupportedPolicy
    UNSUPPORTED_POLICY_WARN: CallOptions.UnsupportedPolicy
    class NativeMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NATIVE_MODE_UNSPECIFIED: _ClassVar[CallOptions.NativeMode]
        NATIVE_MODE_OFF: _ClassVar[CallOptions.NativeMode]
        NATIVE_MODE_ATTACH: _ClassVar[CallOptions.NativeMode]
    NATIVE_MODE_UNSPECIFIED: CallOptions.NativeMode
    NATIVE_MODE_OFF: CallOptions.NativeMode
    NATIVE_MODE_ATTACH: CallOptions.NativeMode
    class ProviderJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ProviderHeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _http_pb2.HttpHeaders
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_http_pb2.HttpHeaders, _Mapping]] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROVIDER_JSON_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_HEADERS_FIELD_NUMBER: _ClassVar[int]
    UNSUPPORTED_POLICY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_MODE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    provider_json: _containers.ScalarMap[str, str]
    provider_headers: _containers.MessageMap[str, _http_pb2.HttpHeaders]
    unsupported_policy: CallOptions.UnsupportedPolicy
    timeouts: Timeouts
    native_mode: CallOptions.NativeMode
    labels: _containers.ScalarMap[str, str]
    def __init__(self, provider_json: _Optional[_Mapping[str, str]] = ..., provider_headers: _Optional[_Mapping[str, _http_pb2.HttpHeaders]] = ..., unsupported_policy: _Optional[_Union[CallOptions.UnsupportedPolicy, str]] = ..., timeouts: _Optional[_Union[Timeouts, _Mapping]] = ..., native_mode: _Optional[_Union[CallOptions.NativeMode, str]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Timeouts(_message.Message):
    __slots__ = ("first_event", "between_events", "per_attempt")
    FIRST_EVENT_FIELD_NUMBER: _ClassVar[int]
    BETWEEN_EVENTS_FIELD_NUMBER: _ClassVar[int]
    PER_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    first_event: _duration_pb2.Duration
    between_events: _duration_pb2.Duration
    per_attempt: _duration_pb2.Duration
    def __init__(self, first_event: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., between_events: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., per_attempt: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StreamOptions(_message.Message):
    __slots__ = ("max_coalesce_delay",)
    MAX_COALESCE_DELAY_FIELD_NUMBER: _ClassVar[int]
    max_coalesce_delay: _duration_pb2.Duration
    def __init__(self, max_coalesce_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
