"""Owns which members of this wire's events have a meaning here. What has none goes out as it came."""

from typing import Final

# Dropped: `sequence_number` (frames have their own), `obfuscation` (padding against traffic analysis).
_EVERY: Final = frozenset({"type", "sequence_number", "obfuscation"})
_ITEM: Final = _EVERY | {"output_index", "item"}
_BLOCK: Final = _EVERY | {"output_index", "item_id", "content_index"}
_SUMMARY: Final = _EVERY | {"output_index", "item_id", "summary_index"}
_INPUT: Final = _EVERY | {"output_index", "item_id"}

EVENTS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("response.output_item.added", "response.output_item.done"), _ITEM),
    **dict.fromkeys(("response.content_part.added", "response.content_part.done"), _BLOCK | {"part"}),
    "response.output_text.delta": _BLOCK | {"delta", "logprobs"},
    "response.output_text.done": _BLOCK | {"text", "logprobs"},
    "response.output_text.annotation.added": _BLOCK | {"annotation", "annotation_index"},
    "response.refusal.delta": _BLOCK | {"delta"},
    "response.refusal.done": _BLOCK | {"refusal"},
    "response.reasoning_text.delta": _BLOCK | {"delta"},
    "response.reasoning_text.done": _BLOCK | {"text"},
    "response.reasoning_summary_text.delta": _SUMMARY | {"delta"},
    "response.reasoning_summary_text.done": _SUMMARY | {"text"},
    **dict.fromkeys(
        ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"), _SUMMARY | {"part", "status"}
    ),
    **dict.fromkeys(
        (
            "response.function_call_arguments.delta",
            "response.custom_tool_call_input.delta",
            "response.mcp_call_arguments.delta",
            "response.code_interpreter_call_code.delta",
        ),
        _INPUT | {"delta"},
    ),
    # Dropped: `name`, which the item told.
    "response.function_call_arguments.done": _INPUT | {"arguments", "name"},
    "response.custom_tool_call_input.done": _INPUT | {"input"},
    "response.mcp_call_arguments.done": _INPUT | {"arguments"},
    "response.code_interpreter_call_code.done": _INPUT | {"code"},
}

# Of a response. Dropped: `object` and `status` say what the event says; `output` was told item by item; `tools`,
# `tool_choice` and `instructions` are the caller's own, and may be long.
RESPONSE: Final = frozenset(
    {"id", "created_at", "model", "service_tier", "usage", "error", "incomplete_details", "input_transformations"}
    | {"object", "status", "output", "tools", "tool_choice", "instructions"}
)
# What the last event repeats of the first: openai 3.57 (2026-11). Others are kept from where they come.
REPEATED: Final = RESPONSE | frozenset(
    (
        *("access_programs", "background", "completed_at", "content_filters", "conversation", "frequency_penalty"),
        *("image", "max_output_tokens", "max_tool_calls", "metadata", "moderation", "parallel_tool_calls"),
        *("presence_penalty", "previous_response_id", "prompt", "prompt_cache_diagnostics", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "store", "temperature"),
        *("text", "tool_usage", "top_logprobs", "top_p", "truncation", "user"),
    )
)
# Of items, when they are announced (openai 3.57, 2026-11); they are read when they are complete.
ANNOUNCED: Final = frozenset(
    (
        *("acknowledged_safety_checks", "action", "actions", "approval_request_id", "approve", "arguments", "async"),
        *("background", "call_id", "caller", "code", "container_id", "content", "created_by", "encrypted_content"),
        *("environment", "error", "execution", "fingerprint", "id", "input", "max_output_length", "name", "namespace"),
        *("operation", "output", "output_format", "outputs", "pending_safety_checks", "phase", "quality", "queries"),
        *("reason", "result", "results", "revised_prompt", "role", "server_label", "size", "status", "summary"),
        *("svg_usage", "tools", "type"),
    )
)
