"""Owns the shortest way through content deltas: those of one block differ in their text only, so the rest is compared.

    event: content-delta
    data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hello"}}}}
    '---------------------------- head ------------------------------------'       '- tail -'

What stands between two texts is always tail + head, so a run of deltas is one split and one decoding. A delta that is
taken apart costs ten times as much.
"""

import re
from typing import Any, Final, Self

import msgspec

_UNLIKE_ANY: Final = "\x01antiphon\x02"
_VALUE: Final = {name: re.compile(rb'"%s"\s*:\s*("(?:[^"\\]|\\.)*")' % name.encode()) for name in ("text", "thinking")}
_decode: Final = msgspec.json.Decoder(list[str]).decode
_encode: Final = msgspec.json.Encoder().encode
_END: Final = b"\n\n"


class PlainDelta:
    """What stands around the text of a delta that carries nothing else."""

    __slots__ = ("_between", "_head", "_tail")

    def __init__(self, head: bytes, tail: bytes) -> None:
        self._head = head
        self._tail = tail
        self._between = tail + head

    @classmethod
    def learn(cls, name: str, payload: bytes, event: dict[str, Any], member: str) -> Self | None:
        """From a server-sent event and its meaning, a content-delta with `member`; None if it cannot be told apart.

        The place of the text is proven: with another text there, the payload must mean the same with that text.
        """
        line = f"event: {name}\ndata: " if name else "data: "
        expected = {**event, "delta": {"message": {"content": {member: _UNLIKE_ANY}}}}
        for match in _VALUE[member].finditer(payload):
            before, after = payload[: match.start(1)], payload[match.end(1) :]
            try:
                if msgspec.json.decode(before + _encode(_UNLIKE_ANY) + after) == expected:
                    return cls(line.encode() + before, after + _END)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
        return None

    def texts(self, data: bytes, start: int) -> tuple[list[str], int]:
        """The texts of the deltas that follow one another from `start`, and where something else begins.

        `start` must be the begin of an event. Text that only a tolerant reader can read is something else.
        """
        if not data.startswith(self._head, start):
            return [], start
        pieces = data[start + len(self._head) :].split(self._between)
        # No text holds a bare line feed, so the first one is where the run ends; without one the last is not whole.
        count = next((count for count, piece in enumerate(pieces) if b"\n" in piece), len(pieces) - 1)
        end = pieces[count].find(self._tail)
        run = [*pieces[:count], pieces[count][:end]] if end >= 0 else pieces[:count]
        return self._read(run, start) if run else ([], start)

    def _read(self, pieces: list[bytes], start: int) -> tuple[list[str], int]:
        run = b",".join(pieces)
        try:
            texts = _decode(b"[%b]" % run)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return [], start
        # A piece that is more than one string is no delta, whatever it looks like.
        if len(texts) != len(pieces):
            return [], start
        return texts, start + len(run) - len(pieces) + 1 + len(pieces) * len(self._between)
