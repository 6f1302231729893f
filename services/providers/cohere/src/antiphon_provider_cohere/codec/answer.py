"""Owns the assembly of the one answer: which parts are open, which delta belongs to which, how they end.

Text stays open to the end, because citations of it come after its last word.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from antiphon.llm.v1 import content_pb2, response_pb2
from antiphon_provider_cohere.codec.answers import CITATION, PLAN, THINKING
from antiphon_provider_cohere.codec.capabilities import NAME
from antiphon_provider_cohere.codec.citations import ON_TEXT, read_citation, string
from antiphon_wires import json_text
from antiphon_wires.event_stream import Events, malformed

_Event = response_pb2.StreamEvent
_Call = content_pb2.ToolCall
Finish = response_pb2.FinishReason

# contract: docs/contract.md, finish reasons.
FINISH: Final[dict[str, Finish]] = {
    "COMPLETE": Finish.FINISH_REASON_STOP,
    "STOP_SEQUENCE": Finish.FINISH_REASON_STOP_SEQUENCE,
    "MAX_TOKENS": Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
    "TOOL_CALL": Finish.FINISH_REASON_TOOL_CALLS,
    "TIMEOUT": Finish.FINISH_REASON_OVERLOADED,
}
_CUT: Final = frozenset({Finish.FINISH_REASON_MAX_OUTPUT_TOKENS, Finish.FINISH_REASON_OVERLOADED})


class Block:
    """A part of text or reasoning. It has no index before its first word: an announcement is no content."""

    __slots__ = ("held", "index", "kind", "label", "open")

    def __init__(self, kind: str, label: str) -> None:
        self.kind = kind
        self.label = label
        self.index = -1
        self.open = False
        self.held = ""
        """A high surrogate whose other half may come with the next delta."""


class _Tool:
    __slots__ = ("held", "id", "index", "open", "pieces")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.index = -1
        self.open = True
        self.held = ""
        self.pieces: list[str] = []


class Answer:
    """Methods append their events to `out`, the batch that is being made."""

    def __init__(self, mint: Callable[[], str]) -> None:
        self._mint = mint
        self._parts = 0
        self._blocks: dict[tuple[int, str], Block] = {}
        self._plan: Block | None = None
        self._tools: list[_Tool] = []
        self._tool_at: dict[int, _Tool] = {}

    @property
    def begun(self) -> bool:
        """Whether there is a part."""
        return self._parts > 0

    # -- text, reasoning, plan

    def block(self, position: int, member: str) -> Block:
        """The block at `position` of the native content, whose text is in `member`."""
        key = (position, member)
        if (block := self._blocks.get(key)) is None:
            thinking = member == THINKING
            block = Block("reasoning" if thinking else "text", THINKING if thinking else "")
            self._blocks[key] = block
        return block

    def say(self, block: Block, text: str, out: Events, logprobs: Sequence[response_pb2.TokenLogprob] = ()) -> None:
        """A delta. The first one that brings anything opens the part."""
        if block.held or not text.isascii():
            text, block.held = json_text.split_high(block.held + text)
        if not text and not logprobs:
            return
        if not block.open:
            self._open(block, out)
        event = _Event(part_index=block.index, logprobs=logprobs)
        _set(event, block.kind, text, out)
        out.append(event)

    def plan(self, text: str, out: Events) -> None:
        """A delta of the tool plan."""
        if self._plan is None:
            self._plan = Block("reasoning", PLAN)
        self.say(self._plan, text, out)

    def _open(self, block: Block, out: Events) -> None:
        event = self._start(out)
        part = event.part_start.part
        if block.kind == "reasoning":
            part.reasoning.visibility = content_pb2.ReasoningPart.VISIBILITY_FULL
            part.reasoning.label = block.label
        else:
            part.text.SetInParent()
        block.index = event.part_index
        block.open = True

    def end_content(self, position: int, out: Events) -> None:
        """The block at `position` is complete."""
        if (block := self._blocks.get((position, THINKING))) is not None:
            self._end_block(block, out)
        if (block := self._blocks.get((position, "text"))) is not None:
            self._flush(block, out)

    def _end_plan(self, out: Events) -> None:
        plan, self._plan = self._plan, None
        if plan is not None:
            self._end_block(plan, out)

    def _end_block(self, block: Block, out: Events) -> None:
        self._flush(block, out)
        if block.open:
            block.open = False
            self._end(block.index, out)

    def _flush(self, block: Block, out: Events) -> None:
        held, block.held = block.held, ""
        if held:
            if not block.open:
                self._open(block, out)
            event = _Event(part_index=block.index)
            _set(event, block.kind, held, out)
            out.append(event)

    # -- citations

    def cite(self, value: Any, raw: bytes, out: Events) -> None:
        """A citation and its verbatim JSON. What does not rest on text of the answer becomes a part of its own."""
        cited = value if isinstance(value, dict) else {}
        block = self._cited(cited)
        if block is None:
            event = self._start(out)
            part = event.part_start.part
            part.native.provider = NAME
            part.native.native_type = CITATION
            part.native.native_json = raw.decode("utf-8", "replace")
            self._end(event.part_index, out)
            return
        event = _Event(part_index=block.index)
        event.part_update.citations.append(read_citation(cited, raw))
        out.append(event)

    def _cited(self, value: dict[str, Any]) -> Block | None:
        kind = value.get("type")
        if kind is not None and string(kind) not in ON_TEXT:
            return None
        texts = {
            position: block for (position, _), block in self._blocks.items() if block.kind == "text" and block.open
        }
        position = value.get("content_index")
        return texts.get(position) if type(position) is int else next(reversed(texts.values()), None)

    # -- tools

    def call(self, position: int, value: Any, out: Events) -> None:
        """The begin of a call: id, name, and perhaps arguments already."""
        self._end_plan(out)
        call_id = string(_member(value, "id"))
        tool = self._tool_at.get(position)
        if tool is None or tool.id != call_id:
            tool = self._begin(position, call_id, string(_member(value, "function", "name")), out)
        self._fragment(tool, value, out)

    def call_more(self, position: int, value: Any, out: Events) -> None:
        """A fragment of the arguments."""
        tool = self._tool_at.get(position)
        if tool is None:
            tool = self._begin(position, string(_member(value, "id")), "", out)
        self._fragment(tool, value, out)

    def _begin(self, position: int, call_id: str, name: str, out: Events) -> _Tool:
        if not name:
            out.append(malformed("a tool call came without a name"))
        # Without an id from the vendor the caller still needs one; it comes back with the result.
        tool = _Tool(call_id or self._mint())
        self._tools.append(tool)
        self._tool_at[position] = tool
        event = self._start(out)
        call = event.part_start.part.tool_call
        call.id, call.name, call.kind = tool.id, name, _Call.KIND_FUNCTION
        tool.index = event.part_index
        return tool

    def _fragment(self, tool: _Tool, value: Any, out: Events) -> None:
        piece = _member(value, "function", "arguments")
        if isinstance(piece, dict | list):
            piece = json_text.dump(piece)
        if not tool.open or not isinstance(piece, str):
            return
        piece, tool.held = json_text.split_high(tool.held + piece)
        if piece:
            self._input(tool, piece, out)

    def _input(self, tool: _Tool, piece: str, out: Events) -> None:
        event = _Event(part_index=tool.index)
        _set(event, "tool", piece, out)
        tool.pieces.append(event.tool_input_delta)
        out.append(event)

    def end_call(self, position: int, out: Events) -> None:
        """The call at `position` is complete; what is no JSON waits for the finish reason to tell why."""
        tool = self._tool_at.get(position)
        if tool is not None and tool.open and not tool.held and _is_whole(tool):
            self._end_tool(tool, _Call.INPUT_STATE_COMPLETE, out)

    def _end_tool(self, tool: _Tool, state: _Call.InputState, out: Events) -> None:
        tool.open = False
        self._end(tool.index, out).tail.tool_call.input_state = state

    # -- the end

    def finish(self, word: str, out: Events) -> None:
        """End all parts and the candidate."""
        reason = FINISH.get(word) or Finish.FINISH_REASON_OTHER
        self._end_plan(out)
        for block in self._blocks.values():
            self._end_block(block, out)
        for tool in self._tools:
            if not tool.open:
                continue
            if tool.held:
                self._input(tool, tool.held, out)
            state = _Call.INPUT_STATE_COMPLETE
            if not _is_whole(tool) or (reason in _CUT and not tool.pieces):
                state = _Call.INPUT_STATE_TRUNCATED if reason in _CUT else _Call.INPUT_STATE_INVALID_JSON
            self._end_tool(tool, state, out)
        event = _Event()
        event.candidate_end.reason = reason
        event.candidate_end.native_reason = string(word)
        out.append(event)

    def _start(self, out: Events) -> response_pb2.StreamEvent:
        """The begin of a part, which the caller fills."""
        event = _Event(part_index=self._parts)
        self._parts += 1
        out.append(event)
        return event

    def _end(self, index: int, out: Events) -> response_pb2.PartEnd:
        event = _Event(part_index=index)
        event.part_end.SetInParent()
        out.append(event)
        return event.part_end


def _is_whole(tool: _Tool) -> bool:
    text = "".join(tool.pieces)
    return not text or json_text.is_json(text)


def _member(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _set(event: response_pb2.StreamEvent, kind: str, text: str, out: Events) -> None:
    if not text.isascii():
        text, lone = json_text.mend(text)
        if lone:
            out.append(malformed("half of a surrogate pair became U+FFFD"))
    if kind == "reasoning":
        event.reasoning_delta = text
    elif kind == "tool":
        event.tool_input_delta = text
    else:
        event.text_delta = text
