"""Owns how OpenAI spells things on /v1/responses."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from antiphon.llm.v1 import response_pb2
from antiphon_conformance.vendor.script import Request, Script
from antiphon_conformance.wires import SSE, Counts, Event, Reader, Refusal, Tool, encoded
from antiphon_conformance.wires.openai_chat import OpenAIChat

Finish = response_pb2.FinishReason
_RESPONSE = {
    "id": "resp_scripted",
    "object": "response",
    "created_at": 1_700_000_000,
    "model": "scripted",
    "output": [],
    "parallel_tool_calls": True,
    "store": False,
}
_TEXT = 0
"""Index of the message, which is announced before its first words, as the vendor does it."""
_LOGPROBS = "message.output_text.logprobs"


def _event(kind: str, **members: object) -> Event:
    return Event(json.dumps({"type": f"response.{kind}", **members, "sequence_number": 0}), f"response.{kind}")


def _of_item(kind: str, index: int, **members: object) -> Event:
    return _event(kind, output_index=index, item_id=f"item_{index}", **members)


def _text(token: str) -> Event:
    return _of_item("output_text.delta", _TEXT, content_index=0, delta=token, logprobs=[])


def _message(status: str, content: Sequence[object] = ()) -> dict[str, object]:
    return {"id": "item_0", "type": "message", "role": "assistant", "status": status, "content": list(content)}


def _call(index: int, tool: Tool, status: str, arguments: str) -> dict[str, object]:
    call = {"call_id": tool.id, "name": tool.name, "arguments": arguments}
    return {"id": f"item_{index}", "type": "function_call", "status": status, **call}


def _error(message: str, code: str | None) -> Event:
    return Event(json.dumps({"type": "error", "code": code, "message": message, "param": None}), "error")


class OpenAIResponses:
    """Responses, as https://developers.openai.com/api/reference/resources/responses describes it in November 2026.

    Errors, limits and lists are those of all its APIs.
    """

    name = "openai_responses"
    truncated = "max_output_tokens"
    called_tools = "completed"

    def __init__(self) -> None:
        self._account = OpenAIChat()

    def model(self, request: Request) -> str:
        return self._account.model(request)

    def output_limit(self, request: Request) -> int | None:
        limit = self._body(request).get("max_output_tokens")
        return None if limit is None else int(limit)

    def conversation(self, request: Request) -> list[tuple[str, str]]:
        messages = [item for item in self._body(request)["input"] if "role" in item]
        return [(message["role"], _flat(message["content"])) for message in messages]

    def key(self, request: Request) -> str:
        return self._account.key(request)

    def _body(self, request: Request) -> dict[str, Any]:
        body = json.loads(request.body)
        assert isinstance(body, dict)
        return body

    def catalogue(self, request: Request) -> Script:
        return self._account.catalogue(request)

    def count(self, request: Request) -> Script | None:
        return self._account.count(request)

    def unknown_model(self, model: str) -> Script:
        return self._account.unknown_model(model)

    def begin(self) -> list[Event]:
        started = {**_RESPONSE, "status": "in_progress", "usage": None}
        return [
            _event("created", response=started),
            _event("in_progress", response=started),
            _event("output_item.added", output_index=_TEXT, item=_message("in_progress")),
            _of_item("content_part.added", _TEXT, content_index=0, part={"type": "output_text", "text": ""}),
        ]

    def tokens(self, tokens: Sequence[str]) -> list[Event]:
        return [_text(token) for token in tokens]

    def empty_delta(self) -> list[Event]:
        return [_text("")]

    def tools(self, tools: Sequence[Tool], *, interleaved: bool = False) -> list[Event]:
        numbered = list(enumerate(tools, 1))
        opened = [_event("output_item.added", output_index=i, item=_call(i, t, "in_progress", "")) for i, t in numbered]
        fragments = [
            [_of_item("function_call_arguments.delta", i, delta=fragment) for fragment in tool.fragments]
            for i, tool in numbered
        ]
        closed = [
            [
                _of_item("function_call_arguments.done", i, arguments=tool.input, name=tool.name),
                _event("output_item.done", output_index=i, item=_call(i, tool, "completed", tool.input)),
            ]
            for i, tool in numbered
        ]
        if not interleaved:
            items = zip(opened, fragments, closed, strict=True)
            return [event for head, body, tail in items for event in (head, *body, *tail)]
        rounds = max(len(body) for body in fragments)
        mixed = [body[i] for i in range(rounds) for body in fragments if i < len(body)]
        return [*opened, *mixed, *(event for tail in closed for event in tail)]

    def finish(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        whole = finish in (None, "completed")
        status = "completed" if whole else "incomplete"
        details = None if whole else {"reason": finish}
        counts = None if usage is None else self.usage(usage)
        last = {**_RESPONSE, "status": status, "incomplete_details": details, "usage": counts}
        return [
            _event("output_item.done", output_index=_TEXT, item=_message(status)),
            _event(status, response=last),
        ]

    def usage(self, counts: Counts) -> dict[str, object]:
        """The vendor's usage object."""
        return {
            "input_tokens": counts.input_tokens,
            "input_tokens_details": {"cached_tokens": counts.cache_read_tokens},
            "output_tokens": counts.output_tokens,
            "output_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
            "total_tokens": counts.input_tokens + counts.output_tokens,
        }

    def end(self, finish: str | None = None, usage: Counts | None = None) -> list[Event]:
        return [*self.finish(finish, usage), *self.terminator()]

    def terminator(self) -> list[Event]:
        # The last event of an answer is its end; nothing follows.
        return []

    def usage_variants(self, usage: Counts) -> Mapping[str, list[Event]]:
        return {
            "in the last event": self.end(None, usage),
            "in that of an incomplete answer": self.end("max_output_tokens", usage),
        }

    def error_event(self) -> list[Event]:
        return [_error("The server is overloaded", "server_is_overloaded")]

    def split_surrogates(self, before: str, after: str) -> list[Event]:
        return [_text(before + "\ud83d"), _text("\ude00" + after)]

    def lone_surrogate(self, before: str, after: str) -> list[Event]:
        return [_text(before + "\ud83d"), _text(after)]

    @property
    def finishes(self) -> "Mapping[str, response_pb2.FinishReason]":
        return {
            "completed": Finish.FINISH_REASON_STOP,
            "max_output_tokens": Finish.FINISH_REASON_MAX_OUTPUT_TOKENS,
            "content_filter": Finish.FINISH_REASON_CONTENT_FILTER,
            "max_messages": Finish.FINISH_REASON_OTHER,
            "a_word_of_next_year": Finish.FINISH_REASON_OTHER,
        }

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        return self._account.refusals

    def echoing(self, key: str) -> Mapping[str, Script]:
        failed = {**_RESPONSE, "status": "failed", "error": {"code": "server_error", "message": f"Bearer {key}"}}
        blocked = {**failed, "error": {"code": "invalid_prompt", "message": f"no: Authorization: Bearer {key}"}}
        said = [*self.begin(), *self.tokens(["t0 "])]
        return {
            **{name: script for name, script in self._account.echoing(key).items() if name in ("401", "500", "header")},
            "event": (SSE, *encoded([*said, _error(f"internal: Authorization: Bearer {key}", None)])),
            "failed": (SSE, *encoded([*said, _event("failed", response=failed)])),
            "blocked": (SSE, *encoded([*self.begin(), _event("failed", response=blocked)])),
            "garbage": (SSE, *encoded([*self.begin(), Event(f"<oops {key}>")])),
        }

    def retry_hints(self, now: Callable[[], float]) -> Mapping[str, tuple[Mapping[str, str], float]]:
        return self._account.retry_hints(now)

    @property
    def parameters(self) -> Mapping[str, str | Reader]:
        return {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_logprobs": "top_logprobs",
            "parallel_tool_calls": "parallel_tool_calls",
            # Always said, because the vendor keeps what nothing is said of.
            "store": lambda body: body.get("store"),
            "logprobs": lambda body: _LOGPROBS in body.get("include", []),
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
