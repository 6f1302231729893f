import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Usage(_message.Message):
    __slots__ = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "reasoning_output_tokens", "by_modality", "cache_write_by_ttl", "billed_units", "provider_tool_calls", "source", "native_json")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[Usage.Source]
        SOURCE_PROVIDER: _ClassVar[Usage.Source]
        SOURCE_PROVIDER_PARTIAL: _ClassVar[Usage.Source]
        SOURCE_GATEWAY_ESTIMATE: _ClassVar[Usage.Source]
    SOURCE_UNSPECIFIED: Usage.Source
    SOURCE_PROVIDER: Usage.Source
    SOURCE_PROVIDER_PARTIAL: Usage.Source
    SOURCE_GATEWAY_ESTIMATE: Usage.Source
    class CacheWriteByTtlEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class BilledUnitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ProviderToolCallsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BY_MODALITY_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_BY_TTL_FIELD_NUMBER: _ClassVar[int]
    BILLED_UNITS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NATIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    reasoning_output_tokens: int
    by_modality: _containers.RepeatedCompositeFieldContainer[ModalityTokens]
    cache_write_by_ttl: _containers.ScalarMap[str, int]
    billed_units: _containers.ScalarMap[str, float]
    provider_tool_calls: _containers.ScalarMap[str, int]
    source: Usage.Source
    native_json: str
    def __init__(self, input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cache_read_input_tokens: _Optional[int] = ..., cache_write_input_tokens: _Optional[int] = ..., reasoning_output_tokens: _Optional[int] = ..., by_modality: _Optional[_Iterable[_Union[ModalityTokens, _Mapping]]] = ..., cache_write_by_ttl: _Optional[_Mapping[str, int]] = ..., billed_units: _Optional[_Mapping[str, float]] = ..., provider_tool_calls: _Optional[_Mapping[str, int]] = ..., source: _Optional[_Union[Usage.Source, str]] = ..., native_json: _Optional[str] = ...) -> None: ...

class ModalityTokens(_message.Message):
    __slots__ = ("modality", "input_tokens", "output_tokens", "cache_read_input_tokens")
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    modality: str
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    def __init__(self, modality: _Optional[str] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cache_read_input_tokens: _Optional[int] = ...) -> None: ...

class Cost(_message.Message):
    __slots__ = ("currency", "amount_pico", "source", "price_table_version", "estimated")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[Cost.Source]
        SOURCE_PROVIDER: _ClassVar[Cost.Source]
        SOURCE_PRICE_TABLE: _ClassVar[Cost.Source]
    SOURCE_UNSPECIFIED: Cost.Source
    SOURCE_PROVIDER: Cost.Source
    SOURCE_PRICE_TABLE: Cost.Source
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_PICO_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TABLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    currency: str
    amount_pico: int
    source: Cost.Source
    price_table_version: str
    estimated: bool
    def __init__(self, currency: _Optional[str] = ..., amount_pico: _Optional[int] = ..., source: _Optional[_Union[Cost.Source, str]] = ..., price_table_version: _Optional[str] = ..., estimated: bool = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queue_duration", "connect_duration", "time_to_first_byte", "time_to_first_content", "total_duration")
    QUEUE_DURATION_FIELD_NUMBER: _ClassVar[int]
    CONNECT_DURATION_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_BYTE_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_CONTENT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_DURATION_FIELD_NUMBER: _ClassVar[int]
    queue_duration: _duration_pb2.Duration
    connect_duration: _duration_pb2.Duration
    time_to_first_byte: _duration_pb2.Duration
    time_to_first_content: _duration_pb2.Duration
    total_duration: _duration_pb2.Duration
    def __init__(self, queue_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., connect_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_to_first_byte: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_to_first_content: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., total_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
