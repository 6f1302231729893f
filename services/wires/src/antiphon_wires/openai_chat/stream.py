"""Owns the translation of a vendor's stream of chunks into contract events, without `end`.

    stream = ChatStream(dialect, ...)
    for data in reads:                 # SSE bytes, cut anywhere; in-process: stream.feed_chunk(json)
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
from antiphon_wires import json_text
from antiphon_wires.event_stream import Events, EventStream, malformed
from antiphon_wires.openai_chat.candidate import Candidate, TextPart
from antiphon_wires.openai_chat.dialect import Dialect
from antiphon_wires.openai_chat.failures import Failures
from antiphon_wires.openai_chat.logprobs import read_logprobs
from antiphon_wires.openai_chat.members import CHOICE, CHUNK, News
from antiphon_wires.openai_chat.usage import read_usage
from antiphon_wires.plain_delta import PlainDelta

_Event = response_pb2.StreamEvent

_LESSONS: Final = 16
_TEXT: Final = ("choices", 0, "delta", "content")
_PLAIN_DELTA: Final = frozenset({"role", "content"})
# DeepSeek and llama.cpp say reasoning_content, vLLM from 0.12 on and Ollama reasoning
# (https://docs.vllm.ai/en/stable/features/reasoning_outputs, 2026-11).
_REASONING: Final = ("reasoning_content", "reasoning")
# Strings whose last or first half of a character may stand in the neighbouring chunk.
_SPLIT: Final = frozenset({*_REASONING, "content", "text", "refusal", "arguments", "input"})


class ChatStream(EventStream):
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
        self._dialect = dialect
        self._native = native
        self._warnings = warnings
        self._state_domain = state_domain
        self._request_id = request_id
        self._rate_limits = rate_limits
        self._failures = Failures(dialect, model, request_id)
        self._mint = mint
        self._started = False
        self._candidates: dict[int, Candidate] = {}
        self._plain: TextPart | None = None
        # Learned anew a few times, because some servers let `created` go on. To attach native bytes each payload has
        # to be seen.
        self._lessons = 0 if native else _LESSONS
        self._shape: PlainDelta | None = None
        self._last_usage = ""
        self._news = News()

    @property
    def finished(self) -> bool:
        """Every candidate was told why it ended; what may still come is usage and the end mark."""
        return bool(self._candidates) and all(candidate.native_reason for candidate in self._candidates.values())

    def feed_chunk(self, payload: bytes) -> Events:
        """The events of one chunk in JSON, for a server in the same process."""
        try:
            self._dispatch("", payload)
        except CallFailure as failure:
            self._failure = failure
        return self._take()

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
            self._finish("eof")
        return self._take()

    def _dispatch(self, name: str, payload: bytes) -> None:
        if self.done or not payload:
            return
        before = len(self._out)
        if payload.startswith(b"[DONE]"):
            self._finish("done")
        elif name in ("", "message"):
            try:
                self._chunk(payload)
            except RecursionError:
                raise self._failures.protocol("bad_json", "it sent something that is nested too deeply") from None
        elif name == "error":
            raise self._failures.refused(payload)
        else:
            self._tell(name, payload)
            return
        if self._native:
            self._attach(before, "", payload)

    # -- chunks

    def _chunk(self, payload: bytes) -> None:
        try:
            chunk = json_text.read_strictly(payload)
        except json_text.REFUSED:
            self._general(self._tolerant(payload), payload)
            return
        if not self._extends(chunk):
            self._general(chunk, payload)
        elif self._lessons:
            self._lessons -= 1
            self._shape = PlainDelta.learn(self._block, payload, chunk, _TEXT)

    def _plain_delta(self) -> PlainDelta | None:
        part = self._plain
        return None if part is None or part.held else self._shape

    def _extend(self, text: str) -> None:
        part = self._plain
        assert part is not None, "nothing to extend"
        event = _Event(text_delta=text)
        if part.index:
            event.part_index = part.index
        if part.candidate:
            event.candidate_index = part.candidate
        self._out.append(event)

    def _extends(self, chunk: Any) -> bool:
        """Nothing but more text for the text part that is open; still warm."""
        part = self._plain
        if part is None or part.held:
            return False
        try:
            (choice,) = chunk["choices"]
            delta = choice["delta"]
            text = delta["content"]
            if (
                type(text) is not str
                or choice["index"] != part.candidate
                or choice.get("finish_reason") is not None
                or choice.get("logprobs") is not None
                or chunk.get("usage") is not None
                or not _PLAIN_DELTA.issuperset(delta)
                or not CHOICE.names.issuperset(choice)
                or not CHUNK.names.issuperset(chunk)
                or "error" in chunk
                or self._news.changed(chunk)
            ):
                return False
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        if text:
            self._extend(text)
        return True

    def _tolerant(self, payload: bytes) -> Any:
        try:
            chunk = json_text.read_tolerantly(payload)
        except ValueError:
            raise self._failures.protocol("bad_json", "it sent something that is no JSON") from None
        try:
            payload.decode()
        except UnicodeDecodeError:
            self._aside(malformed("bytes that are no UTF-8 became U+FFFD"))
        return json_text.mend_tree(chunk, _SPLIT)

    def _general(self, chunk: Any, payload: bytes) -> None:
        if not isinstance(chunk, dict):
            raise self._failures.protocol("bad_chunk", "it sent a chunk that is no object")
        if chunk.get("error") or chunk.get("object") == "error":
            raise self._failures.refused(payload)
        choices = chunk.get("choices")
        if choices is not None and not isinstance(choices, list):
            raise self._failures.protocol("bad_chunk", "it sent choices that are no list")
        unknown = self._news.among(chunk, CHUNK)
        unknown |= self._news.learn(chunk) and self._started
        self._begin(chunk)
        for position, choice in enumerate(choices or ()):
            unknown |= self._choice(choice, position, payload)
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage(usage, payload)
        if unknown and not self._native:
            self._tell("", payload)
        if not self._content and any(candidate.begun for candidate in self._candidates.values()):
            self._release()
        self._find_plain()

    def _find_plain(self) -> None:
        """The open text part, if there is just one candidate to extend."""
        parts = [candidate.text for candidate in self._candidates.values()]
        part = parts[0] if len(parts) == 1 else None
        self._plain = part if part is not None and part.kind == "text" else None

    def _begin(self, chunk: dict[str, Any]) -> None:
        if self._started:
            return
        self._started = True
        event = _Event()
        start = event.start
        start.provider_request_id = self._request_id
        start.rate_limits.extend(self._rate_limits)
        for field, member in (
            ("model", "model"),
            ("provider_response_id", "id"),
            ("system_fingerprint", "system_fingerprint"),
            ("service_tier", "service_tier"),
        ):
            if isinstance(value := chunk.get(member), str):
                setattr(start, field, value)
        created = chunk.get("created")
        if isinstance(created, int | float) and 0 < created < 253402300800:
            start.create_time.FromMilliseconds(int(created * 1000))
        self._out.append(event)
        self._out += [_Event(warning=warning) for warning in self._warnings]

    def _choice(self, choice: Any, position: int, payload: bytes) -> bool:
        if not isinstance(choice, dict):
            raise self._failures.protocol("bad_chunk", "it sent a choice that is no object")
        number = choice.get("index")
        number = number if type(number) is int and 0 <= number < 2**31 else position
        candidate = self._candidates.get(number)
        if candidate is None:
            candidate = self._candidates[number] = Candidate(number, self._dialect, self._mint, self._state_domain)
        unknown = self._news.among(choice, CHOICE, (number,))
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._delta(candidate, delta, choice)
            if isinstance(annotations := delta.get("annotations"), list) and annotations:
                raws = json_text.elements(bytes(json_text.dig(payload, "choices", position, "delta", "annotations")))
                candidate.cite(annotations, [json_text.text_of(raw) for raw in raws], self._out)
        if reason := choice.get("finish_reason"):
            candidate.native_reason = str(reason)
        # vLLM and SGLang tell which stop text was hit (https://docs.vllm.ai/en/stable/api, 2026-11).
        for member in ("stop_reason", "matched_stop"):
            if isinstance(stop := choice.get(member), str):
                candidate.matched_stop = stop
        return unknown

    def _delta(self, candidate: Candidate, delta: dict[str, Any], choice: dict[str, Any]) -> None:
        out = self._out
        probabilities = choice.get("logprobs")
        for member in _REASONING:
            if isinstance(text := delta.get(member), str) and text:
                candidate.say("reasoning", text, (), out)
                break
        for kind, member in (("text", "content"), ("refusal", "refusal")):
            text = delta.get(member)
            logprobs = read_logprobs(probabilities, kind) if probabilities else []
            if logprobs or (isinstance(text, str) and text):
                candidate.say(kind, text if isinstance(text, str) else "", logprobs, out)
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                candidate.call(position, call, out)
        if isinstance(call := delta.get("function_call"), dict):
            candidate.call_function(call, out)
        if isinstance(audio := delta.get("audio"), dict):
            candidate.sound(audio, out)

    def _usage(self, usage: dict[str, Any], payload: bytes) -> None:
        native_json = json_text.text_of(json_text.members(payload)["usage"])
        if native_json != self._last_usage:
            self._last_usage = native_json
            self._out.append(_Event(usage=read_usage(usage, native_json)))

    # -- ends

    def _finish(self, how: str) -> None:
        """All parts and candidates end, if each candidate was told to be finished."""
        if not self.finished:
            raise self._failures.cut(how)
        self.done = True
        self._plain = None
        for number in sorted(self._candidates):
            self._candidates[number].finish(self._out)
        self._release()
