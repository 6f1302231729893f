from antiphon.llm.v1 import content_pb2 as _content_pb2
from antiphon.llm.v1 import options_pb2 as _options_pb2
from antiphon.llm.v1 import response_pb2 as _response_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedInput(_message.Message):
    __slots__ = ("text", "tokens", "parts")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    text: str
    tokens: _content_pb2.TokenIds
    parts: _content_pb2.PartList
    def __init__(self, text: _Optional[str] = ..., tokens: _Optional[_Union[_content_pb2.TokenIds, _Mapping]] = ..., parts: _Optional[_Union[_content_pb2.PartList, _Mapping]] = ...) -> None: ...

class EmbedParams(_message.Message):
    __slots__ = ("input_type", "dimensions", "encodings", "truncate")
    INPUT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    ENCODINGS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_FIELD_NUMBER: _ClassVar[int]
    input_type: str
    dimensions: int
    encodings: _containers.RepeatedScalarFieldContainer[str]
    truncate: str
    def __init__(self, input_type: _Optional[str] = ..., dimensions: _Optional[int] = ..., encodings: _Optional[_Iterable[str]] = ..., truncate: _Optional[str] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("model", "inputs", "params", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    inputs: _containers.RepeatedCompositeFieldContainer[EmbedInput]
    params: EmbedParams
    options: _options_pb2.CallOptions
    def __init__(self, model: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[EmbedInput, _Mapping]]] = ..., params: _Optional[_Union[EmbedParams, _Mapping]] = ..., options: _Optional[_Union[_options_pb2.CallOptions, _Mapping]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("start", "sets", "end", "native")
    START_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    NATIVE_FIELD_NUMBER: _ClassVar[int]
    start: _response_pb2.ResponseStart
    sets: _containers.RepeatedCompositeFieldContainer[EmbeddingSet]
    end: _response_pb2.ResponseEnd
    native: bytes
    def __init__(self, start: _Optional[_Union[_response_pb2.ResponseStart, _Mapping]] = ..., sets: _Optional[_Iterable[_Union[EmbeddingSet, _Mapping]]] = ..., end: _Optional[_Union[_response_pb2.ResponseEnd, _Mapping]] = ..., native: _Optional[bytes] = ...) -> None: ...

class EmbeddingSet(_message.Message):
    __slots__ = ("encoding", "rows", "dimensions", "data")
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    encoding: str
    rows: int
    dimensions: int
    data: bytes
    def __init__(self, encoding: _Optional[str] = ..., rows: _Optional[int] = ..., dimensions: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
