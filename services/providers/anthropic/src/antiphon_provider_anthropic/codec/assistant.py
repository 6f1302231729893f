"""Owns earlier answers on their way back: thinking and verbatim blocks byte for byte, and only to their issuer."""

import re
from typing import Any, Final

import msgspec

from antiphon.llm.v1 import content_pb2
from antiphon_provider_anthropic.codec import blocks, parts
from antiphon_provider_anthropic.codec.scope import KEYS, NAME, REDACTED, SIGNATURE, Native, Scope, has_own, invalid
from antiphon_wires import json_text

_ID: Final = re.compile(r"[^A-Za-z0-9_-]")


def encode_assistant(message: content_pb2.Message, path: str, scope: Scope) -> Native | None:
    """The turn; None if nothing of it can be sent: an empty one is refused."""
    content: list[Any] = []
    for index, part in enumerate(message.parts):
        if (block := _block(part, f"{path}.parts[{index}]", scope)) is not None:
            content.append(block)
    if not content:
        scope.losses.history(path, "nothing of it can be sent")
        return None
    return {"role": "assistant", "content": blocks.plain(content)}


def tool_id(value: str, path: str, scope: Scope) -> str:
    """The id of a tool call as the vendor takes it; calls and results are changed alike."""
    # "String should match pattern '^[a-zA-Z0-9_-]+$'": ids of other providers may hold dots and colons.
    fitting = _ID.sub("_", value)
    if fitting != value:
        scope.losses.emulated(path, "ids may hold letters, digits, '_' and '-'; other characters became '_'")
    return fitting


def _block(part: content_pb2.Part, path: str, scope: Scope) -> parts.Block | None:
    kind = part.WhichOneof("kind")
    if kind == "text":
        return _text(part, path, scope)
    if kind == "reasoning":
        return _reasoning(part, path, scope)
    if kind == "tool_call":
        return _tool_use(part, path, scope)
    if kind == "native":
        return parts.encode_native(part, path, scope)
    if kind == "refusal":
        scope.own(part.opaque, path)
        scope.losses.emulated(f"{path}.refusal", "its text is sent as text")
        return blocks.finish(blocks.text(part.refusal.text), part, path, scope) if part.refusal.text else None
    if kind == "compaction":
        return parts.encode_compaction(part, path, scope)
    if kind is None:
        raise invalid(f"{path} holds nothing this version knows; set one kind of part", path)
    # Documents in answers are 400 since API version 2026-10-21
    # (https://platform.claude.com/docs/en/api/migration-2026-10-21, 2026-11); media and foreign results always were.
    scope.losses.history(f"{path}.{kind}", f"{NAME} takes no {kind} part in an answer")
    return None


def _text(part: content_pb2.Part, path: str, scope: Scope) -> Native | None:
    value = part.text.text
    scope.own(part.opaque, path)
    if not value.strip():
        # "text content blocks must contain non-whitespace text", though the model writes such blocks between calls.
        if value:
            scope.losses.history(f"{path}.text", "text of white space alone cannot be sent")
        return None
    native = blocks.text(value)
    citations = []
    for index, citation in enumerate(part.text.citations):
        verbatim = next((citation.provider_json[key] for key in KEYS if citation.provider_json.get(key)), "")
        if verbatim:
            param = f"{path}.text.citations[{index}].provider_json"
            citations.append(json_text.verbatim(verbatim, param))
        else:
            scope.losses.history(f"{path}.text.citations[{index}]", "it is a citation of another provider")
    if citations:
        native["citations"] = citations
    return blocks.finish(native, part, path, scope)


def _reasoning(part: content_pb2.Part, path: str, scope: Scope) -> Native | None:
    own = scope.own(part.opaque, path, SIGNATURE, REDACTED)
    if REDACTED in own:
        native: Native = {"type": "redacted_thinking", "data": own[REDACTED]}
    elif SIGNATURE in own:
        native = {"type": "thinking", "thinking": part.reasoning.text, "signature": own[SIGNATURE]}
    else:
        scope.losses.history(f"{path}.reasoning", f"without a signature of this account {NAME} takes none back")
        return None
    if part.HasField("cache"):
        scope.losses.hint(f"{path}.cache", "thinking cannot carry a cache breakpoint")
    scope.patch(native, part.provider_json, path)
    return native


def _tool_use(part: content_pb2.Part, path: str, scope: Scope) -> Native | None:
    call = part.tool_call
    scope.own(part.opaque, path)
    if call.kind == content_pb2.ToolCall.KIND_PROVIDER and not has_own(part.provider_json):
        scope.losses.history(f"{path}.tool_call", "it is a call of a tool that another provider ran")
        return None
    native: Native = {
        "type": "tool_use",
        "id": tool_id(call.id, f"{path}.tool_call.id", scope),
        "name": call.name,
        "input": _input(call, f"{path}.tool_call.input", scope),
    }
    return blocks.finish(native, part, path, scope)


def _input(call: content_pb2.ToolCall, path: str, scope: Scope) -> Any:
    text = call.input
    if call.kind == content_pb2.ToolCall.KIND_CUSTOM:
        scope.losses.emulated(path, "free text is sent as the member `input` of an object")
        return {"input": text}
    if not text.strip():
        return {}
    if text.lstrip()[:1] == "{" and json_text.is_json(text):
        return msgspec.Raw(text.encode())
    # As advised for input that was streamed eagerly or cut:
    # https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming (2026-11).
    scope.losses.emulated(path, "it is no JSON object and is sent within one, as INVALID_JSON")
    return {"INVALID_JSON": text}
