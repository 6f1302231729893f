"""Owns the reading of a Chat Completions stream for the reference adapter: bytes in, events of the contract out.

A second opinion, written for clearness only; it shares no code with the gateway.
"""

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from antiphon.llm.v1 import content_pb2, response_pb2, usage_pb2

Event = response_pb2.StreamEvent
Finish = response_pb2.FinishReason
State = content_pb2.ToolCall
FINISHES = {
    "stop": Finish.FINISH_REASON_STOP,
    "length": Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
    "tool_calls": Finish.FINISH_REASON_TOOL_CALLS,
    "content_filter": Finish.FINISH_REASON_CONTENT_FILTER,
}


class Failed(Exception):
    """The call failed; everything the status needs."""

    def __init__(self, reason: str, message: str = "the vendor failed", **facts: Any) -> None:
        super().__init__(reason)
        self.reason, self.message, self.facts = reason, message, facts


def sse_data(buffer: bytearray, chunk: bytes, state: dict[str, bool]) -> Iterator[str]:
    """Event payloads that are complete with `chunk`."""
    if not state.get("begun") and (buffer + chunk):
        chunk = chunk.removeprefix(b"\xef\xbb\xbf")
        state["begun"] = True
    if state.get("cr") and chunk.startswith(b"\n"):
        chunk = chunk[1:]
    state["cr"] = chunk.endswith(b"\r")
    buffer += chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    while b"\n\n" in buffer:
        block, _, rest = bytes(buffer).partition(b"\n\n")
        buffer[:] = rest
        if (data := payload(block)) is not None:
            yield data


def payload(block: bytes) -> str | None:
    lines = [line.split(b":", 1)[1].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).decode() if lines else None


@dataclass
class Decoder:
    """One answer. `broken` is the fault that the self-tests ask for."""

    broken: str = ""
    opened: bool = False
    parts: list[list[Any]] = field(default_factory=list)  # [kind, pieces]
    tools: dict[int, int] = field(default_factory=dict)
    half: str = ""
    finish: str | None = None
    ended: bool = False
    done: bool = False

    def feed(self, data: str) -> Iterator[Event]:
        if data == "[DONE]":
            self.done = True
            return
        try:
            body = dict(json.loads(data))
        except (ValueError, TypeError):
            if self.broken == "swallows garbage":
                return
            raise Failed("UPSTREAM_PROTOCOL", "the vendor sent an unreadable event") from None
        if "error" in body:
            code = (body["error"] or {}).get("code") or ""
            overloaded = code == "server_is_overloaded"
            raise Failed("PROVIDER_OVERLOADED" if overloaded else "PROVIDER_ERROR", native_code=code or "error")
        if not self.opened and "choices" in body:
            self.opened = True
            yield Event(start=response_pb2.ResponseStart(model=body.get("model"), provider_response_id=body.get("id")))
        for choice in body.get("choices", []):
            yield from self._choice(choice)
        if body.get("usage"):
            yield Event(usage=self._usage(body["usage"]))

    def _usage(self, usage: dict[str, Any]) -> usage_pb2.Usage:
        read = usage_pb2.Usage(
            input_tokens=usage["prompt_tokens"],
            output_tokens=usage["completion_tokens"] - (self.broken == "miscounts usage"),
            source=usage_pb2.Usage.SOURCE_PROVIDER,
            native_json=json.dumps(usage),
        )
        read.cache_read_input_tokens = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        read.reasoning_output_tokens = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
        return read

    def _choice(self, choice: dict[str, Any]) -> Iterator[Event]:
        delta = choice.get("delta") or {}
        if delta.get("content"):
            yield from self._text(delta["content"])
        for call in delta.get("tool_calls") or []:
            yield from self._tool(call)
        if choice.get("finish_reason"):
            self.finish = choice["finish_reason"]
            yield from self._end()

    def _text(self, text: str) -> Iterator[Event]:
        if not self.parts or self.parts[-1][0] != "text":
            yield from self._open("text", content_pb2.Part(text=content_pb2.TextPart()))
        text = self.half + text
        self.half = ""
        if text and "\ud800" <= text[-1] <= "\udbff" and self.broken != "splits code points":
            text, self.half = text[:-1], text[-1]
        clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        index = len(self.parts) - 1
        if "\ufffd" in clean:
            yield Event(warning=response_pb2.Warning(kind=response_pb2.Warning.KIND_UPSTREAM_MALFORMED, path="text"))
        if clean:
            yield Event(text_delta=clean, part_index=index)
            if self.broken == "repeats text":
                yield Event(text_delta=clean, part_index=index)

    def _open(self, kind: str, part: content_pb2.Part) -> Iterator[Event]:
        self.parts.append([kind, []])
        yield Event(part_start=response_pb2.PartStart(part=part), part_index=len(self.parts) - 1)

    def _tool(self, call: dict[str, Any]) -> Iterator[Event]:
        index = 0 if self.broken == "mixes tool calls" else call["index"]
        if index not in self.tools:
            self.tools[index] = len(self.parts)
            made = content_pb2.ToolCall(id=call["id"], name=call["function"]["name"], kind=State.KIND_FUNCTION)
            yield from self._open("tool", content_pb2.Part(tool_call=made))
        fragment = call["function"].get("arguments") or ""
        if fragment:
            self.parts[self.tools[index]][1].append(fragment)
            yield Event(tool_input_delta=fragment, part_index=self.tools[index])

    def _end(self) -> Iterator[Event]:
        if self.ended:
            return
        self.ended = True
        for index, (kind, pieces) in enumerate(self.parts):
            tail = content_pb2.Part()
            if kind == "tool":
                tail.tool_call.input_state = self._state("".join(pieces))
            if self.broken != "forgets part_end":
                yield Event(part_end=response_pb2.PartEnd(tail=tail), part_index=index)
        reason = FINISHES.get(self.finish or "", Finish.FINISH_REASON_OTHER)
        if self.broken == "takes unknown finishes for stop" and reason == Finish.FINISH_REASON_OTHER:
            reason = Finish.FINISH_REASON_STOP
        yield Event(candidate_end=response_pb2.CandidateEnd(reason=reason, native_reason=self.finish))

    def _state(self, text: str) -> "content_pb2.ToolCall.InputState":
        if self.finish == "length":
            return State.INPUT_STATE_TRUNCATED
        try:
            json.loads(text or "{}")
        except ValueError:
            if self.broken != "trusts any arguments":
                return State.INPUT_STATE_INVALID_JSON
        return State.INPUT_STATE_COMPLETE


