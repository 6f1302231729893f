"""Owns the bytes of the dialect: heads, chunks, errors. Content is numbered, so that loss and repetition show."""

import json
from collections.abc import Mapping
from typing import Any, Final

_REASONS: Final = {200: "OK", 204: "No Content", 404: "Not Found", 429: "Too Many Requests"}
_SSE_HEAD: Final = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: {number}\r\n"


def token(number: int) -> str:
    """The token of that number."""
    return f"t{number} "


def text(tokens: int) -> str:
    """A whole answer of so many tokens."""
    return "".join(map(token, range(tokens)))


def stream_head(number: int, headers: Mapping[str, str], *, chunked: bool) -> bytes:
    """The head of a streamed answer. Not chunked: the body lasts until the connection ends."""
    lines = _SSE_HEAD.format(number=number) + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{lines}{'transfer-encoding: chunked' if chunked else 'connection: close'}\r\n\r\n".encode()


def whole(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A response with a JSON body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\ncontent-type: application/json\r\n"
    return f"{head}{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def error(status: int, script_error: Mapping[str, Any]) -> bytes:
    """An error body in the dialect."""
    default = {"message": f"scripted failure {status}", "type": "server_error", "code": None, "param": None}
    return json.dumps({"error": {**default, **script_error}}).encode()


def models() -> bytes:
    """The list of models."""
    return json.dumps(
        {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}
    ).encode()


def event(payload: str | bytes) -> bytes:
    """A server-sent event."""
    return b"data: " + (payload.encode() if isinstance(payload, str) else payload) + b"\n\n"


def delta(model: str, members: Mapping[str, Any], finish: str | None = None) -> bytes:
    """An event with a chunk of one choice."""
    choice = {"index": 0, "delta": members, "logprobs": None, "finish_reason": finish}
    return event(json.dumps({**_head(model), "choices": [choice], "usage": None}))


def usage(model: str, tokens: int) -> bytes:
    """The chunk with the usage."""
    counts = {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": tokens + 3}
    return event(json.dumps({**_head(model), "choices": [], "usage": counts}))


def ending(model: str, tokens: int) -> bytes:
    """Finish reason, usage and end mark."""
    return delta(model, {}, "stop") + usage(model, tokens) + DONE


DONE: Final = event("[DONE]")
MALFORMED: Final = event('{"id": "c1", "choices": [{')


def _head(model: str) -> dict[str, Any]:
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": model}


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
