"""Owns the translation of the vendor's stream into contract events, without `end`.

    stream = ResponseStream(dialect, ...)
    for data in reads:                 # SSE bytes, cut anywhere
        yield stream.feed(data)
        stream.check()                 # raises what went wrong after that batch
    yield stream.close()

Events name an item by `output_index`, or by `item_id` where a server sends no index (llama.cpp, 2026-11); ids alone
would not do, some proxies change them from event to event. What a delta did not say is taken from where the vendor
repeats it, so that a server without deltas loses nothing.

Forbids itself: I/O, tasks, the SDK. What it raises before content and after content is the same; the kit tells them
apart.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract.errors import CallFailure
from antiphon_wires import json_text
from antiphon_wires.event_stream import Events, EventStream, malformed
from antiphon_wires.json_text import string
from antiphon_wires.openai_chat.dialect import Dialect
from antiphon_wires.openai_chat.logprobs import read_logprobs
from antiphon_wires.openai_responses import facts
from antiphon_wires.openai_responses.answer import Answer, Spoken
from antiphon_wires.openai_responses.citations import read_citation
from antiphon_wires.openai_responses.failures import Failures
from antiphon_wires.openai_responses.hosted_items import HostedCall
from antiphon_wires.openai_responses.items import CallItem, Item, MessageItem, ReasoningItem, plain_tokens
from antiphon_wires.openai_responses.members import ANNOUNCED, EVENTS, REPEATED
from antiphon_wires.openai_responses.numbered_delta import NumberedDelta
from antiphon_wires.openai_responses.open_items import Key, OpenItems
from antiphon_wires.openai_responses.usage import read_usage
from antiphon_wires.plain_delta import PlainDelta

_Event = response_pb2.StreamEvent
_Finish = response_pb2.FinishReason
Native = dict[str, Any]

# contract: docs/contract.md, finish reasons; the words of incomplete_details in openai 3.57 (2026-11).
FINISH: Final[dict[str, _Finish]] = {
    "max_output_tokens": _Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
    "content_filter": _Finish.FINISH_REASON_CONTENT_FILTER,
}
# How many texts of one answer are worth learning the shape of their deltas.
_LESSONS: Final = 64
# Strings whose last or first half of a character may stand in the neighbouring delta.
_SPLIT: Final = frozenset({"delta"})
_encode: Final = msgspec.json.Encoder().encode


class ResponseStream(EventStream):
    """One answer. After `check` or any method has raised, it is of no more use."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        native: bool = False,
        warnings: Sequence[response_pb2.Warning] = (),
        state_domain: str = "",
        request_id: str = "",
        rate_limits: Iterable[error_pb2.RateLimit] = (),
        model: str = "",
        mint: Callable[[], str] = lambda: f"call_{uuid4().hex}",
    ) -> None:
        """`native`: NATIVE_MODE_ATTACH. `warnings`: those of the request, sent after `start`. `mint`: ids for tool
        calls of a vendor that gives none."""
        super().__init__()
        self._native = native
        self._warnings = warnings
        self._request_id = request_id
        self._rate_limits = rate_limits
        self._model = model
        self._failures = Failures(dialect, model, request_id)
        self._answer = Answer(dialect.name, state_domain, mint)
        self._started = False
        self._items = OpenItems(self._answer)
        self._hot: Spoken | None = None
        self._shape: NumberedDelta | None = None
        self._learned: Spoken | None = None
        # To attach native bytes each event has to be seen.
        self._lessons = 0 if native else _LESSONS
        self._announced: dict[str, msgspec.Raw] = {}
        self._transformed = 0

    # -- the short way

    def _plain_delta(self) -> PlainDelta | None:
        return None if self._hot is None or self._hot.held else self._shape

    def _extend(self, text: str) -> None:
        spoken = self._hot
        assert spoken is not None, "nothing to extend"
        event = _Event(text_delta=text)
        if spoken.index:
            event.part_index = spoken.index
        self._out.append(event)

    def _learn(self, spoken: Spoken, event: Native, payload: bytes) -> None:
        """The shape of this delta: the next ones of its text will look the same but for number and padding."""
        if not self._lessons or spoken.index < 0 or event.get("logprobs"):
            return
        self._hot = spoken
        if spoken is not self._learned:
            self._learned = spoken
            self._lessons -= 1
            self._shape = NumberedDelta.learn_event(self._block, payload, event)

    # -- events

    def close(self) -> Events:
        """The last events, at the end of the body. Raises when the answer is not whole."""
        self.check()
        for name, payload in self._sse.close():
            try:
                self._dispatch(name, payload)
            except CallFailure:
                # Half an event is what a cut leaves behind.
                if self._started:
                    raise self._failures.cut("eof") from None
                raise
        if not self.done:
            raise self._failures.cut("eof")
        return self._take()

    def _dispatch(self, name: str, payload: bytes) -> None:
        if self.done or not payload:
            return
        if payload.startswith(b"[DONE]"):
            raise self._failures.cut("done")
        before = len(self._out)
        try:
            self._event(name, payload)
        except RecursionError:
            raise self._failures.protocol("bad_json", "it sent something that is nested too deeply") from None
        if self._native:
            self._attach(before, name, payload)

    def _event(self, name: str, payload: bytes) -> None:
        try:
            event = json_text.read_strictly(payload)
        except json_text.REFUSED:
            event = self._tolerant(payload)
        if not isinstance(event, dict):
            raise self._failures.protocol("bad_event", "it sent an event that is no object")
        kind = string(event, "type") or name
        handle = _HANDLERS.get(kind)
        if handle is None:
            if kind == "error" or event.get("error"):
                raise self._failures.failed(payload)
            known = kind == "ping" and event.keys() <= {"type"}
        else:
            self._hot = None
            known = handle(self, event, payload) and event.keys() <= EVENTS.get(kind, event.keys())
        if not known and not self._native:
            self._tell(name or kind, payload)
        if not self._content and self._answer.parts:
            self._release()

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

    # -- the answer

    def _progress(self, event: Native, payload: bytes) -> bool:
        response = self._object(event, "response")
        self._begin(response)
        self._transformations(response, payload)
        news = [name for name in response if name not in REPEATED and response[name] is not None]
        if news:
            self._announced |= facts.verbatim(bytes(json_text.dig(payload, "response")), news)
        return event.keys() <= {"type", "sequence_number", "obfuscation", "response"}

    def _begin(self, response: Native) -> None:
        self._answer.stored |= response.get("store") is True
        if self._started:
            return
        self._started = True
        self._answer.model = string(response, "model") or self._model
        event = _Event(start=facts.read_start(response))
        event.start.provider_request_id = self._request_id
        event.start.rate_limits.extend(self._rate_limits)
        self._out.append(event)
        self._out += [_Event(warning=warning) for warning in self._warnings]

    def _transformations(self, response: Native, payload: bytes) -> None:
        found = facts.transformations(response, payload)
        self._out += [_Event(warning=warning) for warning in found[self._transformed :]]
        self._transformed = max(self._transformed, len(found))

    # -- items

    def _item_added(self, event: Native, payload: bytes) -> bool:
        item = self._object(event, "item")
        self._begin({})
        self._items.announce(self._key(event, item), item, self._out)
        return ANNOUNCED.issuperset(item)

    def _item_done(self, event: Native, payload: bytes) -> bool:
        item = self._object(event, "item")
        self._begin({})
        raw = bytes(json_text.dig(payload, "item"))
        return self._items.end(self._key(event, item), item, raw, self._out)

    def _key(self, event: Native, item: Native | None = None) -> Key:
        at = event.get("output_index")
        return at if type(at) is int else string(event, "item_id") or string(item or {}, "id")

    def _object(self, event: Native, name: str) -> Native:
        value = event.get(name)
        if not isinstance(value, dict):
            raise self._failures.protocol("bad_event", f"it sent a {name} that is no object")
        return value

    # -- what is said

    def _spoken_of(self, event: Native, kind: str) -> Item:
        """The item that is spoken of; one of `kind`, if nothing announced it."""
        self._begin({})
        return self._items.announce(self._key(event), {"type": kind, "id": string(event, "item_id")}, self._out)

    def _message(self, event: Native, kind: str) -> Spoken:
        found = self._spoken_of(event, "message")
        if not isinstance(found, MessageItem):
            raise self._failures.protocol("bad_event", "it sent text for an item that is no message")
        return found.spoken(_number(event, "content_index"), kind, self._out)

    def _text_delta(self, event: Native, payload: bytes) -> bool:
        spoken = self._message(event, "text")
        tokens = read_logprobs({"content": event.get("logprobs")}, "text")
        spoken.say(string(event, "delta"), self._out, tokens)
        known = plain_tokens(event.get("logprobs")) and isinstance(event.get("delta"), str)
        if known and spoken.is_text and event.keys() <= EVENTS["response.output_text.delta"]:
            self._learn(spoken, event, payload)
        return known

    def _refusal_delta(self, event: Native, payload: bytes) -> bool:
        self._message(event, "refusal").say(string(event, "delta"), self._out)
        return isinstance(event.get("delta"), str)

    def _block_known(self, event: Native, payload: bytes) -> bool:
        """A block is announced. Its text is empty, or will be repeated at its end."""
        return self._object(event, "part").keys() <= {"type", "text", "refusal", "annotations", "logprobs"}

    def _block_done(self, event: Native, payload: bytes) -> bool:
        part = self._object(event, "part")
        item = self._items.get(self._key(event))
        if isinstance(item, MessageItem):
            raw = bytes(json_text.dig(payload, "part"))
            return item.block(_number(event, "content_index"), part, raw, self._out)
        return part.keys() <= {"type", "text"}

    def _repeated(self, event: Native, payload: bytes) -> bool:
        """A text that its deltas told; the block that is completed next repeats it again."""
        return plain_tokens(event.get("logprobs"))

    def _annotation(self, event: Native, payload: bytes) -> bool:
        annotation = self._object(event, "annotation")
        raw = json_text.text_of(json_text.dig(payload, "annotation"))
        self._message(event, "text").cite(read_citation(annotation, raw, self._answer), self._out)
        return True

    def _reasoning(self, event: Native, kind: str) -> bool:
        found = self._spoken_of(event, "reasoning")
        at = _number(event, "summary_index" if kind == "summary" else "content_index")
        if not isinstance(found, ReasoningItem) or not found.is_open(kind, at):
            return False
        found.spoken(kind, at, self._out).say(string(event, "delta"), self._out)
        return isinstance(event.get("delta"), str)

    def _summary_delta(self, event: Native, payload: bytes) -> bool:
        return self._reasoning(event, "summary")

    def _reasoning_delta(self, event: Native, payload: bytes) -> bool:
        return self._reasoning(event, "content")

    def _input_delta(self, event: Native, payload: bytes) -> bool:
        item = self._items.get(self._key(event))
        if not isinstance(item, CallItem | HostedCall) or not isinstance(delta := event.get("delta"), str):
            return False
        item.delta(delta, self._out)
        return True

    # -- ends

    def _completed(self, event: Native, payload: bytes) -> bool:
        """All parts and the candidate end."""
        response = self._object(event, "response")
        self._begin(response)
        self._transformations(response, payload)
        details = response.get("incomplete_details")
        reason = string(details, "reason") if isinstance(details, dict) else ""
        cut = "response.incomplete" in (string(event, "type"), f"response.{string(response, 'status')}")
        for raw in self._items.finish(response, payload, self._out, cut=cut):
            if not self._native:
                self._tell("response.output_item.done", _encode({"item": raw}))
        self._usage(response, payload)
        self._rest(event, response, payload)
        event_ = _Event()
        end = event_.candidate_end
        end.reason = FINISH.get(reason, _Finish.FINISH_REASON_OTHER) if cut else self._stop_reason()
        end.native_reason = reason or ("incomplete" if cut else "completed")
        if isinstance(details, dict):
            end.native_json = json_text.text_of(json_text.dig(payload, "response", "incomplete_details"))
        self.done = True
        self._out.append(event_)
        self._release()
        return True

    def _stop_reason(self) -> _Finish:
        if self._answer.called:
            return _Finish.FINISH_REASON_TOOL_CALLS
        return _Finish.FINISH_REASON_REFUSAL if self._answer.refused else _Finish.FINISH_REASON_STOP

    def _usage(self, response: Native, payload: bytes) -> None:
        if isinstance(usage := response.get("usage"), dict):
            raw = json_text.text_of(json_text.dig(payload, "response", "usage"))
            self._out.append(_Event(usage=read_usage(usage, response, raw)))

    def _rest(self, event: Native, response: Native, payload: bytes) -> None:
        """What the vendor tells of the whole answer and no field of the contract holds."""
        if self._native:
            return
        told = facts.rest(event, response, payload, self._announced)
        if told:
            self._tell(string(event, "type"), told)

    def _failed(self, event: Native, payload: bytes) -> bool:
        response = self._object(event, "response")
        if self._started:
            self._usage(response, payload)
        raise self._failures.failed(payload, bytes(json_text.dig(payload, "response")))