QUOTA = ("insufficient_quota", "spend_limit", "credit_balance")
BY_STATUS = {
    400: "INVALID_REQUEST", 401: "PROVIDER_CREDENTIALS", 402: "QUOTA_EXHAUSTED", 403: "PROVIDER_CREDENTIALS",
    404: "MODEL_NOT_FOUND", 408: "PROVIDER_ERROR", 409: "CONFLICT", 413: "REQUEST_TOO_LARGE", 425: "PROVIDER_ERROR",
    429: "RATE_LIMITED", 501: "OPERATION_UNSUPPORTED", 529: "PROVIDER_OVERLOADED",
}  # fmt: skip
BY_CODE = {"context_length_exceeded": "CONTEXT_LENGTH_EXCEEDED", "content_policy_violation": "CONTENT_BLOCKED",
           "server_is_overloaded": "PROVIDER_OVERLOADED"}  # fmt: skip


def refused(status: int, headers: Any, body: bytes) -> Failed:
    """An answer other than 200."""
    try:
        error = json.loads(body)["error"]
        code, kind, param = (error[name] if isinstance(error[name], str) else "" for name in ("code", "type", "param"))
    except (ValueError, KeyError, TypeError, IndexError):
        code = kind = param = ""
    reason = BY_CODE.get(code) or BY_STATUS.get(status) or ("INVALID_REQUEST" if status < 500 else "PROVIDER_ERROR")
    if status < 400:
        reason = "UPSTREAM_PROTOCOL"
    if status == 429 and any(word in code + kind for word in QUOTA):
        reason = "QUOTA_EXHAUSTED"
    retry_s = retry_after(headers) if reason == "RATE_LIMITED" else None
    return Failed(reason, http_status=status, native_code=code, param=param, retry_s=retry_s)


def retry_after(headers: Any) -> float | None:
    try:
        if "retry-after-ms" in headers:
            return _capped(float(headers["retry-after-ms"]) / 1000)
        if "retry-after" in headers:
            try:
                return _capped(float(headers["retry-after"]))
            except ValueError:
                return _capped(parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
        if "x-ratelimit-reset-requests" in headers:
            units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
            found = re.findall(r"([\d.]+)(ms|h|m|s)", headers["x-ratelimit-reset-requests"])
            return _capped(sum(float(number) * units[unit] for number, unit in found))
    except (ValueError, TypeError):
        return None
    return None


def _capped(delay_s: float) -> float:
    return min(max(0.0, delay_s), 3600.0) if math.isfinite(delay_s) else 0.0
