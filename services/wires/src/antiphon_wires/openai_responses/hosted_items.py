"""Owns the items of tools that the vendor runs and of kinds without a word in the contract: kept verbatim, whole.

Their own events, such as `response.web_search_call.searching`, go out as they came.
"""

from typing import Any, Final

from antiphon.llm.v1 import content_pb2
from antiphon_wires import json_text
from antiphon_wires.event_stream import Events
from antiphon_wires.json_text import string
from antiphon_wires.openai_responses.answer import Answer
from antiphon_wires.openai_responses.items import CallItem, Item, MessageItem, ReasoningItem
from antiphon_wires.openai_responses.state import COMPACTED

_Call = content_pb2.ToolCall

# Type to (name, portable word, member of what is streamed as its input); "" as name: the item tells one.
# https://developers.openai.com/api/docs/guides/tools, as typed by openai 3.57 (2026-11).
_HOSTED: Final[dict[str, tuple[str, str, str]]] = {
    "web_search_call": ("web_search", "web_search", ""),
    "file_search_call": ("file_search", "file_search", ""),
    "code_interpreter_call": ("code_interpreter", "code_execution", "code"),
    "image_generation_call": ("image_generation", "image_generation", ""),
    "mcp_call": ("", "", "arguments"),
}
# Calls that wait for the client, as items that it answers with items of its own.
_CLIENTS: Final = frozenset({"computer_call", "local_shell_call", "apply_patch_call", "mcp_approval_request"})


class HostedCall:
    """A call of a tool that the vendor runs, with what came of it."""

    def __init__(self, answer: Answer, item: dict[str, Any], out: Events) -> None:
        name, capability, self._member = _HOSTED[item["type"]]
        self._answer = answer
        self._said = False
        self._held = ""
        call = _Call(
            id=string(item, "id") or answer.mint(),
            name=name or string(item, "name"),
            kind=_Call.KIND_PROVIDER,
            capability=capability,
            tool_namespace=string(item, "server_label"),
        )
        self._index = answer.start(content_pb2.Part(id=call.id, tool_call=call), out)

    def begin(self, out: Events) -> None:
        """It has begun."""

    def delta(self, text: str, out: Events) -> None:
        """More of the input."""
        text, self._held = json_text.split_high(self._held + text)
        self._said |= bool(text)
        self._answer.say(self._index, "tool_input_delta", text, out)

    def whole(self, text: str, out: Events) -> None:
        """The input as the vendor repeats it."""
        if not self._said:
            self.delta(text, out)

    def end(self, item: dict[str, Any], raw: bytes, out: Events) -> bool:
        if self._member:
            self.whole(string(item, self._member), out)
        self._answer.say(self._index, "tool_input_delta", self._held, out)
        tail = content_pb2.Part(tool_call=_Call(input_state=_Call.INPUT_STATE_COMPLETE))
        if item:
            tail.provider_json[self._answer.key] = raw.decode("utf-8", "replace")
        self._answer.end(self._index, tail, out)
        return True


class VerbatimItem:
    """An item this contract has no word for."""

    def __init__(self, answer: Answer, item: dict[str, Any], out: Events) -> None:
        self._answer = answer
        self._type = string(item, "type")
        part = content_pb2.Part(id=string(item, "id"))
        part.native.provider = answer.key
        part.native.native_type = self._type
        self._index = answer.start(part, out)

    def begin(self, out: Events) -> None:
        """It has begun."""

    def end(self, item: dict[str, Any], raw: bytes, out: Events) -> bool:
        self._answer.called |= _waits(self._type, item)
        tail = content_pb2.Part()
        tail.native.native_json = raw.decode("utf-8", "replace")
        self._answer.end(self._index, tail, out)
        return True


def _waits(kind: str, item: dict[str, Any]) -> bool:
    """Whether the client has to answer: a shell and a search may be on either side."""
    if kind == "shell_call":
        environment = item.get("environment")
        return isinstance(environment, dict) and environment.get("type") == "local"
    return kind in _CLIENTS or (kind == "tool_search_call" and item.get("execution") == "client")


class CompactionItem:
    """A summary of earlier turns that only the vendor can read; it is told when it is complete."""

    def __init__(self, answer: Answer, item: dict[str, Any]) -> None:
        self._answer = answer
        self._id = string(item, "id")

    def begin(self, out: Events) -> None:
        """Not before it is complete."""

    def end(self, item: dict[str, Any], raw: bytes, out: Events) -> bool:
        part = content_pb2.Part(id=self._id)
        part.compaction.SetInParent()
        if encrypted := string(item, "encrypted_content"):
            part.opaque.append(self._answer.state(COMPACTED, encrypted))
        self._answer.end(self._answer.start(part, out), None, out)
        return item.keys() <= {"id", "type", "encrypted_content"}


def open_item(answer: Answer, item: dict[str, Any], out: Events) -> Item:
    """The item that is announced."""
    kind = string(item, "type")
    if kind == "message":
        return MessageItem(answer, item)
    if kind == "reasoning":
        return ReasoningItem(answer, item)
    if kind in ("function_call", "custom_tool_call"):
        return CallItem(answer, item, out)
    if kind in _HOSTED:
        return HostedCall(answer, item, out)
    return CompactionItem(answer, item) if kind == "compaction" else VerbatimItem(answer, item, out)
