from antiphon.llm.v1 import content_pb2 as _content_pb2
from antiphon.llm.v1 import options_pb2 as _options_pb2
from antiphon.llm.v1 import params_pb2 as _params_pb2
from antiphon.llm.v1 import response_pb2 as _response_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CompletionPrompt(_message.Message):
    __slots__ = ("text", "tokens", "suffix", "echo")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    ECHO_FIELD_NUMBER: _ClassVar[int]
    text: str
    tokens: _content_pb2.TokenIds
    suffix: str
    echo: bool
    def __init__(self, text: _Optional[str] = ..., tokens: _Optional[_Union[_content_pb2.TokenIds, _Mapping]] = ..., suffix: _Optional[str] = ..., echo: bool = ...) -> None: ...

class CompleteRequest(_message.Message):
    __slots__ = ("model", "prompt", "params", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: CompletionPrompt
    params: _params_pb2.GenerateParams
    options: _options_pb2.CallOptions
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[_Union[CompletionPrompt, _Mapping]] = ..., params: _Optional[_Union[_params_pb2.GenerateParams, _Mapping]] = ..., options: _Optional[_Union[_options_pb2.CallOptions, _Mapping]] = ...) -> None: ...

class CompleteResponse(_message.Message):
    __slots__ = ("start", "candidates", "end", "native")
    START_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    NATIVE_FIELD_NUMBER: _ClassVar[int]
    start: _response_pb2.ResponseStart
    candidates: _containers.RepeatedCompositeFieldContainer[_response_pb2.Candidate]
    end: _response_pb2.ResponseEnd
    native: bytes
    def __init__(self, start: _Optional[_Union[_response_pb2.ResponseStart, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[_response_pb2.Candidate, _Mapping]]] = ..., end: _Optional[_Union[_response_pb2.ResponseEnd, _Mapping]] = ..., native: _Optional[bytes] = ...) -> None: ...

class StreamCompleteRequest(_message.Message):
    __slots__ = ("model", "prompt", "params", "options", "stream")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: CompletionPrompt
    params: _params_pb2.GenerateParams
    options: _options_pb2.CallOptions
    stream: _options_pb2.StreamOptions
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[_Union[CompletionPrompt, _Mapping]] = ..., params: _Optional[_Union[_params_pb2.GenerateParams, _Mapping]] = ..., options: _Optional[_Union[_options_pb2.CallOptions, _Mapping]] = ..., stream: _Optional[_Union[_options_pb2.StreamOptions, _Mapping]] = ...) -> None: ...

class StreamCompleteResponse(_message.Message):
    __slots__ = ("first_sequence", "events")
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    first_sequence: int
    events: _containers.RepeatedCompositeFieldContainer[_response_pb2.StreamEvent]
    def __init__(self, first_sequence: _Optional[int] = ..., events: _Optional[_Iterable[_Union[_response_pb2.StreamEvent, _Mapping]]] = ...) -> None: ...
