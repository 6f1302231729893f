from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Suite(_message.Message):
    __slots__ = ("backends", "routes", "compat", "default_llm")
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    COMPAT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LLM_FIELD_NUMBER: _ClassVar[int]
    backends: _containers.RepeatedCompositeFieldContainer[Backend]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    compat: _containers.RepeatedCompositeFieldContainer[CompatServer]
    default_llm: str
    def __init__(self, backends: _Optional[_Iterable[_Union[Backend, _Mapping]]] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., compat: _Optional[_Iterable[_Union[CompatServer, _Mapping]]] = ..., default_llm: _Optional[str] = ...) -> None: ...

class Backend(_message.Message):
    __slots__ = ("id", "provider", "addresses", "state_domain", "default_model", "max_in_flight")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    STATE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    state_domain: str
    default_model: str
    max_in_flight: int
    def __init__(self, id: _Optional[str] = ..., provider: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., state_domain: _Optional[str] = ..., default_model: _Optional[str] = ..., max_in_flight: _Optional[int] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("model", "targets")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    model: str
    targets: _containers.RepeatedCompositeFieldContainer[RouteTarget]
    def __init__(self, model: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[RouteTarget, _Mapping]]] = ...) -> None: ...

class RouteTarget(_message.Message):
    __slots__ = ("backend", "model", "tier", "weight")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    backend: str
    model: str
    tier: int
    weight: int
    def __init__(self, backend: _Optional[str] = ..., model: _Optional[str] = ..., tier: _Optional[int] = ..., weight: _Optional[int] = ...) -> None: ...

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
