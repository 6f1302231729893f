"""Owns the shortest way through a read: deltas of one block differ in their text only, so the rest is compared.

    event: content_block_delta
    data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}
    '--------------------------- prefix ----------------------------------------------'  suffix, maybe spaces behind

A decoded event costs ten times as much as this comparison.
"""

import re
from typing import Any, Final, Self

import msgspec

_VALUE: Final = re.compile(rb'"(?:text|thinking)"\s*:\s*("(?:[^"\\]|\\.)*")')
_UNLIKE_ANY: Final = "\x01antiphon\x02"
_decode: Final = msgspec.json.Decoder(list[str]).decode
_encode: Final = msgspec.json.Encoder().encode


class PlainDelta:
    """What stands around the text of an event that carries nothing else."""

    __slots__ = ("_between", "_end", "_prefix")

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        self._prefix = prefix
        self._end = suffix + b"\n\n"
        self._between = self._end + prefix

    @classmethod
    def learn(cls, name: str, payload: bytes, event: dict[str, Any], member: str) -> Self | None:
        """From an event and its meaning: a delta of `member` and nothing else; None if it cannot be told apart.

        The place of the text is proven: with another text there, the payload must mean the same event with that text.
        """
        expected = {**event, "delta": {**event["delta"], member: _UNLIKE_ANY}}
        for match in _VALUE.finditer(payload):
            prefix, suffix = payload[: match.start(1)], payload[match.end(1) :]
            try:
                same = msgspec.json.decode(prefix + _encode(_UNLIKE_ANY) + suffix) == expected
            except msgspec.MsgspecError:
                # The event was read by the tolerant reader, and has a number that this one refuses.
                return None
            if same:
                return cls(f"event: {name}\ndata: ".encode() + prefix, suffix.rstrip(b" "))
        return None

    def texts(self, data: bytes) -> tuple[str, int]:
        """The text of the events at the begin of `data` that differ from the learned one in nothing else.

        Also how many bytes are left.
        """
        if not data.startswith(self._prefix):
            return "", len(data)
        # A JSON string holds no line feed, so what is split is not inside of one.
        literals = data[len(self._prefix) :].split(self._between)
        last, _, rest = literals[-1].partition(self._end)
        literals[-1] = last
        try:
            texts = _decode(b"[%b]" % b",".join(literals))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._one_by_one(data)
        return ("".join(texts), len(rest)) if len(texts) == len(literals) else ("", len(data))

    def _one_by_one(self, data: bytes) -> tuple[str, int]:
        """The same, where something else stands between them: the vendor pads with spaces against traffic analysis."""
        texts: list[str] = []
        prefix, suffix = self._prefix, self._end[:-2]
        used = 0
        for block in data[:-2].split(b"\n\n"):
            whole = block.rstrip(b" ")
            if not (block.startswith(prefix) and whole.endswith(suffix, len(prefix))):
                break
            try:
                (text,) = _decode(b"[%b]" % whole[len(prefix) : len(whole) - len(suffix)])
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
                break
            texts.append(text)
            used += len(block) + 2
        return "".join(texts), len(data) - used