def _number(event: Native, name: str) -> int:
    value = event.get(name)
    return value if type(value) is int else 0


_Handler = Callable[[ResponseStream, Native, bytes], bool]
_HANDLERS: Final[dict[str, _Handler]] = {
    **dict.fromkeys(("response.created", "response.queued", "response.in_progress"), ResponseStream._progress),
    "response.output_item.added": ResponseStream._item_added,
    "response.output_item.done": ResponseStream._item_done,
    "response.content_part.added": ResponseStream._block_known,
    "response.content_part.done": ResponseStream._block_done,
    "response.output_text.delta": ResponseStream._text_delta,
    "response.refusal.delta": ResponseStream._refusal_delta,
    "response.output_text.annotation.added": ResponseStream._annotation,
    "response.reasoning_text.delta": ResponseStream._reasoning_delta,
    "response.reasoning_summary_text.delta": ResponseStream._summary_delta,
    **dict.fromkeys(
        ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"), ResponseStream._block_known
    ),
    **dict.fromkeys(
        (
            "response.function_call_arguments.delta",
            "response.custom_tool_call_input.delta",
            "response.mcp_call_arguments.delta",
            "response.code_interpreter_call_code.delta",
        ),
        ResponseStream._input_delta,
    ),
    **dict.fromkeys(
        (
            "response.output_text.done",
            "response.refusal.done",
            "response.reasoning_text.done",
            "response.reasoning_summary_text.done",
            "response.function_call_arguments.done",
            "response.custom_tool_call_input.done",
            "response.mcp_call_arguments.done",
            "response.code_interpreter_call_code.done",
        ),
        ResponseStream._repeated,
    ),
    "response.completed": ResponseStream._completed,
    "response.incomplete": ResponseStream._completed,
    "response.failed": ResponseStream._failed,
}
