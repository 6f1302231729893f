import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AfterContent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AFTER_CONTENT_UNSPECIFIED: _ClassVar[AfterContent]
    AFTER_CONTENT_RESTART: _ClassVar[AfterContent]
    AFTER_CONTENT_HOLD: _ClassVar[AfterContent]

class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_UNSPECIFIED: _ClassVar[Order]
    ORDER_CHEAPEST: _ClassVar[Order]
AFTER_CONTENT_UNSPECIFIED: AfterContent
AFTER_CONTENT_RESTART: AfterContent
AFTER_CONTENT_HOLD: AfterContent
ORDER_UNSPECIFIED: Order
ORDER_CHEAPEST: Order

class Suite(_message.Message):
    __slots__ = ("backends", "routes", "compat", "default_llm", "limits", "fleet")
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    COMPAT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LLM_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    backends: _containers.RepeatedCompositeFieldContainer[Backend]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    compat: _containers.RepeatedCompositeFieldContainer[CompatServer]
    default_llm: str
    limits: Limits
    fleet: Fleet
    def __init__(self, backends: _Optional[_Iterable[_Union[Backend, _Mapping]]] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., compat: _Optional[_Iterable[_Union[CompatServer, _Mapping]]] = ..., default_llm: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., fleet: _Optional[_Union[Fleet, _Mapping]] = ...) -> None: ...

class Backend(_message.Message):
    __slots__ = ("id", "provider", "addresses", "state_domain", "default_model", "max_in_flight", "requests_per_minute", "tokens_per_minute", "relative_cost")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    STATE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_COST_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    state_domain: str
    default_model: str
    max_in_flight: int
    requests_per_minute: int
    tokens_per_minute: int
    relative_cost: float
    def __init__(self, id: _Optional[str] = ..., provider: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., state_domain: _Optional[str] = ..., default_model: _Optional[str] = ..., max_in_flight: _Optional[int] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., relative_cost: _Optional[float] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("model", "targets", "after_content", "hedge", "first_content_timeout", "shadows", "order")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    AFTER_CONTENT_FIELD_NUMBER: _ClassVar[int]
    HEDGE_FIELD_NUMBER: _ClassVar[int]
    FIRST_CONTENT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    model: str
    targets: _containers.RepeatedCompositeFieldContainer[RouteTarget]
    after_content: _containers.RepeatedScalarFieldContainer[AfterContent]
    hedge: Hedge
    first_content_timeout: _duration_pb2.Duration
    shadows: _containers.RepeatedCompositeFieldContainer[Shadow]
    order: Order
    def __init__(self, model: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[RouteTarget, _Mapping]]] = ..., after_content: _Optional[_Iterable[_Union[AfterContent, str]]] = ..., hedge: _Optional[_Union[Hedge, _Mapping]] = ..., first_content_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., shadows: _Optional[_Iterable[_Union[Shadow, _Mapping]]] = ..., order: _Optional[_Union[Order, str]] = ...) -> None: ...

class Hedge(_message.Message):
    __slots__ = ("delay", "max_percent")
    DELAY_FIELD_NUMBER: _ClassVar[int]
    MAX_PERCENT_FIELD_NUMBER: _ClassVar[int]
    delay: _duration_pb2.Duration
    max_percent: float
    def __init__(self, delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_percent: _Optional[float] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("backend", "model", "percent")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    backend: str
    model: str
    percent: float
    def __init__(self, backend: _Optional[str] = ..., model: _Optional[str] = ..., percent: _Optional[float] = ...) -> None: ...

class RouteTarget(_message.Message):
    __slots__ = ("backend", "model", "tier", "weight", "canary_percent", "long_context")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CANARY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    LONG_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    backend: str
    model: str
    tier: int
    weight: int
    canary_percent: float
    long_context: bool
    def __init__(self, backend: _Optional[str] = ..., model: _Optional[str] = ..., tier: _Optional[int] = ..., weight: _Optional[int] = ..., canary_percent: _Optional[float] = ..., long_context: bool = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_in_flight", "max_bytes_in_flight", "default_caller", "callers", "trust_caller_metadata", "adaptive")
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLERS_FIELD_NUMBER: _ClassVar[int]
    TRUST_CALLER_METADATA_FIELD_NUMBER: _ClassVar[int]
    ADAPTIVE_FIELD_NUMBER: _ClassVar[int]
    max_in_flight: int
    max_bytes_in_flight: int
    default_caller: CallerLimit
    callers: _containers.RepeatedCompositeFieldContainer[CallerLimit]
    trust_caller_metadata: bool
    adaptive: bool
    def __init__(self, max_in_flight: _Optional[int] = ..., max_bytes_in_flight: _Optional[int] = ..., default_caller: _Optional[_Union[CallerLimit, _Mapping]] = ..., callers: _Optional[_Iterable[_Union[CallerLimit, _Mapping]]] = ..., trust_caller_metadata: bool = ..., adaptive: bool = ...) -> None: ...

class CallerLimit(_message.Message):
    __slots__ = ("caller", "max_in_flight", "requests_per_minute", "tokens_per_minute", "best_priority")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    BEST_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    caller: str
    max_in_flight: int
    requests_per_minute: int
    tokens_per_minute: int
    best_priority: int
    def __init__(self, caller: _Optional[str] = ..., max_in_flight: _Optional[int] = ..., requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., best_priority: _Optional[int] = ...) -> None: ...

class Fleet(_message.Message):
    __slots__ = ("redis_url", "password", "name")
    REDIS_URL_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    redis_url: str
    password: str
    name: str
    def __init__(self, redis_url: _Optional[str] = ..., password: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class CompatServer(_message.Message):
    __slots__ = ("name", "base_url", "api_key", "max_tokens_field", "stream_usage")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_FIELD_NUMBER: _ClassVar[int]
    STREAM_USAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    base_url: str
    api_key: str
    max_tokens_field: str
    stream_usage: bool
    def __init__(self, name: _Optional[str] = ..., base_url: _Optional[str] = ..., api_key: _Optional[str] = ..., max_tokens_field: _Optional[str] = ..., stream_usage: bool = ...) -> None: ...
