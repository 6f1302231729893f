"""Owns the shortest way through a chunk: chunks of one stream differ in their text only, so the rest is compared.

    {"id":"c1",...,"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],...,"obfuscation":"aZ3"}
    '------------------- prefix ------------------------'     '------------ suffix -----------------------'   '- padding

A decoded chunk costs ten times as much as this comparison.
"""

import re
from typing import Any, Final, Self

import msgspec

_TEXT: Final = re.compile(rb'"content"\s*:\s*("(?:[^"\\]|\\.)*")')
_PADDING: Final = re.compile(rb'"obfuscation":"([A-Za-z0-9_-]*)"}\Z')
_UNLIKE_ANY: Final = "\x01antiphon\x02"
_decode: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.Encoder().encode


class PlainChunk:
    """What stands around the text of a chunk that carries nothing else."""

    __slots__ = ("_padded", "_prefix", "_start", "_suffix")

    def __init__(self, prefix: bytes, suffix: bytes, *, padded: bool) -> None:
        self._prefix = prefix
        self._start = len(prefix)
        self._suffix = suffix
        self._padded = padded

    @classmethod
    def learn(cls, payload: bytes, chunk: dict[str, Any]) -> Self | None:
        """From a payload and its meaning, which has one choice and nothing but text; None if it cannot be told apart.

        The place of the text is proven: with another text there, the payload must mean the same chunk with that text.
        """
        (choice,) = chunk["choices"]
        expected = {**chunk, "choices": [{**choice, "delta": {**choice["delta"], "content": _UNLIKE_ANY}}]}
        for match in _TEXT.finditer(payload):
            prefix, suffix = payload[: match.start(1)], payload[match.end(1) :]
            if msgspec.json.decode(prefix + _encode(_UNLIKE_ANY) + suffix) == expected:
                padding = _PADDING.search(suffix)
                return cls(prefix, suffix[: padding.start(1)] if padding else suffix, padded=padding is not None)
        return None

    def text(self, payload: bytes) -> str | None:
        """The text, if `payload` differs from the one it was learned from in nothing else."""
        if not payload.startswith(self._prefix):
            return None
        end = len(payload)
        if self._padded:
            end = payload.rfind(b'"', 0, -2) + 1
            if not payload.endswith(b'"}') or not payload[end:-2].isalnum():
                return None
        if not payload.endswith(self._suffix, self._start, end):
            return None
        end -= len(self._suffix)
        try:
            return _decode(payload[self._start : end])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
