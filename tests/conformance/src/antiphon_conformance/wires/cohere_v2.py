"""Owns how Cohere spells things on /v2/chat."""

import json
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any

from antiphon.llm.v1 import response_pb2
from antiphon_conformance.vendor.script import Head, Request, Script
from antiphon_conformance.wires import ANY_DELAY, SSE, Counts, Event, Refusal, Tool, encoded

Finish = response_pb2.FinishReason
_JSON = {"content-type": "application/json"}
_ID = "11111111-2222-3333-4444-555555555555"


def _event(kind: str, message: Mapping[str, object] | None = None, **more: object) -> Event:
    delta = {} if message is None else {"delta": {"message": message}}
    return Event(json.dumps({"type": kind, **more, **delta}), kind)


def _text(token: str) -> Event:
    return _event("content-delta", {"content": {"text": token}}, index=0)


def _end(finish: str, **more: object) -> Event:
    return Event(json.dumps({"type": "message-end", "delta": {"finish_reason": finish, **more}}), "message-end")


def _usage(counts: Counts, number: Callable[[int], float] = int) -> dict[str, object]:
    # The raw count includes a preamble that is not billed.
    return {
        "billed_units": {"input_tokens": number(counts.input_tokens), "output_tokens": number(counts.output_tokens)},
        "tokens": {
            "input_tokens": number(counts.input_tokens + 500),
            "output_tokens": number(counts.output_tokens + 8),
        },
        "cached_tokens": number(counts.cache_read_tokens),
    }


def _error(message: str) -> bytes:
    return json.dumps({"id": _ID, "message": message}).encode()


