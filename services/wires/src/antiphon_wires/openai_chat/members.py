"""Owns which members of a chunk have a meaning here, all the way down, and the news among the others.

What has none is told as it stands, by the chunk that brought it, once per value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from antiphon_wires import json_text


@dataclass(frozen=True, slots=True)
class Known:
    """The members of one kind of object; `within`: what is known of objects, or lists of objects, in them."""

    names: frozenset[str]
    within: "Mapping[str, Known]" = field(default_factory=dict)


_ALTERNATIVE: Final = Known(frozenset({"token", "logprob", "bytes", "id", "top_logprobs"}))
_TOKEN: Final = Known(_ALTERNATIVE.names, {"top_logprobs": _ALTERNATIVE})
_LOGPROBS: Final = Known(frozenset({"content", "refusal"}), {"content": _TOKEN, "refusal": _TOKEN})
_FUNCTION: Final = Known(frozenset({"name", "arguments"}))
_CALL: Final = Known(
    # Dropped: `type`; the member of that name says so already.
    frozenset({"index", "id", "type", "function", "custom"}),
    {"function": _FUNCTION, "custom": Known(frozenset({"name", "input"}))},
)
DELTA: Final = Known(
    frozenset(
        {"content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "annotations", "audio"}
        # Dropped: it is always the assistant who answers.
        | {"role"}
    ),
    {
        "tool_calls": _CALL,
        "function_call": _FUNCTION,
        "audio": Known(frozenset({"id", "data", "transcript", "expires_at"})),
    },
)
CHOICE: Final = Known(
    frozenset({"index", "delta", "finish_reason", "logprobs", "stop_reason", "matched_stop"}),
    {"delta": DELTA, "logprobs": _LOGPROBS},
)
CHUNK: Final = Known(
    frozenset({"id", "created", "model", "service_tier", "system_fingerprint", "choices", "usage", "error"})
    # Dropped: `object` says what the URL says already, `obfuscation` is padding against traffic analysis
    # (https://developers.openai.com/api/reference/resources/chat/subresources/completions/streaming-events, 2026-11).
    # So is `created` of later chunks, which some servers let go on: the answer began once.
    | {"object", "obfuscation"}
)
# What the chunks of an answer say of all of it. Azure's first chunk leaves it empty.
_OF_THE_ANSWER: Final = ("model", "service_tier", "system_fingerprint")


class News:
    """What one answer has told of members without a meaning, and of itself."""

    __slots__ = ("_answer", "_told")

    def __init__(self) -> None:
        self._told: dict[tuple[object, ...], str] = {}
        self._answer: dict[str, str] = {}

    def among(self, value: dict[str, Any], known: Known, path: tuple[object, ...] = ()) -> bool:
        """Whether there is a member without a meaning here whose value was not told before; null is no value."""
        news = False
        for name in () if known.names.issuperset(value) else value.keys() - known.names:
            if value[name] is None:
                continue
            text = json_text.dump(value[name])
            news |= self._told.get((*path, name)) != text
            self._told[(*path, name)] = text
        for name, inner in known.within.items():
            for one in _objects(value.get(name)):
                news |= self.among(one, inner, (*path, name))
        return news

    def changed(self, chunk: dict[str, Any]) -> bool:
        """Whether this chunk says of the answer what none before has said. An answer keeps the first id it was given:
        some servers number their chunks there."""
        answer = self._answer
        if "id" not in answer and isinstance(first := chunk.get("id"), str) and first:
            return True
        for name in _OF_THE_ANSWER:
            value = chunk.get(name)
            if value != answer.get(name) and isinstance(value, str) and value:
                return True
        return False

    def learn(self, chunk: dict[str, Any]) -> bool:
        """`changed`, and take it in."""
        changed = self.changed(chunk)
        for name in ("id", *_OF_THE_ANSWER) if changed else ():
            if isinstance(value := chunk.get(name), str) and value and not (name == "id" and "id" in self._answer):
                self._answer[name] = value
        return changed


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    if isinstance(value, dict):
        return (value,)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else ()
