"""Owns the odd but legal ways to write an event stream: the same events, other bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from collections.abc import Callable, Mapping, Sequence

from antiphon_conformance.wires import Event, encoded

Writer = Callable[[Sequence[Event]], tuple[bytes, ...]]


def _with(change: Callable[[bytes], bytes]) -> Writer:
    return lambda events: tuple(change(chunk) for chunk in encoded(events))


def _multi_line(events: Sequence[Event]) -> tuple[bytes, ...]:
    # A line break between two JSON tokens is white space, so the event means the same.
    return encoded([Event(event.data.replace(', "', ',\ndata: "'), event.name) for event in events])


def _one_write(events: Sequence[Event]) -> tuple[bytes, ...]:
    return (b"".join(encoded(events)),)


def _unfinished(events: Sequence[Event]) -> tuple[bytes, ...]:
    *most, last = encoded(events)
    return (*most, last.rstrip(b"\n"))


ODDITIES: Mapping[str, Writer] = {
    "crlf": _with(lambda chunk: chunk.replace(b"\n", b"\r\n")),
    "cr": _with(lambda chunk: chunk.replace(b"\n", b"\r")),
    "crlf split between writes": lambda events: tuple(
        part for chunk in encoded(events) for part in (chunk.replace(b"\n", b"\r\n")[:-1], b"\n")
    ),
    "bom": lambda events: (b"\xef\xbb\xbf", *encoded(events)),
    "comments": _with(lambda chunk: b": keep-alive\n\n:\n" + chunk + b": ping\n"),
    "no space after the colon": _with(lambda chunk: chunk.replace(b"data: ", b"data:")),
    "several data lines": _multi_line,
    "id and retry fields": _with(lambda chunk: b"id: 7\nretry: 3000\n" + chunk),
    "unknown fields": _with(lambda chunk: b"colour: blue\nalone\n" + chunk),
    "ping events": _with(lambda chunk: b"event: ping\ndata: {}\n\n" + chunk),
    "blank lines": _with(lambda chunk: b"\n\n\n" + chunk + b"\n\n"),
    "one write": _one_write,
    "no blank line at the end": _unfinished,
}
