"""Owns the blocks of an answer while they are open: which part each becomes, what its deltas add, how it ends.

Text and thinking begin with their first content, not with their announcement: until then nothing binds the router.
"""

from collections.abc import Callable, Set
from typing import Any, Final, Protocol

import msgspec

from antiphon.llm.v1 import content_pb2, response_pb2
from antiphon_provider_anthropic.codec.citations import read_citation
from antiphon_provider_anthropic.codec.scope import (
    COMPACTED,
    COMPACTION_SIGNATURE,
    NAME,
    REDACTED,
    SIGNATURE,
    Sources,
)
from antiphon_wires import json_text
from antiphon_wires.answer_parts import AnswerParts
from antiphon_wires.event_stream import Events, malformed
from antiphon_wires.json_text import objects, string

_Event = response_pb2.StreamEvent
_Call = content_pb2.ToolCall
_encode: Final = msgspec.json.Encoder().encode

# Tools that the vendor runs, by their names in server_tool_use blocks of anthropic 2.14.
_CAPABILITIES: Final = {
    "web_search": "web_search",
    "web_fetch": "web_fetch",
    "code_execution": "code_execution",
    "bash_code_execution": "code_execution",
    "text_editor_code_execution": "code_execution",
    "tool_search_tool_regex": "tool_search",
    "tool_search_tool_bm25": "tool_search",
}


_TEXT: Final = frozenset({"type", "text", "citations"})
_THINKING: Final = frozenset({"type", "thinking", "signature"})
_TOOL: Final = frozenset({"type", "id", "name", "input"})
_COMPACTION: Final = frozenset({"type", "content", "encrypted_content", "signature"})


class Answer(AnswerParts):
    """What the blocks of one answer share."""

    def __init__(self, state_domain: str, sources: Sources, mint: Callable[[], str]) -> None:
        super().__init__(NAME, state_domain, mint)
        self.sources = sources


class Block(Protocol):
    """An open block. `index` is that of its part, -1 before it began."""

    index: int

    def begin(self, out: Events) -> None:
        """Begin the part, although nothing may be in it yet."""
        ...

    def delta(self, delta: dict[str, Any], payload: bytes, out: Events) -> bool:
        """Take a delta; whether every member of it is understood."""
        ...

    def end(self, out: Events) -> None:
        """The vendor says that the block is complete."""
        ...


class SpokenBlock:
    """Text, or thinking with its signature."""

    def __init__(self, answer: Answer, value: dict[str, Any], payload: bytes, out: Events) -> None:
        self.index = -1
        self.thinking = value["type"] == "thinking"
        self.member = "thinking" if self.thinking else "text"
        self.delta_type = f"{self.member}_delta"
        self.held = ""
        """A high surrogate whose other half may come with the next delta."""
        self._field = "reasoning_delta" if self.thinking else "text_delta"
        self._answer = answer
        self._signature = string(value, "signature") if self.thinking else ""
        self._more = extras(value, _THINKING if self.thinking else _TEXT, payload)
        self.say(string(value, self.member), out)
        for number, citation in enumerate(objects(value, "citations")):
            self._cite(citation, json_text.text_of(json_text.dig(payload, "content_block", "citations", number)), out)

    def begin(self, out: Events) -> None:
        part = content_pb2.Part()
        if self.thinking:
            # What is shown is a summary: https://platform.claude.com/docs/en/build-with-claude/thinking (2026-11).
            part.reasoning.visibility = content_pb2.ReasoningPart.VISIBILITY_SUMMARY
        else:
            part.text.SetInParent()
        if self._more:
            part.provider_json[NAME] = self._more
        self.index = self._answer.start(part, out)

    def delta(self, delta: dict[str, Any], payload: bytes, out: Events) -> bool:
        kind = delta.get("type")
        if kind == self.delta_type:
            told = self.member
            self.say(string(delta, told), out)
        elif kind == "signature_delta" and self.thinking:
            told = "signature"
            self._signature += string(delta, told)
        elif kind == "citations_delta" and isinstance(citation := delta.get("citation"), dict):
            told = "citation"
            self._cite(citation, json_text.text_of(json_text.dig(payload, "delta", told)), out)
        else:
            return False
        return len(delta) == 2 and told in delta

    def say(self, text: str, out: Events) -> None:
        """More of it; the first that brings anything begins the part."""
        if not text:
            return
        if self.index < 0:
            self.begin(out)
        text, self.held = json_text.split_high(self.held + text)
        self._answer.say(self.index, self._field, text, out)

    def _cite(self, citation: dict[str, Any], native_json: str, out: Events) -> None:
        if self.index < 0:
            self.begin(out)
        event = _Event(part_index=self.index)
        event.part_update.citations.append(read_citation(citation, native_json, self._answer.sources))
        out.append(event)

    def end(self, out: Events) -> None:
        silent = self.index < 0
        if silent:
            self.begin(out)
        self._answer.say(self.index, self._field, self.held, out)
        tail = None
        if self._signature:
            tail = content_pb2.Part(opaque=[self._answer.state(SIGNATURE, self._signature)])
            if silent:
                # `display: omitted`: no text, but a signature that has to go back.
                tail.reasoning.visibility = content_pb2.ReasoningPart.VISIBILITY_REDACTED
            else:
                tail.reasoning.SetInParent()
        self._answer.end(self.index, tail, out)


