"""Owns how an OpenAI-compatible vendor spells things on /v1/chat/completions. Serves every such provider."""

import json
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any

from antiphon.llm.v1 import response_pb2
from antiphon_conformance.vendor.script import Head, Request, Script
from antiphon_conformance.wires import ANY_DELAY, SSE, Counts, Event, Refusal, Tool, encoded

Finish = response_pb2.FinishReason
_HEAD = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "scripted"}
_JSON = {"content-type": "application/json"}


def _chunk(delta: Mapping[str, object] | None, finish: str | None = None, **more: object) -> Event:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return Event(json.dumps({**_HEAD, "choices": choices, **more}))


def _text(token: str) -> Event:
    return _chunk({"content": token})


def _error(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


class OpenAIChat:
    """Chat Completions, as https://platform.openai.com/docs/api-reference/chat describes it in November 2026."""

    name = "openai_chat"
    truncated = "length"
    called_tools = "tool_calls"

    def model(self, request: Request) -> str:
        return str(self._body(request).get("model", ""))

    def output_limit(self, request: Request) -> int | None:
        body = self._body(request)
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        return None if limit is None else int(limit)

    def conversation(self, request: Request) -> list[tuple[str, str]]:
        return [(message["role"], _flat(message.get("content"))) for message in self._body(request)["messages"]]

    def key(self, request: Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def _body(self, request: Request) -> dict[str, Any]:
        body = json.loads(request.body)
        assert isinstance(body, dict)
        return body

    def catalogue(self, request: Request) -> Script:
        models = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "x"} for name in ("a", "plain")]
        return (Head(200, _JSON), json.dumps({"object": "list", "data": models}).encode())

    def count(self, request: Request) -> Script | None:
        # OpenAI counts tokens by another API of the same account, whatever the calls speak.
        if not request.path.endswith("/input_tokens"):
            return None
        return (Head(200, _JSON), b'{"object": "response.input_tokens", "input_tokens": 14}')

    def unknown_model(self, model: str) -> Script:
        return self.refusals["unknown model"].script()

    def usage(self, counts: Counts) -> dict[str, object]:
        """The vendor's usage object."""
        return {
            "prompt_tokens": counts.input_tokens,
            "completion_tokens": counts.output_tokens,
            "total_tokens": counts.input_tokens + counts.output_tokens,
            "prompt_tokens_details": {"cached_tokens": counts.cache_read_tokens},
            "completion_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
        }

    def begin(self) -> list[Event]:
        return [_chunk({"role": "assistant", "content": "", "refusal": None})]

    def tokens(self, tokens: Sequence[str]) -> list[Event]:
        return [_text(token) for token in tokens]

    def empty_delta(self) -> list[Event]:
        return [_chunk({"role": "assistant"})]

    def tools(self, tools: Sequence[Tool], *, interleaved: bool = False) -> list[Event]:
        opened = [
            _chunk({"tool_calls": [_tool(i, "", id=t.id, type="function", name=t.name)]}) for i, t in enumerate(tools)
        ]
        fragments = [
            [_chunk({"tool_calls": [_tool(i, fragment)]}) for fragment in tool.fragments]
            for i, tool in enumerate(tools)
        ]
        if not interleaved:
            return [event for head, body in zip(opened, fragments, strict=True) for event in (head, *body)]
        rounds = max(len(body) for body in fragments)
        return opened + [body[i] for i in range(rounds) for body in fragments if i < len(body)]

    def finish(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        last = [] if usage is None else [_chunk(None, usage=self.usage(usage))]
        return [_chunk({}, finish or "stop"), *last]

    def end(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        return [*self.finish(finish, usage), *self.terminator()]

    def terminator(self) -> list[Event]:
        return [Event("[DONE]")]

    def usage_variants(self, usage: Counts) -> Mapping[str, list[Event]]:
        last = _chunk(None, usage=self.usage(usage))
        null = _chunk({"content": ""}, usage=None)
        return {
            "in a chunk of its own": [null, _chunk({}, "stop", usage=None), last, *self.terminator()],
            "beside the finish": [_chunk({}, "stop", usage=self.usage(usage)), *self.terminator()],
            "with the choice still there": [
                _chunk({}, "stop"),
                _chunk({}, None, usage=self.usage(usage)),
                *self.terminator(),
            ],
            "cumulative in every chunk": [
                _chunk({"content": ""}, usage=self.usage(Counts(usage.input_tokens, 1))),
                _chunk({}, "stop", usage=self.usage(usage)),
                last,
                *self.terminator(),
            ],
        }

    def error_event(self) -> list[Event]:
        return [Event(_error("The server is overloaded", "server_error", "server_is_overloaded").decode())]

    def split_surrogates(self, before: str, after: str) -> list[Event]:
        return [_text(before + "\ud83d"), _text("\ude00" + after)]

    def lone_surrogate(self, before: str, after: str) -> list[Event]:
        return [_text(before + "\ud83d"), _text(after)]

    @property
    def finishes(self) -> "Mapping[str, response_pb2.FinishReason]":
        return {
            "stop": Finish.FINISH_REASON_STOP,
            "length": Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
            "content_filter": Finish.FINISH_REASON_CONTENT_FILTER,
            "a_word_of_next_year": Finish.FINISH_REASON_OTHER,
        }

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        return REFUSALS

    def echoing(self, key: str) -> Mapping[str, Script]:
        invalid = _error(f"Incorrect API key provided: {key}.", "invalid_request_error", "invalid_api_key")
        late = Event(_error(f"internal: Authorization: Bearer {key}", "server_error", None).decode())
        return {
            "401": (Head(401, _JSON), invalid),
            "500": (Head(500, {"content-type": "text/plain"}), f"Bearer {key}".encode()),
            "header": (Head(503, {**_JSON, "x-request-id": key}), b"{}"),
            "event": (SSE, *encoded([*self.begin(), *self.tokens(["t0 "]), late])),
            "garbage": (SSE, *encoded([*self.begin(), Event(f"<oops {key}>")])),
        }

    def retry_hints(self, now: Callable[[], float]) -> Mapping[str, tuple[Mapping[str, str], float]]:
        return {
            "seconds": ({"retry-after": "7"}, 7.0),
            "float seconds": ({"retry-after": "1.5"}, 1.5),
            "milliseconds": ({"retry-after-ms": "250"}, 0.25),
            "milliseconds and seconds": ({"retry-after-ms": "250", "retry-after": "1"}, ANY_DELAY),
            "date": ({"retry-after": formatdate(now() + 30, usegmt=True)}, 30.0),
            "past date": ({"retry-after": formatdate(now() - 30, usegmt=True)}, 0.0),
            "reset header": ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
            "absurd": ({"retry-after": "99999999"}, 3600.0),
            "negative": ({"retry-after": "-5"}, ANY_DELAY),
            "garbage": ({"retry-after": "soon"}, ANY_DELAY),
        }

    @property
    def parameters(self) -> Mapping[str, str]:
        return {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "min_p": "min_p",
            "frequency_penalty": "frequency_penalty",
            "presence_penalty": "presence_penalty",
            "repetition_penalty": "repetition_penalty",
            "seed": "seed",
            "logprobs": "logprobs",
            "top_logprobs": "top_logprobs",
            "parallel_tool_calls": "parallel_tool_calls",
            "store": "store",
        }

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        return {}

    @property
    def untold(self) -> frozenset[str]:
        return frozenset()


def _flat(content: object) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""


def _tool(index: int, arguments: str, *, name: str = "", **more: object) -> dict[str, object]:
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": index, **more, "function": function}


_INVALID = "invalid_request_error"
_QUOTA = "insufficient_quota"
_LATER = {"retry-after": "7"}

REFUSALS: Mapping[str, Refusal] = {
    "invalid": Refusal(400, _error("bad", _INVALID, None, "messages"), "INVALID_REQUEST", param="messages"),
    "context": Refusal(
        400,
        _error("too long", _INVALID, "context_length_exceeded", "messages"),
        "CONTEXT_LENGTH_EXCEEDED",
        native_code="context_length_exceeded",
    ),
    "policy": Refusal(400, _error("no", _INVALID, "content_policy_violation"), "CONTENT_BLOCKED"),
    "key": Refusal(401, _error("bad key", _INVALID, "invalid_api_key"), "PROVIDER_CREDENTIALS"),
    "payment": Refusal(402, _error("pay", "billing", None), "QUOTA_EXHAUSTED"),
    "forbidden": Refusal(403, _error("no access", _INVALID, None), "PROVIDER_CREDENTIALS"),
    "unknown model": Refusal(404, _error("no model", _INVALID, "model_not_found"), "MODEL_NOT_FOUND"),
    "timeout": Refusal(408, b"", "PROVIDER_ERROR"),
    "conflict": Refusal(409, _error("locked", "conflict", None), "CONFLICT"),
    "too large": Refusal(413, b"<html>Request Entity Too Large</html>", "REQUEST_TOO_LARGE"),
    "unprocessable": Refusal(422, b'{"detail": [{"loc": ["body"], "msg": "x"}]}', "INVALID_REQUEST"),
    "too early": Refusal(425, b"", "PROVIDER_ERROR"),
    "strange 4xx": Refusal(418, b'{"error": "teapot"}', "INVALID_REQUEST"),
    "rate": Refusal(429, _error("slow", "requests", "rate_limit_exceeded"), "RATE_LIMITED", _LATER, retry_s=7.0),
    "slow down": Refusal(429, _error("slow", "requests", "slow_down"), "RATE_LIMITED", _LATER, retry_s=7.0),
    "rate without a time": Refusal(429, b"", "RATE_LIMITED", retry_s=ANY_DELAY),
    "quota": Refusal(429, _error("spent", _QUOTA, _QUOTA), "QUOTA_EXHAUSTED", _LATER, native_code=_QUOTA),
    "spend limit": Refusal(
        429, _error("spent", _QUOTA, "project_spend_limit_exceeded"), "QUOTA_EXHAUSTED", retry_s=None
    ),
    "internal": Refusal(500, _error("oops", "server_error", None), "PROVIDER_ERROR"),
    "bad gateway": Refusal(502, b"<html><h1>502</h1></html>", "PROVIDER_ERROR", {"content-type": "text/html"}),
    "unavailable": Refusal(503, b"no healthy upstream", "PROVIDER_ERROR", {"content-type": "text/plain"}),
    "overloaded": Refusal(
        503,
        _error("busy", "server_error", "server_is_overloaded"),
        "PROVIDER_OVERLOADED",
        native_code="server_is_overloaded",
    ),
    "not implemented": Refusal(501, _error("no", "not_supported_error", None), "OPERATION_UNSUPPORTED"),
    "gateway timeout": Refusal(504, b"", "PROVIDER_ERROR"),
    "site overloaded": Refusal(529, b'{"error": null}', "PROVIDER_OVERLOADED"),
    "strange 5xx": Refusal(599, b"[1, 2", "PROVIDER_ERROR"),
    "not utf-8": Refusal(500, b'{"error": {"message": "\xff\xfe"}}', "PROVIDER_ERROR"),
    "a list": Refusal(500, b"[]", "PROVIDER_ERROR"),
    "a flat message": Refusal(500, b'{"message": "oops"}', "PROVIDER_ERROR"),
    "wrong types": Refusal(500, b'{"error": {"message": 5, "type": [], "code": {}}}', "PROVIDER_ERROR"),
    "one mebibyte": Refusal(500, _error("x" * (1 << 20), "server_error", None), "PROVIDER_ERROR"),
}
