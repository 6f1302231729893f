from antiphon.llm.v1 import content_pb2 as _content_pb2
from antiphon.llm.v1 import http_pb2 as _http_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateParams(_message.Message):
    __slots__ = ("max_output_tokens", "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "stop", "seed", "candidate_count", "logprobs", "top_logprobs", "logit_bias", "reasoning", "output_format", "tool_choice", "parallel_tool_calls", "max_tool_calls", "service_tier", "output_modalities", "store", "end_user_id", "prompt_cache_key", "verbosity")
    class LogitBiasEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: float
        def __init__(self, key: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MIN_P_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_PENALTY_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_PENALTY_FIELD_NUMBER: _ClassVar[int]
    REPETITION_PENALTY_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    TOP_LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    LOGIT_BIAS_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CHOICE_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MODALITIES_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    END_USER_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_CACHE_KEY_FIELD_NUMBER: _ClassVar[int]
    VERBOSITY_FIELD_NUMBER: _ClassVar[int]
    max_output_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    frequency_penalty: float
    presence_penalty: float
    repetition_penalty: float
    stop: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    candidate_count: int
    logprobs: bool
    top_logprobs: int
    logit_bias: _containers.ScalarMap[int, float]
    reasoning: ReasoningParams
    output_format: OutputFormat
    tool_choice: ToolChoice
    parallel_tool_calls: bool
    max_tool_calls: int
    service_tier: str
    output_modalities: _containers.RepeatedScalarFieldContainer[str]
    store: bool
    end_user_id: str
    prompt_cache_key: str
    verbosity: str
    def __init__(self, max_output_tokens: _Optional[int] = ..., temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., min_p: _Optional[float] = ..., frequency_penalty: _Optional[float] = ..., presence_penalty: _Optional[float] = ..., repetition_penalty: _Optional[float] = ..., stop: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., candidate_count: _Optional[int] = ..., logprobs: bool = ..., top_logprobs: _Optional[int] = ..., logit_bias: _Optional[_Mapping[int, float]] = ..., reasoning: _Optional[_Union[ReasoningParams, _Mapping]] = ..., output_format: _Optional[_Union[OutputFormat, _Mapping]] = ..., tool_choice: _Optional[_Union[ToolChoice, _Mapping]] = ..., parallel_tool_calls: bool = ..., max_tool_calls: _Optional[int] = ..., service_tier: _Optional[str] = ..., output_modalities: _Optional[_Iterable[str]] = ..., store: bool = ..., end_user_id: _Optional[str] = ..., prompt_cache_key: _Optional[str] = ..., verbosity: _Optional[str] = ...) -> None: ...

class ReasoningParams(_message.Message):
    __slots__ = ("mode", "effort", "budget_tokens", "summary", "include_opaque_state")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[ReasoningParams.Mode]
        MODE_DISABLED: _ClassVar[ReasoningParams.Mode]
        MODE_ENABLED: _ClassVar[ReasoningParams.Mode]
        MODE_ADAPTIVE: _ClassVar[ReasoningParams.Mode]
    MODE_UNSPECIFIED: ReasoningParams.Mode
    MODE_DISABLED: ReasoningParams.Mode
    MODE_ENABLED: ReasoningParams.Mode
    MODE_ADAPTIVE: ReasoningParams.Mode
    MODE_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_OPAQUE_STATE_FIELD_NUMBER: _ClassVar[int]
    mode: ReasoningParams.Mode
    effort: str
    budget_tokens: int
    summary: str
    include_opaque_state: bool
    def __init__(self, mode: _Optional[_Union[ReasoningParams.Mode, str]] = ..., effort: _Optional[str] = ..., budget_tokens: _Optional[int] = ..., summary: _Optional[str] = ..., include_opaque_state: bool = ...) -> None: ...

class OutputFormat(_message.Message):
    __slots__ = ("json_object", "json_schema", "grammar")
    JSON_OBJECT_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    json_object: JsonObject
    json_schema: JsonSchema
    grammar: Grammar
    def __init__(self, json_object: _Optional[_Union[JsonObject, _Mapping]] = ..., json_schema: _Optional[_Union[JsonSchema, _Mapping]] = ..., grammar: _Optional[_Union[Grammar, _Mapping]] = ...) -> None: ...

class JsonObject(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class JsonSchema(_message.Message):
    __slots__ = ("name", "description", "schema_json", "strict")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    schema_json: str
    strict: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., schema_json: _Optional[str] = ..., strict: bool = ...) -> None: ...

class Grammar(_message.Message):
    __slots__ = ("syntax", "definition")
    SYNTAX_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    syntax: str
    definition: str
    def __init__(self, syntax: _Optional[str] = ..., definition: _Optional[str] = ...) -> None: ...

class Tool(_message.Message):
    __slots__ = ("function", "custom", "provider_tool", "mcp", "cache", "provider_json", "defer_loading")
    class ProviderJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_TOOL_FIELD_NUMBER: _ClassVar[int]
    MCP_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_JSON_FIELD_NUMBER: _ClassVar[int]
    DEFER_LOADING_FIELD_NUMBER: _ClassVar[int]
    function: FunctionTool
    custom: CustomTool
    provider_tool: ProviderTool
    mcp: McpTool
    cache: _content_pb2.CacheHint
    provider_json: _containers.ScalarMap[str, str]
    defer_loading: bool
    def __init__(self, function: _Optional[_Union[FunctionTool, _Mapping]] = ..., custom: _Optional[_Union[CustomTool, _Mapping]] = ..., provider_tool: _Optional[_Union[ProviderTool, _Mapping]] = ..., mcp: _Optional[_Union[McpTool, _Mapping]] = ..., cache: _Optional[_Union[_content_pb2.CacheHint, _Mapping]] = ..., provider_json: _Optional[_Mapping[str, str]] = ..., defer_loading: bool = ...) -> None: ...

class FunctionTool(_message.Message):
    __slots__ = ("name", "description", "input_schema_json", "strict")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    input_schema_json: str
    strict: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., input_schema_json: _Optional[str] = ..., strict: bool = ...) -> None: ...

class CustomTool(_message.Message):
    __slots__ = ("name", "description", "grammar")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    grammar: Grammar
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., grammar: _Optional[_Union[Grammar, _Mapping]] = ...) -> None: ...

