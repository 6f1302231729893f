"""Owns the conversation on its way to the vendor: who speaks, tool calls and results, replayed answers."""

from typing import Final

from antiphon.llm.v1 import chat_pb2, content_pb2
from antiphon_wires.openai_chat import parts
from antiphon_wires.openai_chat.scope import Native, Scope, invalid

AUDIO_ID: Final = "audio.id"
_ROLES: Final = {
    content_pb2.ROLE_SYSTEM: "system",
    content_pb2.ROLE_DEVELOPER: "developer",
    content_pb2.ROLE_USER: "user",
    content_pb2.ROLE_ASSISTANT: "assistant",
    content_pb2.ROLE_TOOL: "tool",
}


def encode_messages(prompt: chat_pb2.Prompt, scope: Scope) -> list[Native]:
    """The native messages, at least one for each message but tool messages without a result."""
    natives: list[Native] = []
    documents = _documents(prompt, scope)
    last_user = max(
        (i for i, message in enumerate(prompt.messages) if message.role == content_pb2.ROLE_USER), default=-1
    )
    if documents and last_user < 0:
        raise invalid("prompt.documents needs a message of the user to stand in", "prompt.documents")
    for index, message in enumerate(prompt.messages):
        path = f"prompt.messages[{index}]"
        role = _role(message, path, scope)
        if role == "assistant":
            encoded = [_assistant(message, path, scope)]
        else:
            encoded = _said(message, role, path, scope, documents if index == last_user else [])
        if message.prefill:
            _prefill(encoded, path, scope)
        scope.own(message.opaque, path)
        for native in encoded:
            scope.patch(native, message.provider_json, path)
        natives += encoded
    return natives


def _documents(prompt: chat_pb2.Prompt, scope: Scope) -> list[Native]:
    encoded = [
        parts.encode_document(document, f"prompt.documents[{index}]", scope)
        for index, document in enumerate(prompt.documents)
    ]
    return [native for native in encoded if native is not None]


def _role(message: content_pb2.Message, path: str, scope: Scope) -> str:
    role = _ROLES.get(message.role)
    if role is None:
        raise invalid(f"{path}.role is none this version knows", f"{path}.role")
    if role == "developer" and "developer_role" in scope.dialect.lacks:
        return "system"
    return role


def _prefill(encoded: list[Native], path: str, scope: Scope) -> None:
    field = scope.dialect.prefill_field
    if field is None:
        scope.losses.shape(f"{path}.prefill", f"{scope.dialect.name} cannot continue a message")
    elif field:
        encoded[-1][field] = True


def _said(message: content_pb2.Message, role: str, path: str, scope: Scope, documents: list[Native]) -> list[Native]:
    """Messages of everybody but the model. Each tool result is a message of its own, in its place.

    `documents` stand before the first words, but after results that come before them.
    """
    encoded: list[Native] = []
    content: list[Native] = []

    def flush() -> None:
        if content:
            encoded.append(_named({"role": role, "content": _plain(content)}, message))
            content.clear()

    for index, part in enumerate(message.parts):
        where = f"{path}.parts[{index}]"
        if part.WhichOneof("kind") == "tool_result":
            flush()
            encoded.append(_tool_result(part, where, scope))
        elif role == "tool":
            raise invalid(f"{where} must be a tool_result: the message has ROLE_TOOL", where)
        elif (native := parts.encode_part(part, where, scope)) is not None:
            _note_phase(part, where, scope)
            content += [*documents, native]
            documents = []
    content += documents
    flush()
    if not encoded and role != "tool":
        encoded.append(_named({"role": role, "content": ""}, message))
    return encoded


def _named(native: Native, message: content_pb2.Message) -> Native:
    if message.name:
        native["name"] = message.name
    return native


def _plain(content: list[Native]) -> str | list[Native]:
    """A lone text as a string: every server takes that, not every one a list."""
    if len(content) == 1 and content[0].keys() == {"type", "text"} and isinstance(content[0]["text"], str):
        return content[0]["text"]
    return list(content)


def _note_phase(part: content_pb2.Part, path: str, scope: Scope) -> None:
    if part.phase:
        scope.losses.history(f"{path}.phase", "chat completions have no phases")