class ToolBlock:
    """A call of a tool; its input comes in pieces, or not at all where it is empty."""

    def __init__(self, answer: Answer, value: dict[str, Any], payload: bytes, out: Events) -> None:
        self.index = -1
        self.decided = False
        """Whether it is known how far the input can be relied on. A limit may have cut what is empty or no JSON."""
        self._answer = answer
        self._pieces: list[str] = []
        self._held = ""
        self._whole = "{}"
        self._announced = b""
        if value.get("input"):
            self._whole = json_text.text_of(json_text.dig(payload, "content_block", "input"))
            self._announced = payload
        kind = value["type"]
        call = _Call(id=string(value, "id") or answer.mint(), name=string(value, "name"), kind=_Call.KIND_FUNCTION)
        if not call.name:
            out.append(malformed("a tool call came without a name"))
        more = extras(value, _TOOL, payload)
        if kind != "tool_use":
            call.kind = _Call.KIND_PROVIDER
            call.capability = _CAPABILITIES.get(call.name, "")
            more = f'{{"type":{json_text.quote(kind)}{"," + more[1:] if more else "}"}'
        call.tool_namespace = string(value, "toolset_name") or string(value, "server_name")
        if isinstance(caller := value.get("caller"), dict):
            call.caller_id = string(caller, "tool_id")
        self._part = content_pb2.Part(tool_call=call)
        if more:
            self._part.provider_json[NAME] = more
        self.begin(out)

    def begin(self, out: Events) -> None:
        self.index = self._answer.start(self._part, out)

    def delta(self, delta: dict[str, Any], payload: bytes, out: Events) -> bool:
        if delta.get("type") != "input_json_delta":
            return False
        if piece := string(delta, "partial_json"):
            if self._announced:
                # An input that came whole and in pieces: the pieces count.
                native = response_pb2.NativeEvent(name="content_block_start", data=self._announced)
                out.append(_Event(native_event=native))
                self._announced = b""
            piece, self._held = json_text.split_high(self._held + piece)
            self._pieces.append(piece)
            self._answer.say(self.index, "tool_input_delta", piece, out)
        return len(delta) == 2 and "partial_json" in delta

    def end(self, out: Events) -> None:
        if self._held:
            self._pieces.append("\ufffd")
            self._answer.say(self.index, "tool_input_delta", self._held, out)
        if self._pieces and json_text.is_json(json_text.mend("".join(self._pieces))[0]):
            self._close(_Call.INPUT_STATE_COMPLETE, out)

    def settle(self, *, cut: bool, out: Events) -> None:
        """`cut`: this was the last block, and a limit ended the answer."""
        if self._pieces:
            self._close(_Call.INPUT_STATE_TRUNCATED if cut else _Call.INPUT_STATE_INVALID_JSON, out)
        elif cut:
            self._close(_Call.INPUT_STATE_TRUNCATED, out)
        else:
            # An empty input comes without a delta
            # (https://platform.claude.com/docs/en/build-with-claude/streaming, 2026-11).
            self._answer.say(self.index, "tool_input_delta", self._whole, out)
            self._close(_Call.INPUT_STATE_COMPLETE, out)

    def _close(self, state: _Call.InputState, out: Events) -> None:
        self.decided = True
        self._answer.end(self.index, content_pb2.Part(tool_call=_Call(input_state=state)), out)


