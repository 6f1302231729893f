import datetime

from antiphon.llm.v1 import content_pb2 as _content_pb2
from antiphon.llm.v1 import error_pb2 as _error_pb2
from antiphon.llm.v1 import usage_pb2 as _usage_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_STOP_SEQUENCE: _ClassVar[FinishReason]
    FINISH_REASON_MAX_OUTPUT_TOKENS: _ClassVar[FinishReason]
    FINISH_REASON_CONTEXT_WINDOW: _ClassVar[FinishReason]
    FINISH_REASON_TOOL_CALLS: _ClassVar[FinishReason]
    FINISH_REASON_CONTENT_FILTER: _ClassVar[FinishReason]
    FINISH_REASON_REFUSAL: _ClassVar[FinishReason]
    FINISH_REASON_PAUSE: _ClassVar[FinishReason]
    FINISH_REASON_COMPACTION: _ClassVar[FinishReason]
    FINISH_REASON_CANCELLED: _ClassVar[FinishReason]
    FINISH_REASON_ERROR: _ClassVar[FinishReason]
    FINISH_REASON_OVERLOADED: _ClassVar[FinishReason]
    FINISH_REASON_OTHER: _ClassVar[FinishReason]
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_STOP_SEQUENCE: FinishReason
FINISH_REASON_MAX_OUTPUT_TOKENS: FinishReason
FINISH_REASON_CONTEXT_WINDOW: FinishReason
FINISH_REASON_TOOL_CALLS: FinishReason
FINISH_REASON_CONTENT_FILTER: FinishReason
FINISH_REASON_REFUSAL: FinishReason
FINISH_REASON_PAUSE: FinishReason
FINISH_REASON_COMPACTION: FinishReason
FINISH_REASON_CANCELLED: FinishReason
FINISH_REASON_ERROR: FinishReason
FINISH_REASON_OVERLOADED: FinishReason
FINISH_REASON_OTHER: FinishReason

class ResponseStart(_message.Message):
    __slots__ = ("response_id", "provider", "model", "provider_response_id", "provider_request_id", "create_time", "state_domain", "system_fingerprint", "rate_limits", "service_tier")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    provider: str
    model: str
    provider_response_id: str
    provider_request_id: str
    create_time: _timestamp_pb2.Timestamp
    state_domain: str
    system_fingerprint: str
    rate_limits: _containers.RepeatedCompositeFieldContainer[_error_pb2.RateLimit]
    service_tier: str
    def __init__(self, response_id: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., provider_response_id: _Optional[str] = ..., provider_request_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_domain: _Optional[str] = ..., system_fingerprint: _Optional[str] = ..., rate_limits: _Optional[_Iterable[_Union[_error_pb2.RateLimit, _Mapping]]] = ..., service_tier: _Optional[str] = ...) -> None: ...

