"""Owns the assembly of one candidate: which parts are open, which delta belongs to which, how they end.

Text, reasoning and refusal follow one another; tool calls and audio run beside them until the candidate ends.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, Final

from antiphon.llm.v1 import content_pb2, response_pb2
from antiphon_wires import json_text
from antiphon_wires.event_stream import Events, malformed
from antiphon_wires.openai_chat.dialect import Dialect
from antiphon_wires.openai_chat.messages import AUDIO_ID

_Event = response_pb2.StreamEvent
_Finish = response_pb2.FinishReason
_Call = content_pb2.ToolCall

# contract: docs/contract.md, finish reasons. `insufficient_system_resource` is DeepSeek's, `error` OpenRouter's.
FINISH: Final[dict[str, _Finish]] = {
    "stop": _Finish.FINISH_REASON_STOP,
    "length": _Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
    "tool_calls": _Finish.FINISH_REASON_TOOL_CALLS,
    "function_call": _Finish.FINISH_REASON_TOOL_CALLS,
    "content_filter": _Finish.FINISH_REASON_CONTENT_FILTER,
    "insufficient_system_resource": _Finish.FINISH_REASON_OVERLOADED,
    "error": _Finish.FINISH_REASON_ERROR,
}
_CUT: Final = frozenset(
    {
        _Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
        _Finish.FINISH_REASON_CONTENT_FILTER,
        _Finish.FINISH_REASON_OVERLOADED,
        _Finish.FINISH_REASON_ERROR,
    }
)


class TextPart:
    """An open part of text, reasoning or refusal."""

    __slots__ = ("candidate", "held", "index", "kind")

    def __init__(self, candidate: int, index: int, kind: str) -> None:
        self.candidate = candidate
        self.index = index
        self.kind = kind
        self.held = ""
        """A high surrogate whose other half may come with the next delta."""


class _Tool:
    """A call whose fragments come in; it has no index before its name is known."""

    __slots__ = ("held", "id", "index", "kind", "name", "pieces")

    def __init__(self, kind: _Call.Kind) -> None:
        self.kind = kind
        self.id = ""
        self.name = ""
        self.index = -1
        self.held = ""
        self.pieces: list[str] = []


class Candidate:
    """One candidate of the answer. Methods append their events to `out`, the batch that is being made."""

    def __init__(self, number: int, dialect: Dialect, mint: Callable[[], str], state_domain: str) -> None:
        self.native_reason = ""
        self.matched_stop = ""
        self.text: TextPart | None = None
        self._number = number
        self._dialect = dialect
        self._mint = mint
        self._state_domain = state_domain
        self._parts = 0
        self._refused = False
        self._tools: dict[object, _Tool] = {}
        self._audio = -1
        self._audio_rest = ""

    @property
    def begun(self) -> bool:
        """Whether there is a part."""
        return self._parts > 0

    # -- text, reasoning, refusal

    def say(self, kind: str, text: str, logprobs: Iterable[response_pb2.TokenLogprob], out: Events) -> None:
        """A delta of text; it opens a part if none of its kind is open."""
        part = self._text_part(kind, out)
        text, part.held = json_text.split_high(part.held + text)
        event = _Event(part_index=part.index, candidate_index=self._number)
        self._set_text(event, kind, text, out)
        event.logprobs.extend(logprobs)
        out.append(event)

    def _text_part(self, kind: str, out: Events) -> TextPart:
        if self.text is not None:
            if self.text.kind == kind:
                return self.text
            self._end_text(out)
        part = content_pb2.Part()
        if kind == "reasoning":
            part.reasoning.visibility = content_pb2.ReasoningPart.VISIBILITY_FULL
        else:
            getattr(part, kind).SetInParent()
        self._refused |= kind == "refusal"
        self.text = TextPart(self._number, self._start(part, out), kind)
        return self.text

    def _set_text(self, event: response_pb2.StreamEvent, kind: str, text: str, out: Events) -> None:
        text, lone = json_text.mend(text)
        if lone:
            out.append(malformed("half of a surrogate pair became U+FFFD"))
        if kind == "reasoning":
            event.reasoning_delta = text
        elif kind == "tool":
            event.tool_input_delta = text
        else:
            event.text_delta = text

    def _end_text(self, out: Events) -> None:
        part = self.text
        if part is None:
            return
        self._flush(part.held, part.index, part.kind, out)
        self.text = None
        self._end(part.index, content_pb2.Part(), out)

    def _flush(self, held: str, index: int, kind: str, out: Events) -> None:
        if held:
            event = _Event(part_index=index, candidate_index=self._number)
            self._set_text(event, kind, held, out)
            out.append(event)

    def cite(self, annotations: list[Any], raws: list[str], out: Events) -> None:
        """Annotations of the text, each with its verbatim JSON."""
        part = self.text if self.text is not None and self.text.kind == "text" else self._text_part("text", out)
        event = _Event(part_index=part.index, candidate_index=self._number)
        for annotation, raw in zip(annotations, raws, strict=True):
            event.part_update.citations.append(self._citation(annotation, raw))
        out.append(event)

    def _citation(self, annotation: object, raw: str) -> content_pb2.Citation:
        citation = content_pb2.Citation(provider_json={self._dialect.name: raw})
        cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
        if not isinstance(cited, dict):
            return citation
        for field, member in (("start", "start_index"), ("end", "end_index")):
            if type(offset := cited.get(member)) is int and 0 <= offset < 2**31:
                setattr(citation, field, offset)
        url, title = cited.get("url"), cited.get("title")
        if isinstance(url, str):
            source = citation.sources.add(title=title if isinstance(title, str) else "")
            source.uri.uri = url
        return citation

    # -- tools

    def call(self, position: int, fragment: dict[str, Any], out: Events) -> None:
        """A fragment of `tool_calls`: id and name come with the first, the input in pieces."""
        name = "custom" if isinstance(fragment.get("custom"), dict) else "function"
        body = fragment.get(name)
        body = body if isinstance(body, dict) else {}
        call_id = _string(fragment.get("id"))
        index = fragment.get("index")
        key = index if type(index) is int else position
        tool = self._tool(key, call_id, _Call.KIND_CUSTOM if name == "custom" else None)
        self._fragment(tool, call_id, body, "input" if name == "custom" else "arguments", out)

    def call_function(self, body: dict[str, Any], out: Events) -> None:
        """A fragment of `function_call`, which came before `tool_calls` and has no id."""
        self._fragment(self._tool("function_call", "", None), "", body, "arguments", out)

    def _tool(self, key: object, call_id: str, kind: _Call.Kind | None) -> _Tool:
        tool = self._tools.get(key)
        # Some servers give every call the index 0; another id is another call.
        if tool is not None and call_id and tool.id and call_id != tool.id:
            self._tools[(key, tool.id)] = self._tools.pop(key)
            tool = None
        if tool is None:
            tool = self._tools[key] = _Tool(kind or _Call.KIND_FUNCTION)
        elif kind is not None:
            tool.kind = kind
        return tool

    def _fragment(self, tool: _Tool, call_id: str, body: dict[str, Any], member: str, out: Events) -> None:
        tool.id = tool.id or call_id
        piece = body.get(member)
        if isinstance(piece, dict | list):
            # Some servers send the input as an object instead of text.
            piece = json_text.dump(piece)
        piece = _string(piece)
        if tool.index < 0 and not (name := _string(body.get("name"))):
            tool.held += piece
            return
        if tool.index < 0:
            tool.name = name
            piece = tool.held + piece
            tool.held = ""
            self._start_tool(tool, out)
        piece, tool.held = json_text.split_high(tool.held + piece)
        if piece:
            event = _Event(part_index=tool.index, candidate_index=self._number)
            self._set_text(event, "tool", piece, out)
            tool.pieces.append(event.tool_input_delta)
            out.append(event)

    def _start_tool(self, tool: _Tool, out: Events) -> None:
        # Without an id from the vendor the caller still needs one; it comes back with the result.
        tool.id = tool.id or self._mint()
        call = _Call(id=json_text.mend(tool.id)[0], name=json_text.mend(tool.name)[0], kind=tool.kind)
        tool.index = self._start(content_pb2.Part(tool_call=call), out)

    def _end_tool(self, tool: _Tool, reason: _Finish, out: Events) -> None:
        if tool.index < 0:
            out.append(malformed("a tool call came without a name"))
            held, tool.held = tool.held, ""
            self._start_tool(tool, out)
            tool.pieces.append(json_text.mend(held)[0])
            self._flush(held, tool.index, "tool", out)
        else:
            self._flush(tool.held, tool.index, "tool", out)
            tool.pieces.append("\ufffd" if tool.held else "")
        tail = content_pb2.Part()
        tail.tool_call.input_state = _input_state(tool.kind, "".join(tool.pieces), reason)
        self._end(tool.index, tail, out)

    # -- audio

    def sound(self, audio: dict[str, Any], out: Events) -> None:
        """A piece of generated audio: base64 data, transcript, and at the end how long the vendor keeps it."""
        if self._audio < 0:
            part = content_pb2.Part()
            part.media.mime_type = "audio/*"
            self._audio = self._start(part, out)
        event = _Event(part_index=self._audio, candidate_index=self._number)
        update = event.part_update
        update.SetInParent()
        if audio_id := _string(audio.get("id")):
            update.opaque.add(
                issuer=self._dialect.name, kind=AUDIO_ID, data=audio_id.encode(), state_domain=self._state_domain
            )
        update.transcript_delta = json_text.mend(_string(audio.get("transcript")))[0]
        if data := _string(audio.get("data")):
            update.media_data = self._decode(data, out)
        if (expires := audio.get("expires_at")) is not None:
            update.provider_json[self._dialect.name] = json_text.dump({"expires_at": expires})
        out.append(event)

    def _decode(self, data: str, out: Events) -> bytes:
        data = self._audio_rest + data
        whole = len(data) - len(data) % 4
        self._audio_rest = data[whole:]
        try:
            return base64.b64decode(data[:whole], validate=True)
        except (binascii.Error, ValueError):
            out.append(malformed("a piece of audio is no base64"))
            return b""

    # -- the end

    def finish(self, out: Events) -> response_pb2.FinishReason:
        """End all parts and the candidate."""
        reason = FINISH.get(self.native_reason, _Finish.FINISH_REASON_OTHER)
        self._end_text(out)
        for tool in self._tools.values():
            self._end_tool(tool, reason, out)
        if self._audio >= 0:
            self._end(self._audio, content_pb2.Part(), out)
        if reason == _Finish.FINISH_REASON_STOP:
            reason = self._stop_reason()
        event = _Event(candidate_index=self._number)
        end = event.candidate_end
        end.reason = reason
        end.native_reason = json_text.mend(self.native_reason)[0]
        end.matched_stop = json_text.mend(self.matched_stop)[0]
        out.append(event)
        return reason

    def _stop_reason(self) -> _Finish:
        if self._tools:
            # A forced call ends with "stop" (https://developers.openai.com/api/docs/guides/function-calling, 2026-11).
            return _Finish.FINISH_REASON_TOOL_CALLS
        if self._refused:
            return _Finish.FINISH_REASON_REFUSAL
        return _Finish.FINISH_REASON_STOP_SEQUENCE if self.matched_stop else _Finish.FINISH_REASON_STOP

    def _start(self, part: content_pb2.Part, out: Events) -> int:
        index = self._parts
        self._parts += 1
        event = _Event(part_index=index, candidate_index=self._number)
        event.part_start.part.CopyFrom(part)
        out.append(event)
        return index

    def _end(self, index: int, tail: content_pb2.Part, out: Events) -> None:
        event = _Event(part_index=index, candidate_index=self._number)
        event.part_end.SetInParent()
        if tail.WhichOneof("kind"):
            event.part_end.tail.CopyFrom(tail)
        out.append(event)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _input_state(kind: _Call.Kind, text: str, reason: _Finish) -> _Call.InputState:
    cut = reason in _CUT
    if kind == _Call.KIND_FUNCTION and not (json_text.is_json(text) if text else not cut):
        return _Call.INPUT_STATE_TRUNCATED if cut else _Call.INPUT_STATE_INVALID_JSON
    if kind == _Call.KIND_CUSTOM and cut:
        return _Call.INPUT_STATE_TRUNCATED
    return _Call.INPUT_STATE_COMPLETE
