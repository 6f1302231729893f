"""Owns the decoding of server-sent events from bytes, however a network cuts them.

Forbids itself: I/O, JSON, and any knowledge of a vendor.
"""

import re
from typing import Final

from antiphon_contract.errors import Reason, failure

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
ONE_LINE: Final = re.compile(rb"(?:event: ([^\n]*)\n)?data: ([^\n]*)\n\n")
"""Nearly every event in what `SseDecoder.whole` returns: its name, if it has one, and its data in one line."""
_BOM: Final = b"\xef\xbb\xbf"


class SseDecoder:
    """Incremental: any split of the same bytes gives the same events, each as (event name, data).

    Lines end with LF, CRLF or CR. Comments, `id` and `retry` are skipped; an event without data is none (WHATWG HTML,
    9.2.6). One departure: what stands after the last blank line is an event too, because servers forget the last one.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._pending = bytearray()
        self._begun = False
        self._skip_lf = False

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """The events that `data` completes. Raises UPSTREAM_PROTOCOL when an event outgrows its bound."""
        return self.events(self.whole(data))

    @staticmethod
    def events(whole: bytes) -> list[tuple[str, bytes]]:
        """The events in what `whole` returned, or in a part of it that was cut behind a blank line."""
        return _events(whole)

    def whole(self, data: bytes) -> bytes:
        """The events that `data` completes, as they came but with LF as line ends; each ends with a blank line.

        Raises UPSTREAM_PROTOCOL when an event outgrows its bound.
        """
        if not self._begun:
            data = self._without_bom(data)
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        pending = self._pending
        if not pending and data.endswith(b"\n\n"):
            return data
        # The blank line may straddle the border; what was searched before is not searched again.
        start = max(0, len(pending) - 1)
        pending += data
        end = pending.rfind(b"\n\n", start)
        if end < 0:
            self._bound(pending)
            return b""
        complete = bytes(pending[: end + 2])
        del pending[: end + 2]
        return complete

    def close(self) -> list[tuple[str, bytes]]:
        """What the stream ended with, when its last event lacks the blank line. Raises as `whole` does."""
        # Behind a whole event in the same read.
        self._bound(self._pending)
        rest = bytes(self._pending)
        self._pending.clear()
        return _events(rest)

    def _bound(self, pending: bytearray) -> None:
        if len(pending) > self._max:
            raise failure(
                Reason.ERROR_REASON_UPSTREAM_PROTOCOL, f"the provider sent an event of more than {self._max} bytes"
            )

    def _without_bom(self, data: bytes) -> bytes:
        data = bytes(self._pending) + data
        self._pending.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._pending += data
            return b""
        self._begun = True
        return data.removeprefix(_BOM)


def _events(data: bytes) -> list[tuple[str, bytes]]:
    if data.startswith(b"data: "):
        # Nearly always: events of one line each. Then there are no line feeds but the two of each blank line.
        payloads = data[6:].removesuffix(b"\n\n").split(b"\n\ndata: ")
        if data.count(b"\n") == 2 * (len(payloads) - 1) + 2 * data.endswith(b"\n\n"):
            return [("", payload) for payload in payloads]
    events = []
    for block in data.split(b"\n\n"):
        if block.startswith(b"data: ") and b"\n" not in block:
            events.append(("", block[6:]))
        elif block and (event := _event(block)) is not None:
            events.append(event)
    return events


def _event(block: bytes) -> tuple[str, bytes] | None:
    name = ""
    data = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
    return (name, b"\n".join(data)) if data else None
