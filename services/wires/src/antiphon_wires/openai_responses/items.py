"""Owns the items of an answer while they are open: which parts each becomes, what its events add, how it ends.

Methods that take an event or an item return whether every member of it has a meaning here; who calls them passes on
what has none.
"""

from typing import Any, Final, Protocol

import msgspec

from antiphon.llm.v1 import content_pb2
from antiphon_wires import json_text
from antiphon_wires.event_stream import Events, malformed
from antiphon_wires.json_text import objects, string
from antiphon_wires.openai_chat.logprobs import read_logprobs
from antiphon_wires.openai_responses.answer import Answer, Spoken
from antiphon_wires.openai_responses.citations import read_citation
from antiphon_wires.openai_responses.state import ENCRYPTED, REASONING_ID

_Call = content_pb2.ToolCall
_encode: Final = msgspec.json.Encoder().encode

# Dropped: `type` and `role` say what every message is, `status` what the end of the answer says.
_MESSAGE: Final = frozenset({"id", "type", "role", "status", "phase", "content"})
_BLOCKS: Final[dict[str, str]] = {"output_text": "text", "refusal": "refusal"}
_BLOCK: Final = frozenset({"type", "text", "refusal", "annotations", "logprobs"})
_ANNOTATION: Final = frozenset(
    {"type", "url", "title", "start_index", "end_index", "file_id", "filename", "index", "container_id"}
)
_TOKEN: Final = frozenset({"token", "logprob", "bytes", "id", "top_logprobs"})


class Item(Protocol):
    """An open item."""

    def begin(self, out: Events) -> None:
        """Begin the parts that are announced: what comes next stands behind them."""
        ...

    def end(self, item: dict[str, Any], raw: bytes, out: Events) -> bool:
        """The item is complete; `raw` is `item` verbatim."""
        ...


class MessageItem:
    """Texts and refusals. `content_index` tells them apart; llama.cpp does not send it (2026-11), and has one text."""

    def __init__(self, answer: Answer, item: dict[str, Any]) -> None:
        self._answer = answer
        self._id = string(item, "id")
        self._phase = string(item, "phase")
        self._spoken: dict[int, Spoken] = {}

    def spoken(self, at: int, kind: str, out: Events) -> Spoken:
        """The text or refusal at `at`."""
        found = self._spoken.get(at)
        if found is None:
            part = content_pb2.Part(id=self._id, phase=self._phase)
            getattr(part, kind).SetInParent()
            self.begin(out)
            found = self._spoken[at] = Spoken(self._answer, part)
        return found

    def begin(self, out: Events) -> None:
        for spoken in self._spoken.values():
            spoken.begin(out)

    def block(self, at: int, block: dict[str, Any], raw: bytes, out: Events) -> bool:
        """A block as the vendor repeats it when it is complete: what its deltas did not tell counts."""
        kind = _BLOCKS.get(string(block, "type"))
        if kind is None:
            return False
        spoken = self.spoken(at, kind, out)
        tokens = [] if spoken.said else read_logprobs({"content": block.get("logprobs")}, "text")
        known = _BLOCK.issuperset(block) and plain_tokens(block.get("logprobs"))
        if spoken.said and not spoken.raw_bytes and _has_bytes(block):
            # Deltas tell tokens without their bytes, or may.
            known = False
        if not spoken.said:
            spoken.say(string(block, "refusal" if kind == "refusal" else "text"), out, tokens)
        annotations = objects(block, "annotations")
        known &= all(_ANNOTATION.issuperset(one) for one in annotations[: spoken.cited])
        if len(annotations) > spoken.cited:
            elements = json_text.elements(bytes(json_text.dig(raw, "annotations")))
            raws = [one for one in elements if bytes(one)[:1] == b"{"]
            for number in range(spoken.cited, len(annotations)):
                text = json_text.text_of(raws[number])
                spoken.cite(read_citation(annotations[number], text, self._answer), out)
        return known

    def end(self, item: dict[str, Any], raw: bytes, out: Events) -> bool:
        known = _MESSAGE.issuperset(item)
        late = "" if self._phase else string(item, "phase")
        blocks = item.get("content")
        for at, block in enumerate(blocks if isinstance(blocks, list) else ()):
            if isinstance(block, dict):
                known &= self.block(at, block, bytes(json_text.dig(raw, "content", at)), out)
            else:
                known = False
        for spoken in self._spoken.values():
            spoken.end(content_pb2.Part(phase=late) if late else None, out)
        self._spoken.clear()
        return known


def plain_tokens(value: object) -> bool:
    """Whether log probabilities hold nothing but what read_logprobs reads."""
    if not isinstance(value, list):
        return value is None
    return all(
        isinstance(token, dict) and _TOKEN.issuperset(token) and plain_tokens(token.get("top_logprobs"))
        for token in value
    )


def _has_bytes(block: dict[str, Any]) -> bool:
    return any(token.get("bytes") for token in objects(block, "logprobs"))