def _tool_result(part: content_pb2.Part, path: str, scope: Scope) -> Native:
    result = part.tool_result
    content: list[Native] = []
    for index, inner in enumerate(result.parts):
        where = f"{path}.tool_result.parts[{index}]"
        if inner.WhichOneof("kind") == "media":
            scope.losses.shape(f"{where}.media", "results of tools are text here", part=True)
        elif (native := parts.encode_part(inner, where, scope)) is not None:
            content.append(native)
    if result.data_json:
        content.append(parts.text(result.data_json))
    if result.is_error:
        scope.losses.emulated(f"{path}.tool_result.is_error", "the result is marked as an error in its text")
        content.insert(0, parts.text("The tool failed:"))
    native = {"role": "tool", "tool_call_id": result.tool_call_id, "content": _plain(content) if content else ""}
    scope.patch(native, part.provider_json, path)
    return native


def _assistant(message: content_pb2.Message, path: str, scope: Scope) -> Native:
    """An earlier answer. Its texts are one string, as the vendor sent them, unless a part asks for more."""
    answer = _Answer(scope)
    for index, part in enumerate(message.parts):
        answer.add(part, f"{path}.parts[{index}]")
    return _named(answer.native(path), message)


class _Answer:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._content: list[Native] = []
        self._reasoning: list[str] | None = None
        self._calls: list[Native] = []
        self._more: Native = {}

    def add(self, part: content_pb2.Part, path: str) -> None:
        scope = self._scope
        kind = part.WhichOneof("kind")
        _note_phase(part, path, scope)
        if kind == "tool_call":
            self._call(part, path)
        elif kind == "reasoning":
            self._reason(part, path)
        elif kind == "refusal":
            self._content.append({"type": "refusal", "refusal": part.refusal.text})
        elif kind == "media":
            self._media(part, path)
        elif kind == "tool_result":
            scope.losses.history(f"{path}.tool_result", "it is the result of a tool that another provider ran")
        elif (native := parts.encode_part(part, path, scope)) is not None:
            self._content.append(native)

    def _call(self, part: content_pb2.Part, path: str) -> None:
        call = part.tool_call
        if call.kind == content_pb2.ToolCall.KIND_PROVIDER:
            self._scope.losses.history(f"{path}.tool_call", "it is a call of a tool that another provider ran")
            return
        if call.kind == content_pb2.ToolCall.KIND_CUSTOM:
            native: Native = {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.input}}
        else:
            # Servers parse what they get back, and "" is no JSON; some providers report an empty input so.
            arguments = call.input or "{}"
            native = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
        self._scope.own(part.opaque, path)
        self._scope.patch(native, part.provider_json, path)
        self._calls.append(native)

    def _reason(self, part: content_pb2.Part, path: str) -> None:
        self._scope.own(part.opaque, path)
        if self._scope.dialect.reasoning_field:
            self._reasoning = [*(self._reasoning or []), part.reasoning.text]
        else:
            self._scope.losses.history(f"{path}.reasoning", f"{self._scope.dialect.name} takes no reasoning back")

    def _media(self, part: content_pb2.Part, path: str) -> None:
        """Generated audio goes back by its id; what another provider spoke, as text."""
        own = self._scope.own(part.opaque, path, AUDIO_ID)
        if AUDIO_ID in own:
            self._more["audio"] = {"id": own[AUDIO_ID]}
        elif part.media.transcript:
            self._scope.losses.emulated(f"{path}.media", "its transcript is sent as text")
            self._content.append(parts.text(part.media.transcript))
        else:
            self._scope.losses.history(f"{path}.media", "media of earlier answers are not sent")

    def native(self, path: str) -> Native:
        native: Native = {"role": "assistant", "content": self._text(), **self._more}
        refusals = [part for part in self._content if part.get("type") == "refusal"]
        if refusals and len(refusals) == len(self._content):
            native |= {"content": None, "refusal": "".join(part["refusal"] for part in refusals)}
        if self._reasoning is None and self._calls and self._scope.reasons and self._scope.dialect.reasoning_field:
            self._scope.losses.history(path, "the reasoning before its tool calls is missing; an empty one is sent")
            self._reasoning = []
        if self._reasoning is not None:
            native[self._scope.dialect.reasoning_field] = "".join(self._reasoning)
        if self._calls:
            native["tool_calls"] = self._calls
        return native

    def _text(self) -> str | list[Native] | None:
        if not self._content:
            return None if self._calls or "audio" in self._more else ""
        if all(part.keys() == {"type", "text"} and isinstance(part["text"], str) for part in self._content):
            return "".join(part["text"] for part in self._content)
        return self._content
