"""Owns the shortest way through a stream: deltas of one part differ in their text only, so the rest is compared.

    event: content_block_delta
    data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}
    '--------------------------- head ------------------------------------------------'       '- tail, padding

What stands between two texts is always tail and head, so a run of deltas is one split and one decoding. A delta that
is taken apart costs ten times as much.

Forbids itself: telling whether a delta carries anything but text; who has one learned has looked.
"""

import functools
import re
from typing import Any, Final, Self

import msgspec

from antiphon_wires import json_text

_UNLIKE_ANY: Final = "\x01antiphon\x02"
_LITERAL: Final = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
# Against traffic analysis OpenAI pads with a last member, Anthropic with spaces behind the object
# (https://developers.openai.com/api/reference/resources/chat/subresources/completions/streaming-events, 2026-11).
_PADDED: Final = re.compile(rb'"obfuscation":"([A-Za-z0-9_-]*)"}\Z')
_PADDING: Final = re.compile(rb'[A-Za-z0-9_-]*"} *\n\n')
_SPACES: Final = re.compile(rb" *\n\n")
_TEXT: Final = re.compile(_LITERAL)
_END: Final = b"\n\n"
_SIGN: Final = 8
"""How many bytes are looked for; what stands between two texts is longer, and starts alike in every answer."""
_decode: Final = msgspec.json.Decoder(str).decode
_decode_all: Final = msgspec.json.Decoder(list[str]).decode
_encode: Final = msgspec.json.Encoder().encode


class PlainDelta:
    """What stands around the text of an event that carries nothing else."""

    __slots__ = ("_between", "_head", "_rest", "_tail")

    def __init__(self, head: bytes, tail: bytes) -> None:
        """`head` begins with the event, `tail` ends with its data."""
        tail = tail.rstrip(b" ")
        padded = _PADDED.search(tail)
        self._head = head
        self._tail = tail[: padded.start(1)] if padded else tail + _END
        self._rest = _PADDING if padded else _SPACES
        self._between = b"" if padded else self._tail + head
        """Empty where the tails differ."""

    @property
    def around_bytes(self) -> int:
        """How much stands around a text."""
        return len(self._head) + len(self._tail)

    @classmethod
    def learn(cls, block: bytes, payload: bytes, value: Any, path: tuple[str | int, ...]) -> Self | None:
        """From an event as it came, its data and their meaning, in which the text is at `path`.

        The place of the text is proven: with another text there, the data must mean the same but for that text. None
        if it cannot be told apart.
        """
        data = payload + _END
        if not block.endswith(data):
            return None
        start = len(block) - len(data)
        expected = _with(value, path, _UNLIKE_ANY)
        for match in re.finditer(rb'"%b"\s*:\s*(%b)' % (str(path[-1]).encode(), _LITERAL), payload):
            before, after = payload[: match.start(1)], payload[match.end(1) :]
            try:
                same = json_text.read_strictly(before + _encode(_UNLIKE_ANY) + after) == expected
            except (msgspec.MsgspecError, UnicodeDecodeError):
                # What was read by the tolerant reader is nothing to rely on.
                return None
            if same:
                return cls(block[:start] + before, after)
        return None

    def text(self, data: bytes, at: int) -> tuple[str, int]:
        """The text of the events from `at` on that differ from the learned one in nothing else; where others begin.

        `data` are whole events, and one begins at `at`.
        """
        if not data.startswith(self._head, at):
            return "", at
        if self._between:
            begin = at + len(self._head)
            last = data.rfind(self._between, begin)
            end = data.find(self._tail, begin if last < 0 else last + len(self._between))
            if end >= 0:
                literals = [data[begin:end]] if last < 0 else self._apart(data[begin:end])
                try:
                    # No string goes on over a line feed, so as many as there are pieces means that each is one.
                    texts = _decode_all(b"[%b]" % b",\n".join(literals))
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    texts = []
                if len(texts) == len(literals):
                    return "".join(texts), end + len(self._tail)
        return self._one_by_one(data, at)

    def _apart(self, run: bytes) -> list[bytes]:
        """What stands in `run` before, between and after what is always the same.

        Each search for something this long begins with a look at all of it; a part of it and a count find it sooner.
        """
        between = self._between
        pieces = _between_like(between[:_SIGN], len(between) - _SIGN).split(run)
        return pieces if between.join(pieces) == run else run.split(between)

    def _one_by_one(self, data: bytes, at: int) -> tuple[str, int]:
        """The same where the events differ in their padding, or some text is of the kind to be read tolerantly."""
        head, tail, skip = self._head, self._tail.removesuffix(_END), len(self._head)
        texts = []
        while data.startswith(head, at) and (literal := _TEXT.match(data, at + skip)) is not None:
            end = literal.end()
            rest = self._rest.match(data, end + len(tail)) if data.startswith(tail, end) else None
            if rest is None:
                break
            try:
                texts.append(_decode(literal[0]))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                break
            at = rest.end()
        return "".join(texts), at


@functools.lru_cache
def _between_like(sign: bytes, rest: int) -> re.Pattern[bytes]:
    """`sign` and `rest` bytes more. The same for all answers of a vendor, whatever ids they carry."""
    return re.compile(b"%b.{%d}" % (re.escape(sign), rest), re.DOTALL)


def _with(value: Any, path: tuple[str | int, ...], text: str) -> Any:
    """A copy of `value` with `text` at `path`."""
    if not path:
        return text
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], text)
    return copy
