"""Owns how Anthropic spells things on /v1/messages."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any

from antiphon.llm.v1 import response_pb2
from antiphon_conformance.vendor.script import Head, Request, Script
from antiphon_conformance.wires import ANY_DELAY, SSE, Counts, Event, Refusal, Tool, encoded

Finish = response_pb2.FinishReason
_JSON = {"content-type": "application/json"}
_MESSAGE = {"id": "msg_scripted", "type": "message", "role": "assistant", "model": "scripted", "content": []}
_TEXT = 0
"""Index of the text block, which is announced before its first words, as the vendor does it."""


def _event(name: str, **members: object) -> Event:
    return Event(json.dumps({"type": name, **members}), name)


def _delta(index: int, kind: str, **members: object) -> Event:
    return _event("content_block_delta", index=index, delta={"type": kind, **members})


def _text(token: str) -> Event:
    return _delta(_TEXT, "text_delta", text=token)


def _stop(index: int) -> Event:
    return _event("content_block_stop", index=index)


def _message_delta(reason: str | None, usage: Counts | None) -> Event:
    counts = {} if usage is None else {"usage": _usage(usage)}
    return _event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, **counts)


def _usage(counts: Counts) -> dict[str, object]:
    # The vendor's input_tokens leave out what was read from the cache.
    return {
        "input_tokens": counts.input_tokens - counts.cache_read_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cache_read_tokens,
        "output_tokens": counts.output_tokens,
        "output_tokens_details": {"thinking_tokens": counts.reasoning_tokens},
    }


def _error(kind: str, message: str, **details: object) -> bytes:
    error = {"type": kind, "message": message, **({"details": details} if details else {})}
    return json.dumps({"type": "error", "error": error, "request_id": "req_body"}).encode()


class AnthropicMessages:
    """Messages, API version 2026-10-21, as https://platform.claude.com/docs/en/api/messages describes it."""

    name = "anthropic_messages"
    truncated = "max_tokens"
    called_tools = "tool_use"

    def model(self, request: Request) -> str:
        return str(self._body(request).get("model", ""))

    def output_limit(self, request: Request) -> int | None:
        return int(self._body(request)["max_tokens"])

    def conversation(self, request: Request) -> list[tuple[str, str]]:
        body = self._body(request)
        first = [("system", text) for text in _texts(body.get("system", []))]
        return first + [(message["role"], "".join(_texts(message["content"]))) for message in body["messages"]]

    def key(self, request: Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def _body(self, request: Request) -> dict[str, Any]:
        body = json.loads(request.body)
        assert isinstance(body, dict)
        return body

    def catalogue(self, request: Request) -> Script:
        models = [
            {
                "id": name,
                "type": "model",
                "display_name": name,
                "created_at": "2026-01-01T00:00:00Z",
                "max_tokens": 9999,
            }
            for name in ("a", "plain")
        ]
        body = {"data": models, "has_more": False, "first_id": "a", "last_id": "plain"}
        return (Head(200, _JSON), json.dumps(body).encode())

    def count(self, request: Request) -> Script | None:
        return (Head(200, _JSON), b'{"input_tokens": 14}') if request.path.endswith("/count_tokens") else None

    def unknown_model(self, model: str) -> Script:
        return self.refusals["unknown model"].script()

    def begin(self) -> list[Event]:
        return [
            _event("message_start", message={**_MESSAGE, "stop_reason": None, "stop_sequence": None}),
            _event("content_block_start", index=_TEXT, content_block={"type": "text", "text": ""}),
            _event("ping"),
        ]

    def tokens(self, tokens: Sequence[str]) -> list[Event]:
        return [_text(token) for token in tokens]

    def empty_delta(self) -> list[Event]:
        return [_text("")]

    def tools(self, tools: Sequence[Tool], *, interleaved: bool = False) -> list[Event]:
        opened = [
            _event("content_block_start", index=i, content_block=_tool_use(tool)) for i, tool in enumerate(tools, 1)
        ]
        # The vendor's first piece is always empty.
        fragments = [
            [_delta(i, "input_json_delta", partial_json=piece) for piece in ("", *tool.fragments)]
            for i, tool in enumerate(tools, 1)
        ]
        closed = [_stop(i) for i, _ in enumerate(tools, 1)]
        if not interleaved:
            blocks = zip(opened, fragments, closed, strict=True)
            return [event for head, body, tail in blocks for event in (head, *body, tail)]
        rounds = max(len(body) for body in fragments)
        return opened + [body[i] for i in range(rounds) for body in fragments if i < len(body)] + closed

    def finish(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        return [_stop(_TEXT), _message_delta(finish or "end_turn", usage)]

    def end(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        return [*self.finish(finish, usage), *self.terminator()]

    def terminator(self) -> list[Event]:
        return [_event("message_stop")]

    def usage_variants(self, usage: Counts) -> Mapping[str, list[Event]]:
        parts = {"input_tokens": 1, "cache_creation_input_tokens": 2, "cache_read_input_tokens": usage.input_tokens - 3}
        last = {"stop_reason": "end_turn", "stop_sequence": None}
        totals = {**parts, "output_tokens": usage.output_tokens}
        return {
            "beside the stop reason": self.end(None, usage),
            "cumulative": [
                _message_delta(None, Counts(usage.input_tokens, 1)),
                *self.end(None, usage),
            ],
            "after the stop reason": [*self.finish(), _message_delta(None, usage), *self.terminator()],
            "input only at first": [
                _event("message_delta", delta={"stop_reason": None}, usage=parts),
                _event("message_delta", delta=last, usage={"output_tokens": usage.output_tokens}),
                *self.terminator(),
            ],
            "split by cache": [_event("message_delta", delta=last, usage=totals), *self.terminator()],
        }

    def error_event(self) -> list[Event]:
        return [Event(_error("overloaded_error", "Overloaded").decode(), "error")]

    def split_surrogates(self, before: str, after: str) -> list[Event]:
        return [_text(before + "\ud83d"), _text("\ude00" + after)]

    def lone_surrogate(self, before: str, after: str) -> list[Event]:
        return [_text(before + "\ud83d"), _text(after)]

    @property
    def finishes(self) -> "Mapping[str, response_pb2.FinishReason]":
        return {
            "end_turn": Finish.FINISH_REASON_STOP,
            "stop_sequence": Finish.FINISH_REASON_STOP_SEQUENCE,
            "max_tokens": Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
            "model_context_window_exceeded": Finish.FINISH_REASON_CONTEXT_WINDOW,
            "refusal": Finish.FINISH_REASON_REFUSAL,
            "pause_turn": Finish.FINISH_REASON_PAUSE,
            "compaction": Finish.FINISH_REASON_COMPACTION,
            "a_word_of_next_year": Finish.FINISH_REASON_OTHER,
        }

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        return REFUSALS

    def echoing(self, key: str) -> Mapping[str, Script]:
        late = Event(_error("api_error", f"internal: Authorization: Bearer {key}").decode(), "error")
        said = [*self.begin(), *self.tokens(["t0 "])]
        return {
            "400": (Head(400, _JSON), _error("invalid_request_error", f"bad header: Bearer {key}")),
            "401": (Head(401, _JSON), _error("authentication_error", f"invalid key {key}")),
            "500": (Head(500, {"content-type": "text/plain"}), f"Bearer {key}".encode()),
            "header": (Head(503, {**_JSON, "request-id": key}), b"{}"),
            "event": (SSE, *encoded([*said, late])),
            "garbage": (SSE, *encoded([*said, Event(f"<oops {key}>", "content_block_delta")])),
        }

    def retry_hints(self, now: Callable[[], float]) -> Mapping[str, tuple[Mapping[str, str], float]]:
        def reset(seconds: float) -> str:
            return (datetime.fromtimestamp(now(), UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")

        requests, tokens = "anthropic-ratelimit-requests", "anthropic-ratelimit-input-tokens"
        return {
            "seconds": ({"retry-after": "7"}, 7.0),
            "milliseconds": ({"retry-after-ms": "250"}, 0.25),
            "date": ({"retry-after": formatdate(now() + 30, usegmt=True)}, 30.0),
            "past date": ({"retry-after": formatdate(now() - 30, usegmt=True)}, 0.0),
            "reset date of the limit that is used up": (
                {
                    f"{requests}-remaining": "9",
                    f"{requests}-reset": reset(90),
                    f"{tokens}-remaining": "0",
                    f"{tokens}-reset": reset(30),
                },
                30.0,
            ),
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
            "parallel_tool_calls": "tool_choice",
            "service_tier": "service_tier",
        }

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        return {}

    @property
    def untold(self) -> frozenset[str]:
        return frozenset()


def _texts(content: str | list[dict[str, Any]]) -> list[str]:
    return [content] if isinstance(content, str) else [block.get("text", "") for block in content]


def _tool_use(tool: Tool) -> dict[str, object]:
    return {"type": "tool_use", "id": tool.id, "name": tool.name, "input": {}}


_LATER = {"retry-after": "7"}
_INVALID = "invalid_request_error"
_RATE = "rate_limit_error"

REFUSALS: Mapping[str, Refusal] = {
    "invalid": Refusal(400, _error(_INVALID, "max_tokens: Field required"), "INVALID_REQUEST"),
    "context": Refusal(
        400, _error(_INVALID, "prompt is too long: 212345 tokens > 200000 maximum"), "CONTEXT_LENGTH_EXCEEDED"
    ),
    "context with output": Refusal(
        400,
        _error(_INVALID, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
        "CONTEXT_LENGTH_EXCEEDED",
    ),
    "credit": Refusal(
        400, _error(_INVALID, "Your credit balance is too low to access the Claude API."), "QUOTA_EXHAUSTED", _LATER
    ),
    "spend limit of the operator": Refusal(
        400,
        _error(_INVALID, "You have reached your specified API usage limits. You will regain access on 2026-12-01."),
        "QUOTA_EXHAUSTED",
    ),
    "signature": Refusal(
        400,
        _error(_INVALID, "messages.1.content.0: Invalid `signature` in `thinking` block"),
        "OPAQUE_STATE_REJECTED",
    ),
    "changed thinking": Refusal(
        400,
        _error(_INVALID, "`thinking` blocks in the latest assistant message cannot be modified"),
        "OPAQUE_STATE_REJECTED",
    ),
    "policy": Refusal(400, _error(_INVALID, "Output blocked by content filtering policy"), "CONTENT_BLOCKED"),
    "old model": Refusal(400, _error(_INVALID, "role 'system' is not supported on this model"), "PARAM_UNSUPPORTED"),
    "hold": Refusal(400, _error(_INVALID, "disabled", error_code="organization_on_hold"), "PROVIDER_CREDENTIALS"),
    "key": Refusal(401, _error("authentication_error", "invalid bearer token"), "PROVIDER_CREDENTIALS"),
    "payment": Refusal(402, _error("billing_error", "pay"), "QUOTA_EXHAUSTED", _LATER),
    "forbidden": Refusal(403, _error("permission_error", "no access"), "PROVIDER_CREDENTIALS"),
    "unknown model": Refusal(404, _error("not_found_error", "model: nosuch"), "MODEL_NOT_FOUND"),
    "timeout": Refusal(408, b"", "PROVIDER_ERROR"),
    "conflict": Refusal(409, _error("conflict_error", "locked"), "CONFLICT"),
    "too large": Refusal(413, _error("request_too_large", "Request exceeds the maximum size"), "REQUEST_TOO_LARGE"),
    "too large at the edge": Refusal(413, b"<html>Request Entity Too Large</html>", "REQUEST_TOO_LARGE"),
    "strange 4xx": Refusal(418, b'{"error": "teapot"}', "INVALID_REQUEST"),
    "rate": Refusal(429, _error(_RATE, "too many tokens per minute"), "RATE_LIMITED", _LATER, retry_s=7.0),
    "acceleration": Refusal(
        429, _error(_RATE, "ramp", error_code="ramp_limit_exceeded"), "RATE_LIMITED", _LATER, retry_s=7.0
    ),
    "rate without a time": Refusal(429, b"", "RATE_LIMITED", retry_s=ANY_DELAY),
    "spend limit": Refusal(
        429, _error(_RATE, "spent", error_code="enforced_spend_limit_reached"), "QUOTA_EXHAUSTED", _LATER
    ),
    "spend limit of the contract": Refusal(
        429, _error(_RATE, "spent", error_code="contract_spend_limit_reached"), "QUOTA_EXHAUSTED"
    ),
    "closed": Refusal(499, b"", "PROVIDER_ERROR"),
    "internal": Refusal(500, _error("api_error", "Internal server error"), "PROVIDER_ERROR"),
    "bad gateway": Refusal(502, b"<html><h1>502</h1></html>", "PROVIDER_ERROR", {"content-type": "text/html"}),
    "unavailable": Refusal(503, b"no healthy upstream", "PROVIDER_ERROR", {"content-type": "text/plain"}),
    "not implemented": Refusal(501, b"", "OPERATION_UNSUPPORTED"),
    "gateway timeout": Refusal(504, _error("timeout_error", "timed out"), "PROVIDER_ERROR"),
    "overloaded": Refusal(529, _error("overloaded_error", "Overloaded"), "PROVIDER_OVERLOADED"),
    "overloaded without a body": Refusal(529, b"", "PROVIDER_OVERLOADED"),
    "not utf-8": Refusal(500, b'{"error": {"message": "\xff\xfe"}}', "PROVIDER_ERROR"),
    "a list": Refusal(500, b"[]", "PROVIDER_ERROR"),
    "wrong types": Refusal(500, b'{"error": {"message": 5, "type": [], "details": {}}}', "PROVIDER_ERROR"),
    "one mebibyte": Refusal(500, _error("api_error", "x" * (1 << 20)), "PROVIDER_ERROR"),
}
