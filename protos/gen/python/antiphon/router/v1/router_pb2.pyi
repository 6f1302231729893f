import datetime

from antiphon.llm.v1 import error_pb2 as _error_pb2
from antiphon.router.v1 import health_pb2 as _health_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Backend(_message.Message):
    __slots__ = ("id", "address", "provider", "state_domain", "summary", "targets", "models", "max_in_flight")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    STATE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    provider: str
    state_domain: str
    summary: _health_pb2.Target
    targets: _containers.RepeatedCompositeFieldContainer[_health_pb2.Target]
    models: _containers.RepeatedCompositeFieldContainer[BackendModel]
    max_in_flight: int
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ..., provider: _Optional[str] = ..., state_domain: _Optional[str] = ..., summary: _Optional[_Union[_health_pb2.Target, _Mapping]] = ..., targets: _Optional[_Iterable[_Union[_health_pb2.Target, _Mapping]]] = ..., models: _Optional[_Iterable[_Union[BackendModel, _Mapping]]] = ..., max_in_flight: _Optional[int] = ...) -> None: ...

class BackendModel(_message.Message):
    __slots__ = ("model", "native_id", "pool")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NATIVE_ID_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    model: str
    native_id: str
    pool: str
    def __init__(self, model: _Optional[str] = ..., native_id: _Optional[str] = ..., pool: _Optional[str] = ...) -> None: ...

class ExplainRouteRequest(_message.Message):
    __slots__ = ("model", "provider", "affinity", "cache_affinity", "after_content")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    CACHE_AFFINITY_FIELD_NUMBER: _ClassVar[int]
    AFTER_CONTENT_FIELD_NUMBER: _ClassVar[int]
    model: str
    provider: str
    affinity: str
    cache_affinity: str
    after_content: str
    def __init__(self, model: _Optional[str] = ..., provider: _Optional[str] = ..., affinity: _Optional[str] = ..., cache_affinity: _Optional[str] = ..., after_content: _Optional[str] = ...) -> None: ...

class ExplainRouteResponse(_message.Message):
    __slots__ = ("model", "rule", "candidates", "after_content", "refusal")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    AFTER_CONTENT_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    model: str
    rule: str
    candidates: _containers.RepeatedCompositeFieldContainer[RouteCandidate]
    after_content: str
    refusal: _error_pb2.CallError
    def __init__(self, model: _Optional[str] = ..., rule: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[RouteCandidate, _Mapping]]] = ..., after_content: _Optional[str] = ..., refusal: _Optional[_Union[_error_pb2.CallError, _Mapping]] = ...) -> None: ...

class RouteCandidate(_message.Message):
    __slots__ = ("backend", "replica", "native_id", "tier", "share", "long_context", "blocked_by", "why")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    NATIVE_ID_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    LONG_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    backend: str
    replica: str
    native_id: str
    tier: int
    share: float
    long_context: bool
    blocked_by: _containers.RepeatedCompositeFieldContainer[_health_pb2.Target]
    why: str
    def __init__(self, backend: _Optional[str] = ..., replica: _Optional[str] = ..., native_id: _Optional[str] = ..., tier: _Optional[int] = ..., share: _Optional[float] = ..., long_context: bool = ..., blocked_by: _Optional[_Iterable[_Union[_health_pb2.Target, _Mapping]]] = ..., why: _Optional[str] = ...) -> None: ...

class EnableTargetRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class EnableTargetResponse(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[_health_pb2.Target]
    def __init__(self, targets: _Optional[_Iterable[_Union[_health_pb2.Target, _Mapping]]] = ...) -> None: ...

class ListBackendsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBackendsResponse(_message.Message):
    __slots__ = ("backends", "next_page_token", "routes", "fleet")
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    backends: _containers.RepeatedCompositeFieldContainer[Backend]
    next_page_token: str
    routes: RoutesInUse
    fleet: FleetLink
    def __init__(self, backends: _Optional[_Iterable[_Union[Backend, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., routes: _Optional[_Union[RoutesInUse, _Mapping]] = ..., fleet: _Optional[_Union[FleetLink, _Mapping]] = ...) -> None: ...

class RoutesInUse(_message.Message):
    __slots__ = ("version", "load_time", "problems", "problem_time")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LOAD_TIME_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_TIME_FIELD_NUMBER: _ClassVar[int]
    version: str
    load_time: _timestamp_pb2.Timestamp
    problems: _containers.RepeatedScalarFieldContainer[str]
    problem_time: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[str] = ..., load_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., problems: _Optional[_Iterable[str]] = ..., problem_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FleetLink(_message.Message):
    __slots__ = ("store", "connected", "since_time", "facts")
    STORE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    store: str
    connected: bool
    since_time: _timestamp_pb2.Timestamp
    facts: int
    def __init__(self, store: _Optional[str] = ..., connected: bool = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., facts: _Optional[int] = ...) -> None: ...
