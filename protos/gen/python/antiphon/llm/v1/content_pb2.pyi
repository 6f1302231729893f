from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_SYSTEM: _ClassVar[Role]
    ROLE_DEVELOPER: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_ASSISTANT: _ClassVar[Role]
    ROLE_TOOL: _ClassVar[Role]
ROLE_UNSPECIFIED: Role
ROLE_SYSTEM: Role
ROLE_DEVELOPER: Role
ROLE_USER: Role
ROLE_ASSISTANT: Role
ROLE_TOOL: Role

class Message(_message.Message):
    __slots__ = ("role", "parts", "name", "id", "prefill", "opaque", "provider_json")
    class ProviderJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PREFILL_FIELD_NUMBER: _ClassVar[int]
    OPAQUE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_JSON_FIELD_NUMBER: _ClassVar[int]
    role: Role
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    name: str
    id: str
    prefill: bool
    opaque: _containers.RepeatedCompositeFieldContainer[OpaqueState]
    provider_json: _containers.ScalarMap[str, str]
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., name: _Optional[str] = ..., id: _Optional[str] = ..., prefill: bool = ..., opaque: _Optional[_Iterable[_Union[OpaqueState, _Mapping]]] = ..., provider_json: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("text", "reasoning", "tool_call", "tool_result", "media", "document", "refusal", "compaction", "native", "id", "cache", "opaque", "phase", "provider_json")
    class ProviderJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    TOOL_RESULT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    COMPACTION_FIELD_NUMBER: _ClassVar[int]
    NATIVE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    OPAQUE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_JSON_FIELD_NUMBER: _ClassVar[int]
    text: TextPart
    reasoning: ReasoningPart
    tool_call: ToolCall
    tool_result: ToolResult
    media: Media
    document: Document
    refusal: RefusalPart
    compaction: CompactionPart
    native: NativePart
    id: str
    cache: CacheHint
    opaque: _containers.RepeatedCompositeFieldContainer[OpaqueState]
    phase: str
    provider_json: _containers.ScalarMap[str, str]
    def __init__(self, text: _Optional[_Union[TextPart, _Mapping]] = ..., reasoning: _Optional[_Union[ReasoningPart, _Mapping]] = ..., tool_call: _Optional[_Union[ToolCall, _Mapping]] = ..., tool_result: _Optional[_Union[ToolResult, _Mapping]] = ..., media: _Optional[_Union[Media, _Mapping]] = ..., document: _Optional[_Union[Document, _Mapping]] = ..., refusal: _Optional[_Union[RefusalPart, _Mapping]] = ..., compaction: _Optional[_Union[CompactionPart, _Mapping]] = ..., native: _Optional[_Union[NativePart, _Mapping]] = ..., id: _Optional[str] = ..., cache: _Optional[_Union[CacheHint, _Mapping]] = ..., opaque: _Optional[_Iterable[_Union[OpaqueState, _Mapping]]] = ..., phase: _Optional[str] = ..., provider_json: _Optional[_Mapping[str, str]] = ...) -> None: ...

class TextPart(_message.Message):
    __slots__ = ("text", "citations")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    text: str
    citations: _containers.RepeatedCompositeFieldContainer[Citation]
    def __init__(self, text: _Optional[str] = ..., citations: _Optional[_Iterable[_Union[Citation, _Mapping]]] = ...) -> None: ...