class ReasoningItem:
    """Summaries, or the reasoning itself; what binds it to the next turn stands on the last of its parts."""

    def __init__(self, answer: Answer, item: dict[str, Any]) -> None:
        self._answer = answer
        self._id = string(item, "id")
        self._spoken: dict[tuple[str, int], Spoken] = {}
        self._last: Spoken | None = None

    def spoken(self, kind: str, at: int, out: Events) -> Spoken:
        """The text at `at` of `kind`: "summary" or "content"."""
        found = self._spoken.get((kind, at))
        if found is None:
            if self._last is not None:
                self._last.end(None, out)
            part = content_pb2.Part(id=self._id)
            part.reasoning.visibility = (
                content_pb2.ReasoningPart.VISIBILITY_SUMMARY
                if kind == "summary"
                else content_pb2.ReasoningPart.VISIBILITY_FULL
            )
            found = self._last = self._spoken[kind, at] = Spoken(self._answer, part)
        return found

    def is_open(self, kind: str, at: int) -> bool:
        """Whether a delta for it can still be told: parts follow one another."""
        found = self._spoken.get((kind, at))
        return found is None or found is self._last

    def begin(self, out: Events) -> None:
        if self._last is not None:
            self._last.begin(out)

    def block(self, kind: str, at: int, block: dict[str, Any], out: Events) -> bool:
        """A text as the vendor repeats it when it is complete."""
        if self.is_open(kind, at) and not (spoken := self.spoken(kind, at, out)).said:
            spoken.say(string(block, "text"), out)
        return block.keys() <= {"type", "text"}

    def end(self, item: dict[str, Any], raw: bytes, out: Events) -> bool:
        known = item.keys() <= {"id", "type", "status", "summary", "content", "encrypted_content"}
        for kind in ("summary", "content"):
            for at, block in enumerate(objects(item, kind)):
                known &= self.block(kind, at, block, out)
        tail = content_pb2.Part()
        if encrypted := string(item, "encrypted_content"):
            tail.opaque.append(self._answer.state(ENCRYPTED, encrypted))
        elif self._answer.stored and self._id:
            tail.opaque.append(self._answer.state(REASONING_ID, self._id))
        if self._last is None:
            part = content_pb2.Part(id=self._id)
            part.reasoning.visibility = content_pb2.ReasoningPart.VISIBILITY_REDACTED
            self._last = Spoken(self._answer, part)
        tail.reasoning.SetInParent()
        self._last.end(tail if tail.opaque else None, out)
        self._last = None
        return known


class CallItem:
    """A call that the client answers: its input comes in pieces, and how far to rely on it may have to wait."""

    def __init__(self, answer: Answer, item: dict[str, Any], out: Events) -> None:
        self.index = -1
        self._answer = answer
        self._custom = item["type"] == "custom_tool_call"
        self._item = item
        self._pieces: list[str] = []
        self._held = ""
        answer.called = True
        self.begin(out)

    def begin(self, out: Events) -> None:
        if self.index >= 0:
            return
        item = self._item
        call = _Call(
            id=string(item, "call_id") or self._answer.mint(),
            name=string(item, "name"),
            kind=_Call.KIND_CUSTOM if self._custom else _Call.KIND_FUNCTION,
        )
        if not call.name:
            out.append(malformed("a tool call came without a name"))
        self.index = self._answer.start(content_pb2.Part(id=string(item, "id"), tool_call=call), out)

    def delta(self, text: str, out: Events) -> None:
        """More of the input."""
        text, self._held = json_text.split_high(self._held + text)
        self._pieces.append(text)
        self._answer.say(self.index, "tool_input_delta", text, out)

    def whole(self, text: str, out: Events) -> None:
        """The input as the vendor repeats it."""
        if not any(self._pieces):
            self.delta(text, out)

    def end(self, item: dict[str, Any], raw: bytes, out: Events) -> bool:
        self.whole(string(item, "input" if self._custom else "arguments"), out)
        if self._held:
            self._pieces.append("\ufffd")
            self._answer.say(self.index, "tool_input_delta", self._held, out)
        self._item = item
        self._raw = raw
        return True

    def settle(self, out: Events, *, cut: bool) -> None:
        """`cut`: this was the last item, and a limit ended the answer."""
        item, text = self._item, "".join(self._pieces)
        cut = cut or string(item, "status") == "incomplete"
        good = self._custom or json_text.is_json(json_text.mend(text)[0]) if text else True
        state = _Call.INPUT_STATE_COMPLETE
        if cut and (self._custom or not text or not good):
            state = _Call.INPUT_STATE_TRUNCATED
        elif not good:
            state = _Call.INPUT_STATE_INVALID_JSON
        tail = content_pb2.Part(tool_call=_Call(input_state=state))
        tail.tool_call.tool_namespace = string(item, "namespace")
        if isinstance(caller := item.get("caller"), dict):
            tail.tool_call.caller_id = string(caller, "caller_id")
        if more := _extras(item, _CALL, self._raw):
            tail.provider_json[self._answer.key] = more
        self._answer.end(self.index, tail, out)

    _raw = b"{}"


_CALL: Final = frozenset({"id", "type", "status", "call_id", "name", "arguments", "input"})


def _extras(item: dict[str, Any], known: frozenset[str], raw: bytes) -> str:
    """The members of an item that go back by its patch, as a JSON object; null is no value."""
    names = [name for name in item if name not in known and item[name] is not None]
    if not names:
        return ""
    members = json_text.members(raw)
    return json_text.text_of(msgspec.Raw(_encode({name: members[name] for name in names})))
