import datetime

from antiphon.router.v1 import health_pb2 as _health_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_STATUS_UNSPECIFIED: _ClassVar[KeyStatus]
    KEY_STATUS_CANDIDATE: _ClassVar[KeyStatus]
    KEY_STATUS_CURRENT: _ClassVar[KeyStatus]
    KEY_STATUS_GRACE: _ClassVar[KeyStatus]
    KEY_STATUS_BAD: _ClassVar[KeyStatus]
    KEY_STATUS_REVOKED: _ClassVar[KeyStatus]
KEY_STATUS_UNSPECIFIED: KeyStatus
KEY_STATUS_CANDIDATE: KeyStatus
KEY_STATUS_CURRENT: KeyStatus
KEY_STATUS_GRACE: KeyStatus
KEY_STATUS_BAD: KeyStatus
KEY_STATUS_REVOKED: KeyStatus

class KeyVersion(_message.Message):
    __slots__ = ("slot", "version", "status", "status_time", "fingerprint", "share", "uses")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_TIME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    status: KeyStatus
    status_time: _timestamp_pb2.Timestamp
    fingerprint: str
    share: float
    uses: _containers.RepeatedCompositeFieldContainer[KeyUse]
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ..., status: _Optional[_Union[KeyStatus, str]] = ..., status_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fingerprint: _Optional[str] = ..., share: _Optional[float] = ..., uses: _Optional[_Iterable[_Union[KeyUse, _Mapping]]] = ...) -> None: ...

class KeyUse(_message.Message):
    __slots__ = ("backend", "instance", "slot", "version", "fingerprint", "load_time", "in_flight", "last_success_time", "last_use_time", "staleness", "targets", "status", "check_time", "calls", "successes")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    LOAD_TIME_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LAST_SUCCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_USE_TIME_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECK_TIME_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    backend: str
    instance: str
    slot: str
    version: int
    fingerprint: str
    load_time: _timestamp_pb2.Timestamp
    in_flight: int
    last_success_time: _timestamp_pb2.Timestamp
    last_use_time: _timestamp_pb2.Timestamp
    staleness: _duration_pb2.Duration
    targets: _containers.RepeatedCompositeFieldContainer[_health_pb2.Target]
    status: KeyStatus
    check_time: _timestamp_pb2.Timestamp
    calls: int
    successes: int
    def __init__(self, backend: _Optional[str] = ..., instance: _Optional[str] = ..., slot: _Optional[str] = ..., version: _Optional[int] = ..., fingerprint: _Optional[str] = ..., load_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., in_flight: _Optional[int] = ..., last_success_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_use_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., staleness: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., targets: _Optional[_Iterable[_Union[_health_pb2.Target, _Mapping]]] = ..., status: _Optional[_Union[KeyStatus, str]] = ..., check_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., calls: _Optional[int] = ..., successes: _Optional[int] = ...) -> None: ...

class KeyProblem(_message.Message):
    __slots__ = ("slot", "version", "rule", "message", "since_time")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    rule: str
    message: str
    since_time: _timestamp_pb2.Timestamp
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ..., rule: _Optional[str] = ..., message: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListKeyVersionsRequest(_message.Message):
    __slots__ = ("slot",)
    SLOT_FIELD_NUMBER: _ClassVar[int]
    slot: str
    def __init__(self, slot: _Optional[str] = ...) -> None: ...

class ListKeyVersionsResponse(_message.Message):
    __slots__ = ("versions", "problems")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[KeyVersion]
    problems: _containers.RepeatedCompositeFieldContainer[KeyProblem]
    def __init__(self, versions: _Optional[_Iterable[_Union[KeyVersion, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[KeyProblem, _Mapping]]] = ...) -> None: ...

class RotateKeyRequest(_message.Message):
    __slots__ = ("slot", "version")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RotateKeyResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: KeyVersion
    def __init__(self, version: _Optional[_Union[KeyVersion, _Mapping]] = ...) -> None: ...

class PromoteKeyRequest(_message.Message):
    __slots__ = ("slot", "version")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class PromoteKeyResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: KeyVersion
    def __init__(self, version: _Optional[_Union[KeyVersion, _Mapping]] = ...) -> None: ...

class RevokeKeyRequest(_message.Message):
    __slots__ = ("slot", "version", "force")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    slot: str
    version: int
    force: bool
    def __init__(self, slot: _Optional[str] = ..., version: _Optional[int] = ..., force: bool = ...) -> None: ...

class RevokeKeyResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: KeyVersion
    def __init__(self, version: _Optional[_Union[KeyVersion, _Mapping]] = ...) -> None: ...

class WatchKeyUseRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchKeyUseResponse(_message.Message):
    __slots__ = ("uses", "problems")
    USES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    uses: _containers.RepeatedCompositeFieldContainer[KeyUse]
    problems: _containers.RepeatedCompositeFieldContainer[KeyProblem]
    def __init__(self, uses: _Optional[_Iterable[_Union[KeyUse, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[KeyProblem, _Mapping]]] = ...) -> None: ...

class RefreshKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RefreshKeysResponse(_message.Message):
    __slots__ = ("uses", "problems")
    USES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    uses: _containers.RepeatedCompositeFieldContainer[KeyUse]
    problems: _containers.RepeatedCompositeFieldContainer[KeyProblem]
    def __init__(self, uses: _Optional[_Iterable[_Union[KeyUse, _Mapping]]] = ..., problems: _Optional[_Iterable[_Union[KeyProblem, _Mapping]]] = ...) -> None: ...
