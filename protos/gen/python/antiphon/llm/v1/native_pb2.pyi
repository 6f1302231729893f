from antiphon.llm.v1 import http_pb2 as _http_pb2
from antiphon.llm.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HttpRequest(_message.Message):
    __slots__ = ("method", "path", "headers", "body")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    method: str
    path: str
    headers: _containers.RepeatedCompositeFieldContainer[_http_pb2.HttpHeader]
    body: bytes
    def __init__(self, method: _Optional[str] = ..., path: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[_http_pb2.HttpHeader, _Mapping]]] = ..., body: _Optional[bytes] = ...) -> None: ...

class CallNativeRequest(_message.Message):
    __slots__ = ("model", "request", "dialect", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    request: HttpRequest
    dialect: str
    options: _options_pb2.CallOptions
    def __init__(self, model: _Optional[str] = ..., request: _Optional[_Union[HttpRequest, _Mapping]] = ..., dialect: _Optional[str] = ..., options: _Optional[_Union[_options_pb2.CallOptions, _Mapping]] = ...) -> None: ...

class CallNativeResponse(_message.Message):
    __slots__ = ("http_status", "headers", "body")
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    http_status: int
    headers: _containers.RepeatedCompositeFieldContainer[_http_pb2.HttpHeader]
    body: bytes
    def __init__(self, http_status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[_http_pb2.HttpHeader, _Mapping]]] = ..., body: _Optional[bytes] = ...) -> None: ...

class StreamNativeRequest(_message.Message):
    __slots__ = ("model", "request", "dialect", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    request: HttpRequest
    dialect: str
    options: _options_pb2.CallOptions
    def __init__(self, model: _Optional[str] = ..., request: _Optional[_Union[HttpRequest, _Mapping]] = ..., dialect: _Optional[str] = ..., options: _Optional[_Union[_options_pb2.CallOptions, _Mapping]] = ...) -> None: ...

class StreamNativeResponse(_message.Message):
    __slots__ = ("http_status", "headers", "body")
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    http_status: int
    headers: _containers.RepeatedCompositeFieldContainer[_http_pb2.HttpHeader]
    body: bytes
    def __init__(self, http_status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[_http_pb2.HttpHeader, _Mapping]]] = ..., body: _Optional[bytes] = ...) -> None: ...
