"""Owns the translation of a v2 chat stream into contract events, without `end`.

    stream = ChatStream(...)
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
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_provider_cohere.codec.answer import Answer, Block
from antiphon_provider_cohere.codec.capabilities import NAME
from antiphon_provider_cohere.codec.citations import string
from antiphon_provider_cohere.codec.events import SHAPES, knows, unknown
from antiphon_provider_cohere.codec.failures import ERRORS, read_failure
from antiphon_provider_cohere.codec.logprobs import read_logprobs
from antiphon_provider_cohere.codec.usage import read_usage
from antiphon_wires import classification, json_text
from antiphon_wires.event_stream import Events, EventStream, malformed
from antiphon_wires.known_deltas import KnownDeltas
from antiphon_wires.plain_delta import PlainDelta

_Event = response_pb2.StreamEvent
# Strings whose last or first half of a character may stand in the neighbouring event.
_SPLIT: Final = frozenset({"text", "thinking", "tool_plan", "arguments"})
_PLAIN_EVENT: Final = frozenset({"type", "index", "delta"})
# Blocks follow one another, so a stream has few to learn; what keeps changing is not worth it.
_MAX_LESSONS: Final = 16
_usage_of: Final = json_text.digger("delta", "usage")


class ChatStream(EventStream):
    """One answer. After `check` or any method has raised, it is of no more use."""

    def __init__(
        self,
        *,
        native: bool = False,
        warnings: Sequence[response_pb2.Warning] = (),
        request_id: str = "",
        rate_limits: Iterable[error_pb2.RateLimit] = (),
        model: str = "",
        mint: Callable[[], str] = lambda: f"call_{uuid4().hex}",
        known: KnownDeltas | None = None,
    ) -> None:
        """`native`: NATIVE_MODE_ATTACH. `warnings`: those of the request, sent after `start`. `mint`: ids for tool
        calls that come without one. `known`: from the answers before."""
        super().__init__()
        self._native = native
        self._warnings = warnings
        self._request_id = request_id
        self._rate_limits = rate_limits
        self._model = model
        self._answer = Answer(mint)
        self._started = False
        self._told: dict[tuple[str, ...], str] = {}
        # To attach native bytes each payload has to be seen.
        self._lessons = 0 if native else _MAX_LESSONS
        self._known = known or KnownDeltas()
        self._learned: Block | None = None
        self._plain: Block | None = None
        self._shape: PlainDelta | None = None

    def _plain_delta(self) -> PlainDelta | None:
        block = self._plain
        return None if block is None or block.held else self._shape

    def _extend(self, text: str) -> None:
        block = self._plain
        assert block is not None, "nothing to extend"
        if not block.open:
            self._answer.say(block, text, self._out)
            self._release()
            return
        event = _Event(text_delta=text) if block.kind == "text" else _Event(reasoning_delta=text)
        if block.index:
            event.part_index = block.index
        self._out.append(event)

    def close(self) -> Events:
        """The last events, at the end of the body. Raises when the answer is not whole."""
        self.check()
        for name, payload in self._sse.close():
            try:
                self._dispatch(name, payload)
            except CallFailure as failure:
                # Half an event is what a cut leaves behind.
                if self._started and failure.error.native_code == "bad_json":
                    raise self._cut("eof") from None
                raise
        if not self.done:
            raise self._cut("eof")
        return self._take()

    def _dispatch(self, name: str, payload: bytes) -> None:
        if self.done or not payload:
            return
        before = len(self._out)
        if payload.startswith(b"[DONE]"):
            # The SDK knows it; the API itself ends with message-end.
            raise self._cut("done")
        try:
            self._event(name, payload)
        except RecursionError:
            raise self._protocol("bad_json", "it sent something that is nested too deeply") from None
        if self._native:
            self._attach(before, "", payload)

    # -- events

    def _event(self, name: str, payload: bytes) -> None:
        event = self._read(payload)
        if not isinstance(event, dict):
            raise self._protocol("bad_event", "it sent an event that is no object")
        kind = event.get("type")
        if not isinstance(kind, str):
            if name == "error" or event.get("message") or event.get("error"):
                raise self._refused(payload)
            kind = name
        shape = SHAPES.get(kind)
        if shape is None:
            self._unheard(kind, name, payload)
            return
        if not self._started:
            self._begin(event)
        if not self._native and not knows(event, shape) and self._news(kind, event, shape):
            self._tell(name, payload)
        if (handle := _HANDLERS.get(kind)) is not None:
            handle(self, event, payload)
        if not self._content and self._answer.begun:
            self._release()

    def _read(self, payload: bytes) -> Any:
        try:
            return json_text.read_strictly(payload)
        except json_text.REFUSED:
            pass
        try:
            event = json_text.read_tolerantly(payload)
        except ValueError:
            raise self._protocol("bad_json", "it sent something that is no JSON") from None
        try:
            payload.decode()
        except UnicodeDecodeError:
            self._aside(malformed("bytes that are no UTF-8 became U+FFFD"))
        return json_text.mend_tree(event, _SPLIT)

    def _unheard(self, kind: str, name: str, payload: bytes) -> None:
        """An event of a type without a meaning here, `debug` among them."""
        if kind == "error":
            raise self._refused(payload)
        if not self._native:
            self._tell(name or kind, payload)

    def _news(self, kind: str, event: dict[str, Any], shape: Any) -> bool:
        """Whether a member without a meaning here has a value that was not told before."""
        news = False
        for path, text in unknown(event, shape):
            news |= self._told.get((kind, *path)) != text
            self._told[(kind, *path)] = text
        return news

    def _begin(self, event: dict[str, Any]) -> None:
        self._started = True
        start = _Event()
        start.start.provider_request_id = self._request_id
        start.start.provider_response_id = string(event.get("id"))
        if self._rate_limits:
            start.start.rate_limits.extend(self._rate_limits)
        self._out.append(start)
        if self._warnings:
            self._out += [_Event(warning=warning) for warning in self._warnings]

    def _said(self, event: dict[str, Any], payload: bytes) -> None:
        content = _message(event, "content")
        if not isinstance(content, dict):
            return
        position, logprobs = _position(event), event.get("logprobs")
        for member in ("thinking", "text"):
            if (text := content.get(member)) is None and not (member == "text" and logprobs):
                continue
            block = self._answer.block(position, member)
            self._answer.say(block, _text(text), self._out, read_logprobs(logprobs) if logprobs else ())
            logprobs = None
            if block is not self._learned and self._lessons:
                self._look_ahead(block, position, member, event, payload)

    def _said_end(self, event: dict[str, Any], payload: bytes) -> None:
        self._answer.end_content(_position(event), self._out)

    def _planned(self, event: dict[str, Any], payload: bytes) -> None:
        self._answer.plan(_text(_message(event, "tool_plan")), self._out)

    def _called(self, event: dict[str, Any], payload: bytes) -> None:
        self._calls(event, self._answer.call)

    def _called_more(self, event: dict[str, Any], payload: bytes) -> None:
        self._calls(event, self._answer.call_more)

    def _calls(self, event: dict[str, Any], take: Callable[[int, Any, Events], None]) -> None:
        calls = _message(event, "tool_calls")
        # One object; a list is what imitators send.
        for position, call in enumerate(calls if isinstance(calls, list) else [calls], _position(event)):
            take(position, call, self._out)

    def _called_end(self, event: dict[str, Any], payload: bytes) -> None:
        self._answer.end_call(_position(event), self._out)

    def _look_ahead(self, block: Block, position: int, member: str, event: dict[str, Any], payload: bytes) -> None:
        """What further text of `block` will look like."""
        self._plain = block
        if not block.open:
            self._shape = self._known.get(position, member)
            return
        self._lessons -= 1
        self._learned = block
        path = ("delta", "message", "content", member)
        self._shape = PlainDelta.learn(self._block, payload, event, path) if _says_only(event, member) else None
        self._known.keep(position, member, self._shape)

    def _cite(self, event: dict[str, Any], payload: bytes) -> None:
        citations = _message(event, "citations")
        if citations is None:
            return
        raw = json_text.dig(payload, "delta", "message", "citations")
        raws = json_text.elements(bytes(raw)) if isinstance(citations, list) else [raw]
        for citation, one in zip(citations if isinstance(citations, list) else [citations], raws, strict=True):
            self._answer.cite(citation, bytes(one), self._out)

    # -- ends

    def _finish(self, event: dict[str, Any], payload: bytes) -> None:
        delta = event.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if isinstance(usage := delta.get("usage"), dict):
            raw = json_text.text_of(_usage_of(payload))
            self._out.append(_Event(usage=read_usage(usage, raw)))
        word = delta.get("finish_reason")
        message = string(delta.get("error"))
        if not isinstance(word, str) or not word:
            if message:
                raise self._failed_by("ERROR", message)
            raise self._cut("message_end")
        # Without content nothing is lost by trying elsewhere; with it the text so far is an answer cut short.
        if word == "ERROR" or (word == "TIMEOUT" and not self._answer.begun):
            raise self._failed_by(word, message)
        if message and not self._native:
            self._tell("", payload)
        self.done = True
        self._shape = None
        self._answer.finish(word, self._out)
        self._release()

    def _failed_by(self, word: str, message: str) -> CallFailure:
        error = read_failure(word, message, model=self._model)
        error.provider_request_id = error.provider_request_id or self._request_id
        return CallFailure(error)

    def _refused(self, payload: bytes) -> CallFailure:
        error = classification.classify_in_stream(NAME, payload, model=self._model, extra=ERRORS)
        error.provider_request_id = error.provider_request_id or self._request_id
        error.native_type = error.native_type or "error"
        return CallFailure(error)

    def _cut(self, how: str) -> CallFailure:
        reason = Reason.ERROR_REASON_PROVIDER_ERROR if how == "eof" else Reason.ERROR_REASON_UPSTREAM_PROTOCOL
        return self._failed(reason, f"{how}_without_finish_reason", "its answer ended without a finish reason")

    def _protocol(self, code: str, message: str) -> CallFailure:
        return self._failed(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, code, message)

    def _failed(self, reason: error_pb2.ErrorReason, code: str, message: str) -> CallFailure:
        return CallFailure(
            call_error(
                reason,
                f"{NAME}: {message}",
                provider=NAME,
                model=self._model,
                native_type="stream",
                native_code=code,
                provider_request_id=self._request_id,
            )
        )


_Handler = Callable[[ChatStream, dict[str, Any], bytes], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "content-start": ChatStream._said,
    "content-delta": ChatStream._said,
    "content-end": ChatStream._said_end,
    "tool-plan-delta": ChatStream._planned,
    "tool-call-start": ChatStream._called,
    "tool-call-delta": ChatStream._called_more,
    "tool-call-end": ChatStream._called_end,
    "citation-start": ChatStream._cite,
    "message-end": ChatStream._finish,
}


def _position(event: dict[str, Any]) -> int:
    index = event.get("index")
    return index if type(index) is int else 0


def _message(event: dict[str, Any], member: str) -> Any:
    delta = event.get("delta")
    message = delta.get("message") if isinstance(delta, dict) else None
    return message.get(member) if isinstance(message, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _says_only(event: dict[str, Any], member: str) -> bool:
    """Nothing but `member`, which the event has, would be lost of an event like this one."""
    delta = event["delta"]
    return (
        _PLAIN_EVENT.issuperset(event)
        and len(delta) == 1
        and len(delta["message"]) == 1
        and delta["message"]["content"].keys() == {member}
    )
