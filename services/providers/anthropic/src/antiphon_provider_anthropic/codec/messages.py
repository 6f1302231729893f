"""Owns the conversation on its way to the vendor: who speaks, where instructions stand, results of tools."""

from collections.abc import Iterable
from typing import Any

from antiphon.llm.v1 import chat_pb2, content_pb2
from antiphon_provider_anthropic.codec import blocks, cache, documents, parts
from antiphon_provider_anthropic.codec.assistant import encode_assistant, tool_id
from antiphon_provider_anthropic.codec.scope import NAME, Native, Scope, has_own, invalid

_INSTRUCTIONS = (content_pb2.ROLE_SYSTEM, content_pb2.ROLE_DEVELOPER)
_ROLES = (*_INSTRUCTIONS, content_pb2.ROLE_USER, content_pb2.ROLE_ASSISTANT, content_pb2.ROLE_TOOL)


def encode_conversation(prompt: chat_pb2.Prompt, scope: Scope) -> Native:
    """The members `system` and `messages`.

    Instructions before everything else go to the top; later ones stay where they are, which the vendor takes directly
    after a user's turn (https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages,
    2026-11); it refuses other places itself.
    """
    messages = list(prompt.messages)
    first = last_user = -1
    for index, message in enumerate(messages):
        role = message.role
        if role not in _ROLES:
            raise invalid(f"prompt.messages[{index}].role is none this version knows", f"prompt.messages[{index}].role")
        if first < 0 and role not in _INSTRUCTIONS:
            first = index
        if role == content_pb2.ROLE_USER:
            last_user = index
    if first < 0:
        raise invalid(f"prompt.messages holds instructions only; {NAME} wants a message of the user", "prompt.messages")
    members: Native = {}
    if first and (system := _system(messages[:first], scope)):
        members["system"] = blocks.plain(system)
    if prompt.documents and last_user < 0:
        raise invalid("prompt.documents needs a message of the user to stand in", "prompt.documents")
    given = _Documents(prompt.documents, last_user)
    members["messages"] = _turns(messages, first, given, scope)
    return members


class _Documents:
    """Documents of the whole request, which stand in the last message of the user, before its first words."""

    def __init__(self, found: Iterable[content_pb2.Document], place: int) -> None:
        self._found = list(found)
        self.place = place if self._found else -1
        """In which message they stand; -1: there are none."""

    def take(self, scope: Scope) -> list[Native]:
        """Their blocks, once; encoded only where they are due, as the vendor counts them in order."""
        found, self._found = self._found, []
        encoded = [
            documents.encode_document(document, f"prompt.documents[{number}]", scope)
            for number, document in enumerate(found)
        ]
        return [native for native in encoded if native is not None]


def _system(messages: list[content_pb2.Message], scope: Scope) -> list[Any]:
    blocks: list[Any] = []
    for index, message in enumerate(messages):
        path = f"prompt.messages[{index}]"
        if has_own(message.provider_json):
            scope.losses.hint(f"{path}.provider_json", "first instructions are no message of their own here")
        _note(message, path, scope)
        blocks += _instructions(message, path, scope)
    return blocks


def _instructions(message: content_pb2.Message, path: str, scope: Scope) -> list[Any]:
    """Blocks of text: instructions take nothing else."""
    blocks = []
    for index, part in enumerate(message.parts):
        where = f"{path}.parts[{index}]"
        if part.WhichOneof("kind") in ("media", "document", "tool_result"):
            scope.losses.shape(where, f"{NAME} takes instructions as text only", part=True)
        elif (block := parts.encode_part(part, where, scope)) is not None:
            blocks.append(block)
    return blocks


def _note(message: content_pb2.Message, path: str, scope: Scope) -> None:
    if message.name:
        scope.losses.hint(f"{path}.name", f"{NAME} has no names of speakers")
    scope.own(message.opaque, path)


def _turns(messages: list[content_pb2.Message], first: int, given: _Documents, scope: Scope) -> list[Native]:
    turns: list[Native] = []
    results: Native | None = None
    for index, message in enumerate(messages[first:], first):
        path = f"prompt.messages[{index}]"
        _note(message, path, scope)
        turn = _turn(message, index, given, scope)
        if turn is None:
            continue
        is_results = message.role == content_pb2.ROLE_TOOL and not has_own(message.provider_json)
        if is_results and results is not None:
            # Results of parallel calls belong into the one turn after them
            # (https://platform.claude.com/docs/en/agents-and-tools/tool-use/parallel-tool-use, 2026-11).
            results["content"] += turn["content"]
            continue
        results = turn if is_results else None
        scope.patch(turn, message.provider_json, path)
        turns.append(turn)
    return turns


def _turn(message: content_pb2.Message, index: int, given: _Documents, scope: Scope) -> Native | None:
    path = f"prompt.messages[{index}]"
    if message.role == content_pb2.ROLE_ASSISTANT:
        return encode_assistant(message, path, scope)
    if message.role in _INSTRUCTIONS:
        instructions = _instructions(message, path, scope)
        return {"role": "system", "content": blocks.plain(instructions)} if instructions else None
    content = _said(message, index, given, scope)
    if message.role == content_pb2.ROLE_TOOL:
        return {"role": "user", "content": content} if content else None
    # The vendor refuses an empty turn in its own words.
    return {"role": "user", "content": blocks.plain(content) if content else ""}


def _said(message: content_pb2.Message, index: int, given: _Documents, scope: Scope) -> list[Any]:
    """Blocks of a user or of tools."""
    content: list[Any] = []
    for number, part in enumerate(message.parts):
        where = f"prompt.messages[{index}].parts[{number}]"
        if part.WhichOneof("kind") == "tool_result":
            content.append(_tool_result(part, where, scope))
            continue
        if message.role == content_pb2.ROLE_TOOL:
            raise invalid(f"{where} must be a tool_result: the message has ROLE_TOOL", where)
        if index == given.place:
            content += given.take(scope)
        if (block := parts.encode_part(part, where, scope)) is not None:
            content.append(block)
    return content + given.take(scope) if index == given.place else content


def _tool_result(part: content_pb2.Part, path: str, scope: Scope) -> Native:
    result = part.tool_result
    scope.own(part.opaque, path)
    content: list[Any] = []
    for index, inner in enumerate(result.parts):
        where = f"{path}.tool_result.parts[{index}]"
        if (block := parts.encode_part(inner, where, scope)) is not None:
            content.append(block)
    if result.data_json:
        content.append(blocks.text(result.data_json))
    native: Native = {
        "type": "tool_result",
        "tool_use_id": tool_id(result.tool_call_id, f"{path}.tool_result.tool_call_id", scope),
    }
    if content:
        native["content"] = blocks.plain(content)
    if result.is_error:
        native["is_error"] = True
    if part.HasField("cache"):
        cache.mark(native, part.cache, path, scope)
    scope.patch(native, part.provider_json, path)
    return native
