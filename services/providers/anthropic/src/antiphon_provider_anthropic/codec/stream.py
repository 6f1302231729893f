"""Owns the translation of the vendor's stream into contract events, without `end`.

    stream = MessageStream(...)
    for data in reads:                 # SSE bytes, cut anywhere
        yield stream.feed(data)
        stream.check()                 # raises what went wrong after that batch
    yield stream.close()

Forbids itself: I/O, tasks, the SDK. What it raises before content and after content is the same; the kit tells them
apart.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from uuid import uuid4

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract.errors import CallFailure
from antiphon_provider_anthropic.codec.answer import Answer, Block, SpokenBlock, ToolBlock, open_block
from antiphon_provider_anthropic.codec.failures import Failures
from antiphon_provider_anthropic.codec.scope import Sources
from antiphon_provider_anthropic.codec.usage import UsageSum
from antiphon_wires import json_text
from antiphon_wires.event_stream import Events, EventStream, malformed
from antiphon_wires.json_text import string
from antiphon_wires.known_deltas import KnownDeltas
from antiphon_wires.plain_delta import PlainDelta

_Event = response_pb2.StreamEvent
_Finish = response_pb2.FinishReason

# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons (2026-11); `compaction` is beta.
FINISH: Final[dict[str, _Finish]] = {
    "end_turn": _Finish.FINISH_REASON_STOP,
    "stop_sequence": _Finish.FINISH_REASON_STOP_SEQUENCE,
    "max_tokens": _Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
    "model_context_window_exceeded": _Finish.FINISH_REASON_CONTEXT_WINDOW,
    "tool_use": _Finish.FINISH_REASON_TOOL_CALLS,
    "refusal": _Finish.FINISH_REASON_REFUSAL,
    "pause_turn": _Finish.FINISH_REASON_PAUSE,
    "compaction": _Finish.FINISH_REASON_COMPACTION,
}
_OTHER: Final = _Finish.FINISH_REASON_OTHER
_CUT: Final = frozenset({"max_tokens", "model_context_window_exceeded", "refusal"})

# Members with a meaning here. An event with another one goes out as a NativeEvent as well.
_KNOWN: Final[dict[str, frozenset[str]]] = {
    "message_start": frozenset({"type", "message"}),
    "content_block_start": frozenset({"type", "index", "content_block"}),
    "content_block_delta": frozenset({"type", "index", "delta"}),
    "content_block_stop": frozenset({"type", "index"}),
    "message_delta": frozenset({"type", "delta", "usage"}),
    "message_stop": frozenset({"type"}),
}
# `type` and `role` say what every answer is.
_MESSAGE: Final = frozenset({"id", "type", "role", "model", "usage"})
# How many blocks of one answer are worth learning the shape of their deltas.
_LESSONS: Final = 64
# Strings whose last or first half of a character may stand in the neighbouring delta.
_SPLIT: Final = frozenset({"text", "thinking", "partial_json"})
_usage_of_start: Final = json_text.digger("message", "usage")
_usage_of_delta: Final = json_text.digger("usage")


class MessageStream(EventStream):
    """One answer. After `check` or any method has raised, it is of no more use."""

    def __init__(
        self,
        *,
        native: bool = False,
        warnings: Sequence[response_pb2.Warning] = (),
        state_domain: str = "",
        request_id: str = "",
        rate_limits: Iterable[error_pb2.RateLimit] = (),
        model: str = "",
        sources: Sources = Sources(),  # noqa: B008  # frozen
        mint: Callable[[], str] = lambda: f"toolu_{uuid4().hex}",
        known: KnownDeltas | None = None,
    ) -> None:
        """`native`: NATIVE_MODE_ATTACH. `warnings`: those of the request, sent after `start`. `sources`: what its
        documents are called. `mint`: ids for tool calls of a vendor that gives none. `known`: from the answers
        before."""
        super().__init__()
        self._native = native
        self._warnings = warnings
        self._request_id = request_id
        self._rate_limits = rate_limits
        self._model = model
        self._started = False
        self._answer = Answer(state_domain, sources, mint)
        self._open: dict[int, Block] = {}
        self._hot: SpokenBlock | None = None
        self._shape: PlainDelta | None = None
        self._learned: SpokenBlock | None = None
        self._known = known or KnownDeltas()
        self._spoken = not native
        """The open block may have a short way. To attach native bytes each event has to be seen."""
        self._lessons = _LESSONS
        self._undecided: ToolBlock | None = None
        self._usage = UsageSum()
        self._stop_reason = ""
        self._stop_sequence = ""
        self._stop_json = ""
        self._failures = Failures(model, request_id)

    @property
    def finished(self) -> bool:
        """The vendor told why it stopped; only its last word may be missing."""
        return bool(self._stop_reason)

    def _plain_delta(self) -> PlainDelta | None:
        return None if self._hot is None else self._shape

    def _extend(self, text: str) -> None:
        block = self._hot
        assert block is not None, "nothing to extend"
        if block.index < 0:
            block.say(text, self._out)
            self._release()
            return
        event = _Event(reasoning_delta=text) if block.thinking else _Event(text_delta=text)
        if block.index:
            event.part_index = block.index
        self._out.append(event)

    def close(self) -> Events:
        """The last events, at the end of the body. Raises when the answer is not whole."""
        self.check()
        for name, payload in self._sse.close():
            try:
                self._dispatch(name, payload)
            except CallFailure:
                # Half an event is what a cut leaves behind.
                if not self._started:
                    raise
        if not self.done:
            self._finish("eof")
        return self._take()

    def _dispatch(self, name: str, payload: bytes) -> None:
        if self.done:
            return
        before = len(self._out)
        try:
            try:
                event = json_text.read_strictly(payload)
            except json_text.REFUSED:
                event = self._tolerant(payload)
            self._general(name, event, payload)
        except RecursionError:
            raise self._failures.protocol("bad_json", "it sent something that is nested too deeply") from None
        if self._native:
            self._attach(before, name, payload)

    # -- events

    def _tolerant(self, payload: bytes) -> Any:
        try:
            event = json_text.read_tolerantly(payload)
        except ValueError:
            raise self._failures.protocol("bad_json", "it sent something that is no JSON") from None
        try:
            payload.decode()
        except UnicodeDecodeError:
            self._aside(malformed("bytes that are no UTF-8 became U+FFFD"))
        return json_text.mend_tree(event, _SPLIT)

    def _general(self, name: str, event: Any, payload: bytes) -> None:
        if not isinstance(event, dict):
            raise self._failures.protocol("bad_event", "it sent an event that is no object")
        kind = string(event, "type") or name
        handle = _HANDLERS.get(kind)
        if handle is None:
            if kind == "error" or event.get("error"):
                raise self._failures.refused(payload)
            if not self._native and not (kind == "ping" and event.keys() <= {"type"}):
                self._tell(name or kind, payload)
            return
        known = handle(self, event, payload) and _KNOWN[kind].issuperset(event)
        if not known and not self._native:
            self._tell(name or kind, payload)
        if not self._content and self._answer.parts:
            self._release()

    def _message_start(self, event: dict[str, Any], payload: bytes) -> bool:
        message = self._object(event, "message")
        self._begin(message)
        if isinstance(usage := message.get("usage"), dict):
            self._tell_usage(usage, bytes(_usage_of_start(payload)))
        more = [name for name in message if name not in _MESSAGE and message[name] not in (None, [])]
        return not more

    def _begin(self, message: dict[str, Any]) -> None:
        if self._started:
            return
        self._started = True
        self._answer.model = string(message, "model") or self._model
        event = _Event()
        start = event.start
        start.provider_request_id = self._request_id
        if self._rate_limits:
            start.rate_limits.extend(self._rate_limits)
        start.model = string(message, "model")
        start.provider_response_id = string(message, "id")
        usage = message.get("usage")
        if isinstance(usage, dict):
            start.service_tier = string(usage, "service_tier")
        self._out.append(event)
        if self._warnings:
            self._out += [_Event(warning=warning) for warning in self._warnings]

    def _tell_usage(self, value: dict[str, Any], raw: bytes) -> None:
        if (usage := self._usage.add(value, raw)) is not None:
            self._out.append(_Event(usage=usage))

    def _block_start(self, event: dict[str, Any], payload: bytes) -> bool:
        at, value = self._index(event), self._object(event, "content_block")
        self._begin({})
        for block in self._open.values():
            if block.index < 0:
                # Parts keep the order in which their blocks were announced.
                block.begin(self._out)
        if (before := self._open.pop(at, None)) is not None:
            self._close(before)
        self._settle(cut=False)
        block = self._open[at] = open_block(self._answer, value, payload, self._out)
        self._hot = None
        self._spoken = isinstance(block, SpokenBlock) and not self._native
        if self._spoken and isinstance(block, SpokenBlock) and not block.held:
            self._hot, self._learned, self._shape = block, None, self._known.get(at, block.member)
        return True

    def _block_delta(self, event: dict[str, Any], payload: bytes) -> bool:
        at, delta = self._index(event), self._object(event, "delta")
        block = self._open.get(at)
        if block is None:
            raise self._failures.protocol("bad_event", "it sent a delta of a block that is not open")
        known = block.delta(delta, payload, self._out)
        self._hot = None
        if known and self._spoken and isinstance(block, SpokenBlock):
            self._learn(block, event, payload)
        return known

    def _learn(self, block: SpokenBlock, event: dict[str, Any], payload: bytes) -> None:
        """The shape of this delta, if it is one of text: the next ones of its block will look the same."""
        delta = event["delta"]
        whole = "type" in event and len(event) == 3
        if not whole or block.index < 0 or block.held or delta["type"] != block.delta_type:
            return
        self._hot = block
        if block is not self._learned:
            self._learned = block
            self._lessons -= 1
            path = ("delta", block.member)
            self._shape = None if self._lessons < 0 else PlainDelta.learn(self._block, payload, event, path)
            self._known.keep(event["index"], block.member, self._shape)

    def _block_stop(self, event: dict[str, Any], payload: bytes) -> bool:
        if (block := self._open.pop(self._index(event), None)) is not None:
            self._close(block)
        self._hot = None
        return True

    def _message_delta(self, event: dict[str, Any], payload: bytes) -> bool:
        delta = self._object(event, "delta")
        self._begin({})
        self._stop_reason = string(delta, "stop_reason") or self._stop_reason
        self._stop_sequence = string(delta, "stop_sequence") or self._stop_sequence
        if any(delta[name] is not None for name in delta.keys() - {"stop_reason", "stop_sequence"}):
            self._stop_json = json_text.text_of(json_text.dig(payload, "delta"))
        if isinstance(usage := event.get("usage"), dict):
            self._tell_usage(usage, bytes(_usage_of_delta(payload)))
        return True

    def _message_stop(self, event: dict[str, Any], payload: bytes) -> bool:
        self._finish("message_stop")
        return True

    def _index(self, event: dict[str, Any]) -> int:
        at = event.get("index")
        if type(at) is not int:
            raise self._failures.protocol("bad_event", "it sent a block without an index")
        return at

    def _object(self, event: dict[str, Any], name: str) -> dict[str, Any]:
        value = event.get(name)
        if not isinstance(value, dict):
            raise self._failures.protocol("bad_event", f"it sent a {name} that is no object")
        return value

    # -- ends

    def _close(self, block: Block) -> None:
        """The block is complete; a call's input may still have to wait for the reason of the stop."""
        block.end(self._out)
        if isinstance(block, ToolBlock) and not block.decided:
            self._settle(cut=False)
            self._undecided = block

    def _settle(self, *, cut: bool) -> None:
        if self._undecided is not None:
            self._undecided.settle(cut=cut, out=self._out)
            self._undecided = None

    def _finish(self, how: str) -> None:
        """All parts and the candidate end, if the vendor told why it stopped."""
        reason = self._stop_reason
        if not reason:
            raise self._failures.cut(how)
        self.done = True
        self._hot = None
        for block in self._open.values():
            self._close(block)
        self._open.clear()
        self._settle(cut=reason in _CUT)
        event = _Event()
        end = event.candidate_end
        end.reason = FINISH.get(reason, _OTHER)
        end.native_reason = reason
        end.matched_stop = self._stop_sequence
        end.native_json = self._stop_json
        self._out.append(event)
        self._release()


_Handler = Callable[[MessageStream, dict[str, Any], bytes], bool]
_HANDLERS: Final[dict[str, _Handler]] = {
    "message_start": MessageStream._message_start,
    "content_block_start": MessageStream._block_start,
    "content_block_delta": MessageStream._block_delta,
    "content_block_stop": MessageStream._block_stop,
    "message_delta": MessageStream._message_delta,
    "message_stop": MessageStream._message_stop,
}