class ReasoningPart(_message.Message):
    __slots__ = ("text", "visibility", "label")
    class Visibility(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VISIBILITY_UNSPECIFIED: _ClassVar[ReasoningPart.Visibility]
        VISIBILITY_FULL: _ClassVar[ReasoningPart.Visibility]
        VISIBILITY_SUMMARY: _ClassVar[ReasoningPart.Visibility]
        VISIBILITY_REDACTED: _ClassVar[ReasoningPart.Visibility]
    VISIBILITY_UNSPECIFIED: ReasoningPart.Visibility
    VISIBILITY_FULL: ReasoningPart.Visibility
    VISIBILITY_SUMMARY: ReasoningPart.Visibility
    VISIBILITY_REDACTED: ReasoningPart.Visibility
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    text: str
    visibility: ReasoningPart.Visibility
    label: str
    def __init__(self, text: _Optional[str] = ..., visibility: _Optional[_Union[ReasoningPart.Visibility, str]] = ..., label: _Optional[str] = ...) -> None: ...

class RefusalPart(_message.Message):
    __slots__ = ("text", "category")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    text: str
    category: str
    def __init__(self, text: _Optional[str] = ..., category: _Optional[str] = ...) -> None: ...

class CompactionPart(_message.Message):
    __slots__ = ("summary",)
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    summary: str
    def __init__(self, summary: _Optional[str] = ...) -> None: ...

class NativePart(_message.Message):
    __slots__ = ("provider", "native_type", "native_json")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    NATIVE_TYPE_FIELD_NUMBER: _ClassVar[int]
    NATIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    provider: str
    native_type: str
    native_json: str
    def __init__(self, provider: _Optional[str] = ..., native_type: _Optional[str] = ..., native_json: _Optional[str] = ...) -> None: ...

class OpaqueState(_message.Message):
    __slots__ = ("issuer", "kind", "data", "state_domain", "model")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    STATE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    kind: str
    data: bytes
    state_domain: str
    model: str
    def __init__(self, issuer: _Optional[str] = ..., kind: _Optional[str] = ..., data: _Optional[bytes] = ..., state_domain: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class CacheHint(_message.Message):
    __slots__ = ("ttl",)
    TTL_FIELD_NUMBER: _ClassVar[int]
    ttl: str
    def __init__(self, ttl: _Optional[str] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("id", "name", "input", "kind", "input_state", "capability", "tool_namespace", "caller_id")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ToolCall.Kind]
        KIND_FUNCTION: _ClassVar[ToolCall.Kind]
        KIND_CUSTOM: _ClassVar[ToolCall.Kind]
        KIND_PROVIDER: _ClassVar[ToolCall.Kind]
    KIND_UNSPECIFIED: ToolCall.Kind
    KIND_FUNCTION: ToolCall.Kind
    KIND_CUSTOM: ToolCall.Kind
    KIND_PROVIDER: ToolCall.Kind
    class InputState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        INPUT_STATE_UNSPECIFIED: _ClassVar[ToolCall.InputState]
        INPUT_STATE_COMPLETE: _ClassVar[ToolCall.InputState]
        INPUT_STATE_TRUNCATED: _ClassVar[ToolCall.InputState]
        INPUT_STATE_INVALID_JSON: _ClassVar[ToolCall.InputState]
    INPUT_STATE_UNSPECIFIED: ToolCall.InputState
    INPUT_STATE_COMPLETE: ToolCall.InputState
    INPUT_STATE_TRUNCATED: ToolCall.InputState
    INPUT_STATE_INVALID_JSON: ToolCall.InputState
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INPUT_STATE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    TOOL_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CALLER_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    input: str
    kind: ToolCall.Kind
    input_state: ToolCall.InputState
    capability: str
    tool_namespace: str
    caller_id: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., input: _Optional[str] = ..., kind: _Optional[_Union[ToolCall.Kind, str]] = ..., input_state: _Optional[_Union[ToolCall.InputState, str]] = ..., capability: _Optional[str] = ..., tool_namespace: _Optional[str] = ..., caller_id: _Optional[str] = ...) -> None: ...

class ToolResult(_message.Message):
    __slots__ = ("tool_call_id", "name", "parts", "data_json", "is_error")
    TOOL_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    IS_ERROR_FIELD_NUMBER: _ClassVar[int]
    tool_call_id: str
    name: str
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    data_json: str
    is_error: bool
    def __init__(self, tool_call_id: _Optional[str] = ..., name: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., data_json: _Optional[str] = ..., is_error: bool = ...) -> None: ...

class Media(_message.Message):
    __slots__ = ("mime_type", "data", "uri", "file", "filename", "detail", "transcript")
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    mime_type: str
    data: bytes
    uri: str
    file: FileRef
    filename: str
    detail: str
    transcript: str
    def __init__(self, mime_type: _Optional[str] = ..., data: _Optional[bytes] = ..., uri: _Optional[str] = ..., file: _Optional[_Union[FileRef, _Mapping]] = ..., filename: _Optional[str] = ..., detail: _Optional[str] = ..., transcript: _Optional[str] = ...) -> None: ...

class FileRef(_message.Message):
    __slots__ = ("provider", "file_id", "state_domain")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    provider: str
    file_id: str
    state_domain: str
    def __init__(self, provider: _Optional[str] = ..., file_id: _Optional[str] = ..., state_domain: _Optional[str] = ...) -> None: ...

class Document(_message.Message):
    __slots__ = ("id", "title", "context", "source_uri", "text", "data_json", "media", "parts", "enable_citations")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_URI_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    MEDIA_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    ENABLE_CITATIONS_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    context: str
    source_uri: str
    text: str
    data_json: str
    media: Media
    parts: PartList
    enable_citations: bool
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., context: _Optional[str] = ..., source_uri: _Optional[str] = ..., text: _Optional[str] = ..., data_json: _Optional[str] = ..., media: _Optional[_Union[Media, _Mapping]] = ..., parts: _Optional[_Union[PartList, _Mapping]] = ..., enable_citations: bool = ...) -> None: ...

