"""Owns earlier answers on their way back to the vendor: its own items as they were, those of others as words.

Ids of items go back only together with reasoning that this account issued: the vendor looks them up, and refuses an id
that it did not keep as well as a call without its reasoning (https://github.com/vercel/ai/issues/7543, 2025-07).
"""

from typing import Any, Final

from antiphon.llm.v1 import content_pb2
from antiphon_wires import json_text
from antiphon_wires.openai_chat.parts import native_block
from antiphon_wires.openai_chat.scope import Native, Scope, invalid
from antiphon_wires.openai_responses.state import COMPACTED, ENCRYPTED, REASONING_ID

# A member of listed items that is none of sent ones (openai 3.57, 2026-11).
_ONLY_LISTED: Final = "created_by"
# llama.cpp does not know an answer by its role alone (2026-11).
_MESSAGE: Final = {"type": "message", "role": "assistant"}
_Visibility = content_pb2.ReasoningPart


def encode_answer(message: content_pb2.Message, path: str, scope: Scope) -> list[Native]:
    """The items of an answer, at least one."""
    answer = _Answer(message, path, scope)
    return answer.items or [{**_MESSAGE, "content": ""}]


class _Answer:
    def __init__(self, message: content_pb2.Message, path: str, scope: Scope) -> None:
        self.items: list[Native] = []
        self._scope = scope
        self._path = path
        self._parts = message.parts
        self._states = [
            scope.own(part.opaque, f"{path}.parts[{index}]", ENCRYPTED, REASONING_ID, COMPACTED)
            for index, part in enumerate(message.parts)
        ]
        foreign = any(part.opaque and not state for part, state in zip(message.parts, self._states, strict=True))
        self._foreign = foreign
        """Some of its state is not this account's."""
        self._own = not foreign and any(self._states)
        self._content: list[Native] = []
        self._group = ("", "")
        index = 0
        while index < len(message.parts):
            index = self._add(index)
        self._flush()

    def _add(self, index: int) -> int:
        """Take the part at `index`, and those that are one item with it; where the next ones begin."""
        part, where = self._parts[index], f"{self._path}.parts[{index}]"
        kind = part.WhichOneof("kind")
        if kind in ("text", "refusal"):
            self._speak(part, where)
            return index + 1
        if part.phase:
            self._scope.losses.history(f"{where}.phase", "only messages have phases here")
        end = index + 1
        if kind == "reasoning":
            while end < len(self._parts) and part.id and self._parts[end].id == part.id:
                end += 1
        item = self._reasoning(index, end) if kind == "reasoning" else self._item(kind, part, where, index)
        if item is not None:
            self._flush()
            item.pop(_ONLY_LISTED, None)
            self.items.append(item)
        return end

    def _item(self, kind: str | None, part: content_pb2.Part, where: str, index: int) -> Native | None:
        scope = self._scope
        if kind is None:
            raise invalid(f"{where} holds nothing this version knows; set one kind of part", where)
        if kind == "tool_call":
            return self._call(part, where)
        if kind == "native" and not self._foreign:
            return native_block(part.native, f"{where}.native", scope)
        if kind == "compaction" and COMPACTED in self._states[index]:
            item: Native = {"type": "compaction", "encrypted_content": self._states[index][COMPACTED]}
            if part.id:
                item["id"] = part.id
            scope.patch(item, part.provider_json, where)
            return item
        if kind == "compaction" and part.compaction.summary:
            scope.losses.emulated(f"{where}.compaction", "its summary is sent as text")
            self._open("", part.phase)
            self._content.append({"type": "output_text", "text": part.compaction.summary, "annotations": []})
            return None
        if kind == "media" and part.media.transcript:
            scope.losses.emulated(f"{where}.media", "its transcript is sent as text")
            self._open("", part.phase)
            self._content.append({"type": "output_text", "text": part.media.transcript, "annotations": []})
            return None
        scope.losses.history(f"{where}.{kind}", f"{scope.dialect.name} takes no such part of an answer back")
        return None

    # -- messages

    def _speak(self, part: content_pb2.Part, where: str) -> None:
        self._open(part.id if self._own else "", part.phase)
        if part.HasField("refusal"):
            native: Native = {"type": "refusal", "refusal": part.refusal.text}
        else:
            native = {"type": "output_text", "text": part.text.text, "annotations": self._annotations(part, where)}
        if part.HasField("cache"):
            self._scope.losses.hint(f"{where}.cache", "answers have no cache breakpoints")
        patched = self._scope.patch(native, part.provider_json, where)
        if patched or part.text.text or part.refusal.text:
            self._content.append(native)

    def _annotations(self, part: content_pb2.Part, where: str) -> list[Any]:
        key = f"{self._scope.dialect.name}/responses"
        annotations = []
        for index, citation in enumerate(part.text.citations):
            path = f"{where}.text.citations[{index}]"
            if native := citation.provider_json.get(key):
                annotations.append(json_text.verbatim(native, f'{path}.provider_json["{key}"]'))
            else:
                self._scope.losses.history(path, "it is a citation of another API")
        return annotations

    def _open(self, item_id: str, phase: str) -> None:
        if (item_id, phase) != self._group:
            self._flush()
            self._group = (item_id, phase)

    def _flush(self) -> None:
        """The message that is complete. A lone text is sent as a string, which every server takes."""
        if not self._content:
            return
        item_id, phase = self._group
        first = self._content[0]
        lone: Native = {"type": "output_text", "text": first.get("text"), "annotations": []}
        plain = len(self._content) == 1 and first == lone
        message: Native = {**_MESSAGE, "content": first["text"] if plain and not item_id else self._content}
        if item_id or not plain:
            message["status"] = "completed"
        if item_id:
            message["id"] = item_id
        if phase:
            message["phase"] = phase
        self.items.append(message)
        self._content = []

    # -- calls and reasoning

    def _call(self, part: content_pb2.Part, where: str) -> Native | None:
        call, scope = part.tool_call, self._scope
        if call.kind == content_pb2.ToolCall.KIND_PROVIDER:
            key = f"{scope.dialect.name}/responses"
            if self._foreign or not part.provider_json.get(key):
                scope.losses.history(f"{where}.tool_call", "it is a call of a tool that another provider ran")
                return None
            return dict(json_text.caller_object(part.provider_json[key], f'{where}.provider_json["{key}"]'))
        item: Native = {"call_id": call.id, "name": call.name}
        if call.kind == content_pb2.ToolCall.KIND_CUSTOM:
            item |= {"type": "custom_tool_call", "input": call.input}
        else:
            # Servers parse what they get back, and "" is no JSON; some providers report an empty input so.
            item |= {"type": "function_call", "arguments": call.input or "{}"}
        if self._own and part.id:
            item["id"] = part.id
        scope.patch(item, part.provider_json, where)
        return item

    def _reasoning(self, begin: int, end: int) -> Native | None:
        """One item for parts that share an id; without its state it is nothing the vendor would take."""
        state: dict[str, str] = {}
        item: Native = {"type": "reasoning"}
        summary: list[Native] = []
        told: list[Native] = []
        for part, states in zip(self._parts[begin:end], self._states[begin:end], strict=True):
            state |= states
            reasoning = part.reasoning
            if reasoning.visibility == _Visibility.VISIBILITY_FULL:
                told.append({"type": "reasoning_text", "text": reasoning.text})
            elif reasoning.visibility != _Visibility.VISIBILITY_REDACTED:
                summary.append({"type": "summary_text", "text": reasoning.text})
        if self._foreign or not (ENCRYPTED in state or REASONING_ID in state):
            losses, name = self._scope.losses, self._scope.dialect.name
            losses.history(f"{self._path}.parts[{begin}].reasoning", f"{name} takes reasoning back with its state only")
            return None
        if item_id := state.get(REASONING_ID) or self._parts[begin].id:
            item["id"] = item_id
        item["summary"] = summary
        if told:
            item["content"] = told
        if ENCRYPTED in state:
            item["encrypted_content"] = state[ENCRYPTED]
        for number in range(begin, end):
            self._scope.patch(item, self._parts[number].provider_json, f"{self._path}.parts[{number}]")
        return item