class WholeBlock:
    """A block that its announcement holds whole."""

    def __init__(self, answer: Answer, part: content_pb2.Part, out: Events) -> None:
        self.index = answer.start(part, out)
        self._answer = answer

    def begin(self, out: Events) -> None:
        """It has begun."""

    def delta(self, delta: dict[str, Any], payload: bytes, out: Events) -> bool:
        return False

    def end(self, out: Events) -> None:
        self._answer.end(self.index, None, out)


class CompactionBlock:
    """A summary of earlier turns (beta); it is told when it is complete, because summaries have no deltas here."""

    def __init__(self, answer: Answer, value: dict[str, Any], payload: bytes) -> None:
        self.index = -1
        self._answer = answer
        self._value = dict(value)
        self._more = extras(value, _COMPACTION, payload)

    def begin(self, out: Events) -> None:
        """Not before it is complete."""

    def delta(self, delta: dict[str, Any], payload: bytes, out: Events) -> bool:
        members = {"compaction_delta": ("content", "encrypted_content"), "signature_delta": ("signature",)}
        names = members.get(string(delta, "type"), ())
        told = {name: delta[name] for name in names if isinstance(delta.get(name), str)}
        self._value |= told
        return bool(names) and delta.keys() <= {"type", *names}

    def end(self, out: Events) -> None:
        part = content_pb2.Part()
        part.compaction.summary = json_text.mend(string(self._value, "content"))[0]
        for member, kind in (("encrypted_content", COMPACTED), ("signature", COMPACTION_SIGNATURE)):
            if value := string(self._value, member):
                part.opaque.append(self._answer.state(kind, value))
        if self._more:
            part.provider_json[NAME] = self._more
        self.index = self._answer.start(part, out)
        self._answer.end(self.index, None, out)


def open_block(answer: Answer, value: dict[str, Any], payload: bytes, out: Events) -> Block:
    """The block that `payload` announces as `value`."""
    kind = string(value, "type")
    if kind in ("text", "thinking"):
        return SpokenBlock(answer, value, payload, out)
    if kind == "tool_use" or kind.endswith("_tool_use"):
        return ToolBlock(answer, value, payload, out)
    if kind == "compaction":
        return CompactionBlock(answer, value, payload)
    part = content_pb2.Part()
    if kind == "redacted_thinking":
        part.reasoning.visibility = content_pb2.ReasoningPart.VISIBILITY_REDACTED
        part.opaque.append(answer.state(REDACTED, string(value, "data")))
        if more := extras(value, {"type", "data"}, payload):
            part.provider_json[NAME] = more
    else:
        part.native.provider = NAME
        part.native.native_type = kind
        part.native.native_json = json_text.text_of(json_text.dig(payload, "content_block"))
    return WholeBlock(answer, part, out)


def extras(value: dict[str, Any], known: Set[str], payload: bytes) -> str:
    """The members of a block that have no field in the contract, as a JSON object; null is no value."""
    names = [name for name in value if name not in known and value[name] is not None]
    if not names:
        return ""
    members = json_text.members(bytes(json_text.dig(payload, "content_block")))
    return _encode({name: members[name] for name in names}).decode("utf-8", "replace")