class PartList(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    def __init__(self, parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ...) -> None: ...

class TokenIds(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Citation(_message.Message):
    __slots__ = ("start", "end", "cited_text", "sources", "provider_json")
    class ProviderJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    CITED_TEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_JSON_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    cited_text: str
    sources: _containers.RepeatedCompositeFieldContainer[CitationSource]
    provider_json: _containers.ScalarMap[str, str]
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ..., cited_text: _Optional[str] = ..., sources: _Optional[_Iterable[_Union[CitationSource, _Mapping]]] = ..., provider_json: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CitationSource(_message.Message):
    __slots__ = ("uri", "document", "tool", "file", "title")
    URI_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    uri: UriSource
    document: DocumentSource
    tool: ToolSource
    file: FileRef
    title: str
    def __init__(self, uri: _Optional[_Union[UriSource, _Mapping]] = ..., document: _Optional[_Union[DocumentSource, _Mapping]] = ..., tool: _Optional[_Union[ToolSource, _Mapping]] = ..., file: _Optional[_Union[FileRef, _Mapping]] = ..., title: _Optional[str] = ...) -> None: ...

class UriSource(_message.Message):
    __slots__ = ("uri",)
    URI_FIELD_NUMBER: _ClassVar[int]
    uri: str
    def __init__(self, uri: _Optional[str] = ...) -> None: ...

class DocumentSource(_message.Message):
    __slots__ = ("document_id", "document_index", "start_char", "end_char", "start_page", "end_page", "start_block", "end_block")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_INDEX_FIELD_NUMBER: _ClassVar[int]
    START_CHAR_FIELD_NUMBER: _ClassVar[int]
    END_CHAR_FIELD_NUMBER: _ClassVar[int]
    START_PAGE_FIELD_NUMBER: _ClassVar[int]
    END_PAGE_FIELD_NUMBER: _ClassVar[int]
    START_BLOCK_FIELD_NUMBER: _ClassVar[int]
    END_BLOCK_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    document_index: int
    start_char: int
    end_char: int
    start_page: int
    end_page: int
    start_block: int
    end_block: int
    def __init__(self, document_id: _Optional[str] = ..., document_index: _Optional[int] = ..., start_char: _Optional[int] = ..., end_char: _Optional[int] = ..., start_page: _Optional[int] = ..., end_page: _Optional[int] = ..., start_block: _Optional[int] = ..., end_block: _Optional[int] = ...) -> None: ...

class ToolSource(_message.Message):
    __slots__ = ("tool_call_id", "output_json")
    TOOL_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    tool_call_id: str
    output_json: str
    def __init__(self, tool_call_id: _Optional[str] = ..., output_json: _Optional[str] = ...) -> None: ...
