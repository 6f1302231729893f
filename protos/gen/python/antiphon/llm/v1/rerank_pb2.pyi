from antiphon.llm.v1 import content_pb2 as _content_pb2
from antiphon.llm.v1 import options_pb2 as _options_pb2
from antiphon.llm.v1 import response_pb2 as _response_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RerankInput(_message.Message):
    __slots__ = ("query", "documents")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    query: str
    documents: _containers.RepeatedCompositeFieldContainer[_content_pb2.Document]
    def __init__(self, query: _Optional[str] = ..., documents: _Optional[_Iterable[_Union[_content_pb2.Document, _Mapping]]] = ...) -> None: ...

class RerankParams(_message.Message):
    __slots__ = ("top_n", "max_tokens_per_document")
    TOP_N_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_PER_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    top_n: int
    max_tokens_per_document: int
    def __init__(self, top_n: _Optional[int] = ..., max_tokens_per_document: _Optional[int] = ...) -> None: ...

class RerankRequest(_message.Message):
    __slots__ = ("model", "input", "params", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    input: RerankInput
    params: RerankParams
    options: _options_pb2.CallOptions
    def __init__(self, model: _Optional[str] = ..., input: _Optional[_Union[RerankInput, _Mapping]] = ..., params: _Optional[_Union[RerankParams, _Mapping]] = ..., options: _Optional[_Union[_options_pb2.CallOptions, _Mapping]] = ...) -> None: ...

class RerankResponse(_message.Message):
    __slots__ = ("start", "results", "end", "native")
    START_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    NATIVE_FIELD_NUMBER: _ClassVar[int]
    start: _response_pb2.ResponseStart
    results: _containers.RepeatedCompositeFieldContainer[RerankResult]
    end: _response_pb2.ResponseEnd
    native: bytes
    def __init__(self, start: _Optional[_Union[_response_pb2.ResponseStart, _Mapping]] = ..., results: _Optional[_Iterable[_Union[RerankResult, _Mapping]]] = ..., end: _Optional[_Union[_response_pb2.ResponseEnd, _Mapping]] = ..., native: _Optional[bytes] = ...) -> None: ...

class RerankResult(_message.Message):
    __slots__ = ("index", "score", "native_json")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    NATIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    index: int
    score: float
    native_json: str
    def __init__(self, index: _Optional[int] = ..., score: _Optional[float] = ..., native_json: _Optional[str] = ...) -> None: ...
