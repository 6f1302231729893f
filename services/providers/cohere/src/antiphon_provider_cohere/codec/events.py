"""Owns the members of Cohere's stream events that have a meaning here; everything else goes out as it came.

https://docs.cohere.com/v2/docs/streaming, as typed by cohere 7.3 (2026-11).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from antiphon_wires import json_text

READ: Final = "read"
"""The whole value is read, or carried verbatim."""
EMPTY: Final = "empty"
"""Announced empty, and filled by later events."""

Shape = Mapping[str, Any]


def _delta(**members: Any) -> Shape:
    return {"type": READ, "delta": {"message": members}}


_INDEX: Final[Shape] = {"type": READ, "index": READ}
_CALL: Final[Shape] = {
    "id": READ,
    "type": frozenset({"function"}),
    "function": {"name": READ, "arguments": READ},
}
_BLOCK: Final[Shape] = {"type": frozenset({"text", "thinking"}), "text": READ, "thinking": READ}

SHAPES: Final[Mapping[str, Shape]] = {
    "message-start": {
        "id": READ,
        **_delta(role=frozenset({"assistant"}), content=EMPTY, tool_plan=EMPTY, tool_calls=EMPTY, citations=EMPTY),
    },
    "content-start": {**_INDEX, **_delta(content=_BLOCK)},
    "content-delta": {
        **_INDEX,
        **_delta(content=_BLOCK),
        "logprobs": {"text": READ, "token_ids": READ, "logprobs": READ},
    },
    "content-end": _INDEX,
    "tool-plan-delta": {**_INDEX, **_delta(tool_plan=READ)},
    "tool-call-start": {**_INDEX, **_delta(tool_calls=_CALL)},
    "tool-call-delta": {**_INDEX, **_delta(tool_calls=_CALL)},
    "tool-call-end": _INDEX,
    "citation-start": {**_INDEX, **_delta(citations=READ)},
    "citation-end": _INDEX,
    # The id is that of message-start.
    "message-end": {"type": READ, "id": READ, "delta": {"finish_reason": READ, "error": READ, "usage": READ}},
}
"""Event type to its members, or to the words that are understood. `debug` and types of later versions are not here."""


def knows(value: Any, shape: Any) -> bool:
    """Whether every member of `value` has a meaning; null is no value."""
    if shape is READ or value is None:
        return True
    if type(shape) is dict:
        if type(value) is dict:
            for name, member in value.items():
                known = shape.get(name)
                # Most are read as they are; what need not be asked is not.
                if known is not READ and member is not None and not knows(member, known):
                    return False
            return True
        return type(value) is list and all(knows(item, shape) for item in value)
    if type(shape) is frozenset:
        return type(value) is str and value in shape
    return shape is EMPTY and not value


def unknown(value: Any, shape: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The members without a meaning, as (path, JSON text)."""
    if knows(value, shape):
        return
    if type(value) is dict and type(shape) is dict:
        for name, member in value.items():
            yield from unknown(member, shape.get(name), (*path, name))
    else:
        yield path, json_text.dump(value)
