"""Owns the conversation on its way to the vendor: who speaks, tool results, and the order of items."""

from collections.abc import Iterable
from typing import Any, Final

from antiphon.llm.v1 import chat_pb2, content_pb2
from antiphon_wires.openai_chat.parts import native_block
from antiphon_wires.openai_chat.scope import Native, Scope, invalid
from antiphon_wires.openai_responses import content
from antiphon_wires.openai_responses.replay import encode_answer

_ROLES: Final = {
    content_pb2.ROLE_SYSTEM: "system",
    content_pb2.ROLE_DEVELOPER: "developer",
    content_pb2.ROLE_USER: "user",
    content_pb2.ROLE_ASSISTANT: "assistant",
    content_pb2.ROLE_TOOL: "tool",
}


def encode_input(prompt: chat_pb2.Prompt, scope: Scope) -> list[Any]:
    """The native items. Instructions stay where they stand: `instructions` would put them before the conversation."""
    items: list[Any] = []
    documents = [
        native
        for index, document in enumerate(prompt.documents)
        if (native := content.encode_document(document, f"prompt.documents[{index}]", scope)) is not None
    ]
    users = [index for index, message in enumerate(prompt.messages) if message.role == content_pb2.ROLE_USER]
    if documents and not users:
        raise invalid("prompt.documents needs a message of the user to stand in", "prompt.documents")
    custom = _custom_calls(prompt.messages)
    for index, message in enumerate(prompt.messages):
        path = f"prompt.messages[{index}]"
        role = _ROLES.get(message.role)
        if role is None:
            raise invalid(f"{path}.role is none this version knows", f"{path}.role")
        if message.prefill:
            scope.losses.shape(f"{path}.prefill", f"{scope.dialect.name} cannot continue a message")
        if message.name:
            scope.losses.hint(f"{path}.name", "the Responses API does not tell speakers apart")
        scope.own(message.opaque, path)
        encoded = (
            encode_answer(message, path, scope)
            if role == "assistant"
            else _Said(role, scope, custom).encode(message, path, documents if index == max(users, default=-1) else [])
        )
        for item in encoded:
            if "role" in item:
                scope.patch(item, message.provider_json, path)
        items += encoded
    return items


def _custom_calls(messages: Iterable[content_pb2.Message]) -> frozenset[str]:
    """Ids of the calls whose results have a type of their own."""
    calls = (part.tool_call for message in messages for part in message.parts if part.HasField("tool_call"))
    return frozenset(call.id for call in calls if call.kind == content_pb2.ToolCall.KIND_CUSTOM)


class _Said:
    """A message of anybody but the model. Each tool result is an item of its own, in its place."""

    def __init__(self, role: str, scope: Scope, custom: frozenset[str]) -> None:
        self._role = role
        self._scope = scope
        self._custom = custom
        self._items: list[Native] = []
        self._content: list[Native] = []

    def encode(self, message: content_pb2.Message, path: str, documents: list[Native]) -> list[Native]:
        """`documents` stand before the first words, but after results that come before them."""
        scope = self._scope
        for index, part in enumerate(message.parts):
            where = f"{path}.parts[{index}]"
            if part.HasField("tool_result"):
                self._flush()
                self._items.append(self._result(part, where))
            elif content.is_item(part, scope):
                self._flush()
                native = native_block(part.native, f"{where}.native", scope)
                self._items += [native] if native is not None else []
            elif self._role == "tool":
                raise invalid(f"{where} must be a tool_result: the message has ROLE_TOOL", where)
            elif (native := content.encode_part(part, where, scope)) is not None:
                self._content += [*documents, native]
                documents = []
        self._content += documents
        self._flush()
        if not self._items and self._role != "tool":
            self._items.append({"role": self._role, "content": ""})
        return self._items

    def _flush(self) -> None:
        if self._content:
            self._items.append({"role": self._role, "content": content.plain(self._content)})
            self._content = []

    def _result(self, part: content_pb2.Part, path: str) -> Native:
        """Unlike in Chat Completions, results may hold images and files."""
        result, scope = part.tool_result, self._scope
        blocks = [
            native
            for index, inner in enumerate(result.parts)
            if (native := content.encode_part(inner, f"{path}.tool_result.parts[{index}]", scope)) is not None
        ]
        if result.data_json:
            blocks.append(content.text(result.data_json))
        if result.is_error:
            scope.losses.emulated(f"{path}.tool_result.is_error", "the result is marked as an error in its text")
            blocks.insert(0, content.text("The tool failed:"))
        kind = "custom_tool_call_output" if result.tool_call_id in self._custom else "function_call_output"
        output = content.plain(blocks) if blocks else ""
        item: Native = {"type": kind, "call_id": result.tool_call_id, "output": output}
        scope.patch(item, part.provider_json, path)
        return item