class ProviderTool(_message.Message):
    __slots__ = ("capability", "name")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    capability: str
    name: str
    def __init__(self, capability: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class McpTool(_message.Message):
    __slots__ = ("server_label", "server_url", "authorization", "allowed_tools", "headers")
    SERVER_LABEL_FIELD_NUMBER: _ClassVar[int]
    SERVER_URL_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_TOOLS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    server_label: str
    server_url: str
    authorization: str
    allowed_tools: _containers.RepeatedScalarFieldContainer[str]
    headers: _containers.RepeatedCompositeFieldContainer[_http_pb2.HttpHeader]
    def __init__(self, server_label: _Optional[str] = ..., server_url: _Optional[str] = ..., authorization: _Optional[str] = ..., allowed_tools: _Optional[_Iterable[str]] = ..., headers: _Optional[_Iterable[_Union[_http_pb2.HttpHeader, _Mapping]]] = ...) -> None: ...

class ToolChoice(_message.Message):
    __slots__ = ("mode", "allowed_names")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[ToolChoice.Mode]
        MODE_AUTO: _ClassVar[ToolChoice.Mode]
        MODE_NONE: _ClassVar[ToolChoice.Mode]
        MODE_REQUIRED: _ClassVar[ToolChoice.Mode]
    MODE_UNSPECIFIED: ToolChoice.Mode
    MODE_AUTO: ToolChoice.Mode
    MODE_NONE: ToolChoice.Mode
    MODE_REQUIRED: ToolChoice.Mode
    MODE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_NAMES_FIELD_NUMBER: _ClassVar[int]
    mode: ToolChoice.Mode
    allowed_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, mode: _Optional[_Union[ToolChoice.Mode, str]] = ..., allowed_names: _Optional[_Iterable[str]] = ...) -> None: ...