class StreamEvent(_message.Message):
    __slots__ = ("text_delta", "reasoning_delta", "tool_input_delta", "part_start", "part_end", "part_update", "start", "candidate_end", "usage", "end", "warning", "attempt", "native_event", "keepalive", "restart", "part_index", "candidate_index", "logprobs", "native")
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    REASONING_DELTA_FIELD_NUMBER: _ClassVar[int]
    TOOL_INPUT_DELTA_FIELD_NUMBER: _ClassVar[int]
    PART_START_FIELD_NUMBER: _ClassVar[int]
    PART_END_FIELD_NUMBER: _ClassVar[int]
    PART_UPDATE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_END_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NATIVE_EVENT_FIELD_NUMBER: _ClassVar[int]
    KEEPALIVE_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    PART_INDEX_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_INDEX_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_FIELD_NUMBER: _ClassVar[int]
    text_delta: str
    reasoning_delta: str
    tool_input_delta: str
    part_start: PartStart
    part_end: PartEnd
    part_update: PartUpdate
    start: ResponseStart
    candidate_end: CandidateEnd
    usage: _usage_pb2.Usage
    end: ResponseEnd
    warning: Warning
    attempt: Attempt
    native_event: NativeEvent
    keepalive: Keepalive
    restart: Restart
    part_index: int
    candidate_index: int
    logprobs: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    native: bytes
    def __init__(self, text_delta: _Optional[str] = ..., reasoning_delta: _Optional[str] = ..., tool_input_delta: _Optional[str] = ..., part_start: _Optional[_Union[PartStart, _Mapping]] = ..., part_end: _Optional[_Union[PartEnd, _Mapping]] = ..., part_update: _Optional[_Union[PartUpdate, _Mapping]] = ..., start: _Optional[_Union[ResponseStart, _Mapping]] = ..., candidate_end: _Optional[_Union[CandidateEnd, _Mapping]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., end: _Optional[_Union[ResponseEnd, _Mapping]] = ..., warning: _Optional[_Union[Warning, _Mapping]] = ..., attempt: _Optional[_Union[Attempt, _Mapping]] = ..., native_event: _Optional[_Union[NativeEvent, _Mapping]] = ..., keepalive: _Optional[_Union[Keepalive, _Mapping]] = ..., restart: _Optional[_Union[Restart, _Mapping]] = ..., part_index: _Optional[int] = ..., candidate_index: _Optional[int] = ..., logprobs: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ..., native: _Optional[bytes] = ...) -> None: ...

class PartStart(_message.Message):
    __slots__ = ("part",)
    PART_FIELD_NUMBER: _ClassVar[int]
    part: _content_pb2.Part
    def __init__(self, part: _Optional[_Union[_content_pb2.Part, _Mapping]] = ...) -> None: ...

class PartEnd(_message.Message):
    __slots__ = ("tail",)
    TAIL_FIELD_NUMBER: _ClassVar[int]
    tail: _content_pb2.Part
    def __init__(self, tail: _Optional[_Union[_content_pb2.Part, _Mapping]] = ...) -> None: ...

class PartUpdate(_message.Message):
    __slots__ = ("citations", "opaque", "media_data", "transcript_delta", "provider_json")
    class ProviderJsonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    OPAQUE_FIELD_NUMBER: _ClassVar[int]
    MEDIA_DATA_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_DELTA_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_JSON_FIELD_NUMBER: _ClassVar[int]
    citations: _containers.RepeatedCompositeFieldContainer[_content_pb2.Citation]
    opaque: _containers.RepeatedCompositeFieldContainer[_content_pb2.OpaqueState]
    media_data: bytes
    transcript_delta: str
    provider_json: _containers.ScalarMap[str, str]
    def __init__(self, citations: _Optional[_Iterable[_Union[_content_pb2.Citation, _Mapping]]] = ..., opaque: _Optional[_Iterable[_Union[_content_pb2.OpaqueState, _Mapping]]] = ..., media_data: _Optional[bytes] = ..., transcript_delta: _Optional[str] = ..., provider_json: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CandidateEnd(_message.Message):
    __slots__ = ("reason", "native_reason", "matched_stop", "native_json")
    REASON_FIELD_NUMBER: _ClassVar[int]
    NATIVE_REASON_FIELD_NUMBER: _ClassVar[int]
    MATCHED_STOP_FIELD_NUMBER: _ClassVar[int]
    NATIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    reason: FinishReason
    native_reason: str
    matched_stop: str
    native_json: str
    def __init__(self, reason: _Optional[_Union[FinishReason, str]] = ..., native_reason: _Optional[str] = ..., matched_stop: _Optional[str] = ..., native_json: _Optional[str] = ...) -> None: ...

class ResponseEnd(_message.Message):
    __slots__ = ("outcome", "error", "usage", "cost", "timing", "response_id", "provider", "model", "service_tier", "finish_reasons", "event_count", "warnings", "native_json")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[ResponseEnd.Outcome]
        OUTCOME_COMPLETED: _ClassVar[ResponseEnd.Outcome]
        OUTCOME_INCOMPLETE: _ClassVar[ResponseEnd.Outcome]
        OUTCOME_FAILED: _ClassVar[ResponseEnd.Outcome]
        OUTCOME_CANCELLED: _ClassVar[ResponseEnd.Outcome]
    OUTCOME_UNSPECIFIED: ResponseEnd.Outcome
    OUTCOME_COMPLETED: ResponseEnd.Outcome
    OUTCOME_INCOMPLETE: ResponseEnd.Outcome
    OUTCOME_FAILED: ResponseEnd.Outcome
    OUTCOME_CANCELLED: ResponseEnd.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASONS_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    outcome: ResponseEnd.Outcome
    error: _error_pb2.CallError
    usage: _usage_pb2.Usage
    cost: _usage_pb2.Cost
    timing: _usage_pb2.Timing
    response_id: str
    provider: str
    model: str
    service_tier: str
    finish_reasons: _containers.RepeatedScalarFieldContainer[FinishReason]
    event_count: int
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    native_json: str
    def __init__(self, outcome: _Optional[_Union[ResponseEnd.Outcome, str]] = ..., error: _Optional[_Union[_error_pb2.CallError, _Mapping]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., timing: _Optional[_Union[_usage_pb2.Timing, _Mapping]] = ..., response_id: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., service_tier: _Optional[str] = ..., finish_reasons: _Optional[_Iterable[_Union[FinishReason, str]]] = ..., event_count: _Optional[int] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ..., native_json: _Optional[str] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("kind", "path", "message", "native_json")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Warning.Kind]
        KIND_PARAM_DROPPED: _ClassVar[Warning.Kind]
        KIND_PARAM_CLAMPED: _ClassVar[Warning.Kind]
        KIND_PART_DROPPED: _ClassVar[Warning.Kind]
        KIND_OPAQUE_STATE_DROPPED: _ClassVar[Warning.Kind]
        KIND_EMULATED: _ClassVar[Warning.Kind]
        KIND_INPUT_TRANSFORMED: _ClassVar[Warning.Kind]
        KIND_UPSTREAM_MALFORMED: _ClassVar[Warning.Kind]
        KIND_MODEL_SUBSTITUTED: _ClassVar[Warning.Kind]
    KIND_UNSPECIFIED: Warning.Kind
    KIND_PARAM_DROPPED: Warning.Kind
    KIND_PARAM_CLAMPED: Warning.Kind
    KIND_PART_DROPPED: Warning.Kind
    KIND_OPAQUE_STATE_DROPPED: Warning.Kind
    KIND_EMULATED: Warning.Kind
    KIND_INPUT_TRANSFORMED: Warning.Kind
    KIND_UPSTREAM_MALFORMED: Warning.Kind
    KIND_MODEL_SUBSTITUTED: Warning.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NATIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    kind: Warning.Kind
    path: str
    message: str
    native_json: str
    def __init__(self, kind: _Optional[_Union[Warning.Kind, str]] = ..., path: _Optional[str] = ..., message: _Optional[str] = ..., native_json: _Optional[str] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("number", "backend", "provider", "model", "error", "duration", "usage", "cost", "response_id")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    number: int
    backend: str
    provider: str
    model: str
    error: _error_pb2.CallError
    duration: _duration_pb2.Duration
    usage: _usage_pb2.Usage
    cost: _usage_pb2.Cost
    response_id: str
    def __init__(self, number: _Optional[int] = ..., backend: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., error: _Optional[_Union[_error_pb2.CallError, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., usage: _Optional[_Union[_usage_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_usage_pb2.Cost, _Mapping]] = ..., response_id: _Optional[str] = ...) -> None: ...

class Restart(_message.Message):
    __slots__ = ("voided_attempt", "next_attempt", "voided_events", "reason")
    VOIDED_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    VOIDED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    voided_attempt: int
    next_attempt: int
    voided_events: int
    reason: _error_pb2.ErrorReason
    def __init__(self, voided_attempt: _Optional[int] = ..., next_attempt: _Optional[int] = ..., voided_events: _Optional[int] = ..., reason: _Optional[_Union[_error_pb2.ErrorReason, str]] = ...) -> None: ...

class RouterEnd(_message.Message):
    __slots__ = ("attempts", "final_attempt", "backend", "timing", "restarts")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FINAL_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    final_attempt: int
    backend: str
    timing: _usage_pb2.Timing
    restarts: int
    def __init__(self, attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., final_attempt: _Optional[int] = ..., backend: _Optional[str] = ..., timing: _Optional[_Union[_usage_pb2.Timing, _Mapping]] = ..., restarts: _Optional[int] = ...) -> None: ...

class NativeEvent(_message.Message):
    __slots__ = ("name", "data", "content_type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    data: bytes
    content_type: str
    def __init__(self, name: _Optional[str] = ..., data: _Optional[bytes] = ..., content_type: _Optional[str] = ...) -> None: ...

class Keepalive(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TokenLogprob(_message.Message):
    __slots__ = ("token", "raw_bytes", "token_id", "logprob", "top")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RAW_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    token: str
    raw_bytes: bytes
    token_id: int
    logprob: float
    top: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    def __init__(self, token: _Optional[str] = ..., raw_bytes: _Optional[bytes] = ..., token_id: _Optional[int] = ..., logprob: _Optional[float] = ..., top: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ...) -> None: ...

class PartLogprobs(_message.Message):
    __slots__ = ("part_index", "tokens")
    PART_INDEX_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    part_index: int
    tokens: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    def __init__(self, part_index: _Optional[int] = ..., tokens: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("message", "end", "logprobs")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    message: _content_pb2.Message
    end: CandidateEnd
    logprobs: _containers.RepeatedCompositeFieldContainer[PartLogprobs]
    def __init__(self, message: _Optional[_Union[_content_pb2.Message, _Mapping]] = ..., end: _Optional[_Union[CandidateEnd, _Mapping]] = ..., logprobs: _Optional[_Iterable[_Union[PartLogprobs, _Mapping]]] = ...) -> None: ...
