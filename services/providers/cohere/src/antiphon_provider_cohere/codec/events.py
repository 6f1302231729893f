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


class Members:
    """What the members of an object may be: those that are `read`, and `more`, of which only some values are."""

    __slots__ = ("more", "read")

    def __init__(self, shape: Shape) -> None:
        self.read = frozenset(name for name, one in shape.items() if one is READ)
        self.more = {name: Members(one) if type(one) is dict else one for name, one in shape.items() if one is not READ}

    def of(self, name: str) -> Any:
        """The shape of a member; None: it has no meaning."""
        return READ if name in self.read else self.more.get(name)


def _delta(**members: Any) -> Shape:
    return {"type": READ, "delta": {"message": members}}


_INDEX: Final[Shape] = {"type": READ, "index": READ}
_CALL: Final[Shape] = {
    "id": READ,
    "type": frozenset({"function"}),
    "function": {"name": READ, "arguments": READ},
}
_BLOCK: Final[Shape] = {"type": frozenset({"text", "thinking"}), "text": READ, "thinking": READ}

_SHAPES: Final[Mapping[str, Shape]] = {
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
SHAPES: Final[Mapping[str, Members]] = {kind: Members(shape) for kind, shape in _SHAPES.items()}
"""Event type to its members, or to the words that are understood. `debug` and types of later versions are not here."""


def knows(value: Any, shape: Any) -> bool:
    """Whether every member of `value` has a meaning; null is no value."""
    if shape is READ or value is None:
        return True
    if type(shape) is Members:
        if type(value) is dict:
            read, more = shape.read, shape.more
            # No generator: this is asked of every event.
            for name, member in value.items():  # noqa: SIM110
                if name not in read and not knows(member, more.get(name)):
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
    if type(value) is dict and type(shape) is Members:
        for name, member in value.items():
            yield from unknown(member, shape.of(name), (*path, name))
    else:
        yield path, json_text.dump(value)