class CohereV2:
    """The v2 API, as https://docs.cohere.com/reference/chat describes it in November 2026."""

    name = "cohere_v2"
    truncated = "MAX_TOKENS"
    called_tools = "TOOL_CALL"

    def model(self, request: Request) -> str:
        return str(self._body(request).get("model", ""))

    def output_limit(self, request: Request) -> int | None:
        limit = self._body(request).get("max_tokens")
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
        models = [
            {
                "name": name,
                "is_deprecated": False,
                "endpoints": ["chat"],
                "finetuned": False,
                "context_length": 256000.0,
                "features": ["json_mode", "json_schema", "strict_tools", "tools"],
            }
            for name in ("a", "plain")
        ]
        return (Head(200, _JSON), json.dumps({"models": models}).encode())

    def count(self, request: Request) -> Script | None:
        return None

    def unknown_model(self, model: str) -> Script:
        return self.refusals["unknown model"].script()

    def begin(self) -> list[Event]:
        empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        started = _event("content-start", {"content": {"type": "text", "text": ""}}, index=0)
        return [_event("message-start", empty, id=_ID), started]

    def tokens(self, tokens: Sequence[str]) -> list[Event]:
        return [_text(token) for token in tokens]

    def empty_delta(self) -> list[Event]:
        return [_text("")]

    def tools(self, tools: Sequence[Tool], *, interleaved: bool = False) -> list[Event]:
        opened = [
            _event(
                "tool-call-start",
                {"tool_calls": {"id": t.id, "type": "function", "function": {"name": t.name, "arguments": ""}}},
                index=i,
            )
            for i, t in enumerate(tools)
        ]
        fragments = [
            [
                _event("tool-call-delta", {"tool_calls": {"function": {"arguments": fragment}}}, index=i)
                for fragment in tool.fragments
            ]
            for i, tool in enumerate(tools)
        ]
        closed = [_event("tool-call-end", index=i) for i in range(len(tools))]
        if not interleaved:
            calls = zip(opened, fragments, closed, strict=True)
            return [event for head, body, tail in calls for event in (head, *body, tail)]
        rounds = max(len(body) for body in fragments)
        return [*opened, *(body[i] for i in range(rounds) for body in fragments if i < len(body)), *closed]

    def finish(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        told = {} if usage is None else {"usage": _usage(usage)}
        return [_event("content-end", index=0), _end(finish or "COMPLETE", **told)]

    def end(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        return [*self.finish(finish, usage), *self.terminator()]

    def terminator(self) -> list[Event]:
        # The API ends with message-end; the SDK also knows this.
        return [Event("[DONE]")]

    def usage_variants(self, usage: Counts) -> Mapping[str, list[Event]]:
        raw_only = {"tokens": _usage(usage)["billed_units"]}
        counts = _usage(usage)
        return {
            "in the last event": self.end(None, usage),
            "as floats": [_end("COMPLETE", usage=_usage(usage, float))],
            "without a terminator": self.finish(None, usage),
            "raw only": [_end("COMPLETE", usage=raw_only)],
            "without a cache": [_end("COMPLETE", usage={**counts, "cached_tokens": None})],
            "with units of another kind": [
                _end("COMPLETE", usage={**counts, "billed_units": {**_billed(counts), "search_units": 1}})
            ],
        }

    def error_event(self) -> list[Event]:
        return [_end("ERROR", error="the model is overloaded, please try again later")]

    def split_surrogates(self, before: str, after: str) -> list[Event]:
        return [_text(before + "\ud83d"), _text("\ude00" + after)]

    def lone_surrogate(self, before: str, after: str) -> list[Event]:
        return [_text(before + "\ud83d"), _text(after)]

    @property
    def finishes(self) -> "Mapping[str, response_pb2.FinishReason]":
        return {
            "COMPLETE": Finish.FINISH_REASON_STOP,
            "STOP_SEQUENCE": Finish.FINISH_REASON_STOP_SEQUENCE,
            "MAX_TOKENS": Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
            "TIMEOUT": Finish.FINISH_REASON_OVERLOADED,
            "A_WORD_OF_NEXT_YEAR": Finish.FINISH_REASON_OTHER,
        }

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        return REFUSALS

    def echoing(self, key: str) -> Mapping[str, Script]:
        late = _end("ERROR", error=f"internal: Authorization: Bearer {key}")
        return {
            "401": (Head(401, _JSON), _error(f"invalid api token: {key}")),
            "400": (Head(400, _JSON), _error(f"invalid request: {key} is no model")),
            "500": (Head(500, {"content-type": "text/plain"}), f"Bearer {key}".encode()),
            "header": (Head(503, {**_JSON, "x-debug-trace-id": key}), b"{}"),
            "event": (SSE, *encoded([*self.begin(), *self.tokens(["t0 "]), late])),
            "garbage": (SSE, *encoded([*self.begin(), Event(f"<oops {key}>")])),
        }

    def retry_hints(self, now: Callable[[], float]) -> Mapping[str, tuple[Mapping[str, str], float]]:
        # In the order of the SDK: retry-after-ms, retry-after, x-ratelimit-reset (seconds since 1970).
        return {
            "seconds": ({"retry-after": "7"}, 7.0),
            "float seconds": ({"retry-after": "1.5"}, 1.5),
            "milliseconds": ({"retry-after-ms": "250"}, 0.25),
            "date": ({"retry-after": formatdate(now() + 30, usegmt=True)}, 30.0),
            "past date": ({"retry-after": formatdate(now() - 30, usegmt=True)}, 0.0),
            "reset as a date": ({"x-ratelimit-reset": str(int(now()) + 60)}, 60.0),
            "absurd": ({"retry-after": "99999999"}, 3600.0),
            "negative": ({"retry-after": "-5"}, ANY_DELAY),
            "garbage": ({"retry-after": "soon"}, ANY_DELAY),
        }

    @property
    def parameters(self) -> Mapping[str, str]:
        return {
            "temperature": "temperature",
            "top_p": "p",
            "top_k": "k",
            "frequency_penalty": "frequency_penalty",
            "presence_penalty": "presence_penalty",
            "seed": "seed",
            "logprobs": "logprobs",
        }

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        return {
            "top_p": (0.01, 0.99),
            "top_k": (0, 500),
            "frequency_penalty": (0.0, 1.0),
            "presence_penalty": (0.0, 1.0),
        }

    @property
    def untold(self) -> frozenset[str]:
        # https://docs.cohere.com/reference/chat (2026-11): the tokens of its reasoning are among those of the output.
        return frozenset({"reasoning_tokens"})


def _flat(content: object) -> str:
    if isinstance(content, list):
        return "".join(block.get("text", "") for block in content)
    return content if isinstance(content, str) else ""


def _billed(usage: Mapping[str, object]) -> dict[str, object]:
    billed = usage["billed_units"]
    assert isinstance(billed, dict)
    return billed


_LATER = {"retry-after": "7"}
_TRIAL = "You are using a Trial key, which is limited to"

# https://docs.cohere.com/reference/errors (2026-11): errors are {"id", "message"}, without types and codes.
REFUSALS: Mapping[str, Refusal] = {
    "invalid": Refusal(400, _error("invalid request: list of documents must not be empty"), "INVALID_REQUEST"),
    "context": Refusal(
        400,
        _error("too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."),
        "CONTEXT_LENGTH_EXCEEDED",
    ),
    "unsupported": Refusal(
        400, _error("invalid request: response_format is not supported with RAG."), "PARAM_UNSUPPORTED"
    ),
    "key": Refusal(401, _error("invalid api token"), "PROVIDER_CREDENTIALS"),
    "payment": Refusal(402, _error("Please add or update your payment method"), "QUOTA_EXHAUSTED"),
    "forbidden": Refusal(403, _error("no access to this model"), "PROVIDER_CREDENTIALS"),
    "unknown model": Refusal(
        404, _error("model 'x' not found, make sure the correct model ID was used"), "MODEL_NOT_FOUND"
    ),
    "timeout": Refusal(408, b"", "PROVIDER_ERROR"),
    "conflict": Refusal(409, _error("conflict"), "CONFLICT"),
    "too large": Refusal(413, b"<html>Request Entity Too Large</html>", "REQUEST_TOO_LARGE"),
    "unprocessable": Refusal(422, _error("invalid request: field 'messages' is required"), "INVALID_REQUEST"),
    "strange 4xx": Refusal(418, b'{"message": "teapot"}', "INVALID_REQUEST"),
    "rate": Refusal(429, _error("You are past the per minute request limit"), "RATE_LIMITED", _LATER, retry_s=7.0),
    "trial rate": Refusal(429, _error(f"{_TRIAL} 20 API calls / minute."), "RATE_LIMITED", retry_s=ANY_DELAY),
    "trial month": Refusal(429, _error(f"{_TRIAL} 1000 API calls / month."), "QUOTA_EXHAUSTED", _LATER),
    "rate without a body": Refusal(429, b"", "RATE_LIMITED", retry_s=ANY_DELAY),
    "blocked token": Refusal(498, _error("invalid token"), "PROVIDER_CREDENTIALS"),
    "hung up": Refusal(499, _error("request cancelled"), "PROVIDER_ERROR"),
    "internal": Refusal(
        500, _error("internal server error, this has been reported to our developers"), "PROVIDER_ERROR"
    ),
    "not implemented": Refusal(501, _error("not implemented"), "OPERATION_UNSUPPORTED"),
    "bad gateway": Refusal(502, b"<html><h1>502</h1></html>", "PROVIDER_ERROR", {"content-type": "text/html"}),
    "unavailable": Refusal(503, b"no healthy upstream", "PROVIDER_ERROR", {"content-type": "text/plain"}),
    "overloaded": Refusal(503, _error("the model is overloaded"), "PROVIDER_OVERLOADED"),
    "gateway timeout": Refusal(504, _error("gateway timeout"), "PROVIDER_ERROR"),
    "site overloaded": Refusal(529, b"{}", "PROVIDER_OVERLOADED"),
    "strange 5xx": Refusal(599, b"[1, 2", "PROVIDER_ERROR"),
    "not utf-8": Refusal(500, b'{"message": "\xff\xfe"}', "PROVIDER_ERROR"),
    "a list": Refusal(500, b"[]", "PROVIDER_ERROR"),
    "wrong types": Refusal(500, b'{"message": 5}', "PROVIDER_ERROR"),
    "one mebibyte": Refusal(500, _error("x" * (1 << 20)), "PROVIDER_ERROR"),
}
