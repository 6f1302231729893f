"""Owns the damage that is done to a vendor's answer: bytes, whole events, values, and the pieces a network makes."""

import random
import re
from collections.abc import Callable

_JUNK = (
    b"null",
    b"-1",
    b"1e999",
    b'""',
    b"[]",
    b"{}",
    b"[[]]",
    b'"\\ud83d"',
    b"true",
    b"9007199254740993",
    b'{"error":{"message":"overloaded","type":"overloaded_error"}}',
)
_EVENTS = (
    b": keep-alive\n\n",
    b"data: [DONE]\n\n",
    b"event: error\ndata: {}\n\n",
    b'data: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n',
    b"data: null\n\n",
    b"data\n\n",
    b"\r\n\r\n",
    b"retry: 10\nid: 1\n\n",
    b'event: unheard\ndata: {"type":"unheard","a":1}\n\n',
)
_VALUE = re.compile(rb'(?<=[:\[,])(?:"(?:[^"\\]|\\.)*"|-?\d[\d.e+-]*|true|false|null)(?=[,\]}])')
Damage = Callable[[random.Random, bytes], bytes]


def _flip(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _leave_out(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 40) :]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    end = at + rng.randint(1, 200)
    return data[:end] + data[at:end] + data[end:]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at:]


def _revalue(rng: random.Random, data: bytes) -> bytes:
    found = list(_VALUE.finditer(data))
    if not found:
        return data
    start, end = rng.choice(found).span()
    return data[:start] + rng.choice(_JUNK) + data[end:]


def _swap_events(rng: random.Random, data: bytes) -> bytes:
    events = data.split(b"\n\n")
    one, other = rng.randrange(len(events)), rng.randrange(len(events))
    events[one], events[other] = events[other], events[one]
    return b"\n\n".join(events)


def _repeat_event(rng: random.Random, data: bytes) -> bytes:
    events = data.split(b"\n\n")
    events.insert(rng.randrange(len(events) + 1), rng.choice(events))
    return b"\n\n".join(events)


def _lose_event(rng: random.Random, data: bytes) -> bytes:
    events = data.split(b"\n\n")
    del events[rng.randrange(len(events))]
    return b"\n\n".join(events)


def _strange_event(rng: random.Random, data: bytes) -> bytes:
    events = data.split(b"\n\n")
    at = rng.randrange(len(events) + 1)
    return b"\n\n".join([*events[:at], rng.choice(_EVENTS)[:-2], *events[at:]])


def _other_line_ends(rng: random.Random, data: bytes) -> bytes:
    return data.replace(b"\n", rng.choice((b"\r\n", b"\r")))


DAMAGES: tuple[Damage, ...] = (
    _flip,
    _cut,
    _leave_out,
    _repeat,
    _insert,
    _revalue,
    _swap_events,
    _repeat_event,
    _lose_event,
    _strange_event,
    _other_line_ends,
)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """`data` after one to three accidents."""
    for _ in range(rng.randint(1, 3)):
        if data:
            data = rng.choice(DAMAGES)(rng, data)
    return data


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """The same bytes as a network might cut them."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(0, 6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
