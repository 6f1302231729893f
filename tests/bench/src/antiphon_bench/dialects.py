"""Owns what the scripted vendors say: one answer in each dialect, whole and as server-sent events."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MODEL: Final = "m"
DRIP_MODEL: Final = "drip"
"""Its chunks come one by one."""

TOKENS: Final = 64
_INPUT_TOKENS: Final = 3
_WORDS: Final = [f"tok{number} " for number in range(TOKENS)]
TEXT: Final = "".join(_WORDS)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One vendor's way to say TEXT. `prefix` and `path` make the address of a call, `chunks` are those of a stream.

    `skipped`: how many of the chunks an SDK keeps to itself.
    """

    name: str
    prefix: str
    path: str
    answer: bytes
    chunks: Sequence[bytes]
    skipped: int = 0

    @property
    def units(self) -> int:
        """Chunks of a stream as an SDK counts them."""
        return len(self.chunks) - self.skipped


def _event(data: Mapping[str, Any], *, named: bool) -> bytes:
    name = f"event: {data['type']}\n" if named else ""
    return f"{name}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def _openai() -> Dialect:
    usage = {"prompt_tokens": _INPUT_TOKENS, "completion_tokens": TOKENS, "total_tokens": TOKENS + _INPUT_TOKENS}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "system_fingerprint": "fp"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**head, "choices": [choice], "usage": None}, named=False)

    def chunks() -> Iterator[bytes]:
        yield chunk({"role": "assistant", "content": ""})
        yield from (chunk({"content": word}) for word in _WORDS)
        yield chunk({}, "stop")
        yield _event({**head, "choices": [], "usage": usage}, named=False) + b"data: [DONE]\n\n"

    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    answer = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    return Dialect("openai", "/v1", "/chat/completions", json.dumps(answer).encode(), tuple(chunks()))


def _anthropic() -> Dialect:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
    usage = {"input_tokens": _INPUT_TOKENS, "output_tokens": TOKENS}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}

    def events() -> Iterator[dict[str, Any]]:
        begun: dict[str, Any] = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
        yield {"type": "message_start", "message": {**begun, "usage": {**usage, "output_tokens": 1}}}
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield {"type": "ping"}
        for word in _WORDS:
            yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        yield {"type": "content_block_stop", "index": 0}
        yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": TOKENS}}
        yield {"type": "message_stop"}

    answer = {**head, "content": [{"type": "text", "text": TEXT}], **stop, "usage": usage}
    chunks = tuple(_event(event, named=True) for event in events())
    return Dialect("anthropic", "", "/v1/messages", json.dumps(answer).encode(), chunks, skipped=1)


def _cohere() -> Dialect:
    units = {"input_tokens": float(_INPUT_TOKENS), "output_tokens": float(TOKENS)}
    usage = {"billed_units": units, "tokens": units}

    def event(kind: str, message: dict[str, Any], **members: Any) -> dict[str, Any]:
        return {"type": kind, **members, "delta": {"message": message}}

    def events() -> Iterator[dict[str, Any]]:
        empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield event("message-start", empty, id="c1")
        yield event("content-start", {"content": {"type": "text", "text": ""}}, index=0)
        for word in _WORDS:
            yield event("content-delta", {"content": {"text": word}}, index=0)
        yield {"type": "content-end", "index": 0}
        yield {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}}

    message = {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}
    answer = {"id": "c1", "finish_reason": "COMPLETE", "message": message, "usage": usage}
    chunks = tuple(_event(each, named=True) for each in events())
    return Dialect("cohere", "", "/v2/chat", json.dumps(answer).encode(), chunks)


OPENAI: Final = _openai()
ANTHROPIC: Final = _anthropic()
COHERE: Final = _cohere()
DIALECTS: Final = (OPENAI, ANTHROPIC, COHERE)
