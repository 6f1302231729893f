import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Support(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUPPORT_UNSPECIFIED: _ClassVar[Support]
    SUPPORT_NATIVE: _ClassVar[Support]
    SUPPORT_EMULATED: _ClassVar[Support]
    SUPPORT_IGNORED: _ClassVar[Support]
    SUPPORT_REJECTED: _ClassVar[Support]
SUPPORT_UNSPECIFIED: Support
SUPPORT_NATIVE: Support
SUPPORT_EMULATED: Support
SUPPORT_IGNORED: Support
SUPPORT_REJECTED: Support

class Model(_message.Message):
    __slots__ = ("id", "provider", "native_id", "aliases", "display_name", "lifecycle", "create_time", "retire_time", "max_input_tokens", "max_output_tokens", "operations", "support", "input_modalities", "output_modalities", "reasoning_efforts", "provider_tools", "native_json")
    class Lifecycle(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LIFECYCLE_UNSPECIFIED: _ClassVar[Model.Lifecycle]
        LIFECYCLE_ACTIVE: _ClassVar[Model.Lifecycle]
        LIFECYCLE_DEPRECATED: _ClassVar[Model.Lifecycle]
        LIFECYCLE_RETIRED: _ClassVar[Model.Lifecycle]
    LIFECYCLE_UNSPECIFIED: Model.Lifecycle
    LIFECYCLE_ACTIVE: Model.Lifecycle
    LIFECYCLE_DEPRECATED: Model.Lifecycle
    LIFECYCLE_RETIRED: Model.Lifecycle
    class SupportEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Support
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Support, str]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    NATIVE_ID_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    LIFECYCLE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RETIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_FIELD_NUMBER: _ClassVar[int]
    INPUT_MODALITIES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MODALITIES_FIELD_NUMBER: _ClassVar[int]
    REASONING_EFFORTS_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TOOLS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider: str
    native_id: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    display_name: str
    lifecycle: Model.Lifecycle
    create_time: _timestamp_pb2.Timestamp
    retire_time: _timestamp_pb2.Timestamp
    max_input_tokens: int
    max_output_tokens: int
    operations: _containers.RepeatedScalarFieldContainer[str]
    support: _containers.ScalarMap[str, Support]
    input_modalities: _containers.RepeatedScalarFieldContainer[str]
    output_modalities: _containers.RepeatedScalarFieldContainer[str]
    reasoning_efforts: _containers.RepeatedScalarFieldContainer[str]
    provider_tools: _containers.RepeatedScalarFieldContainer[str]
    native_json: str
    def __init__(self, id: _Optional[str] = ..., provider: _Optional[str] = ..., native_id: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., display_name: _Optional[str] = ..., lifecycle: _Optional[_Union[Model.Lifecycle, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_input_tokens: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., operations: _Optional[_Iterable[str]] = ..., support: _Optional[_Mapping[str, Support]] = ..., input_modalities: _Optional[_Iterable[str]] = ..., output_modalities: _Optional[_Iterable[str]] = ..., reasoning_efforts: _Optional[_Iterable[str]] = ..., provider_tools: _Optional[_Iterable[str]] = ..., native_json: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("provider", "page_size", "page_token")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    provider: str
    page_size: int
    page_token: str
    def __init__(self, provider: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...
