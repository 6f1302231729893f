"""Owns the shortest way through a stream of this wire, whose deltas differ in their text, number and padding.

    event: response.output_text.delta
    data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hello",
           "logprobs":[],"sequence_number":7,"obfuscation":"aZ3"}

Forbids itself: telling whether a delta carries anything but text; who has one learned has looked.
"""

import re
from typing import Any, Final, Self

import msgspec

from antiphon_wires.plain_delta import PlainDelta

_STRING: Final = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_MEMBERS: Final = re.compile(
    rb'"(?:(?P<text>delta)"\s*:\s*(?P<string>%b)|sequence_number"\s*:\s*(?P<number>\d+)'
    rb'|obfuscation"\s*:\s*(?P<padding>"[A-Za-z0-9_-]*"))' % _STRING
)
_UNLIKE_ANY: Final = {"delta": "\x01antiphon\x02", "sequence_number": 987654321987, "obfuscation": "antiphonAntiphon"}
_END: Final = b"\n\n"
_decode: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.Encoder().encode


class NumberedDelta(PlainDelta):
    """What stands around the text, the number and the padding of an event that carries nothing else."""

    __slots__ = ("_match",)

    def __init__(self, pattern: bytes) -> None:
        """`pattern` matches a whole event; its group is the text as a JSON string."""
        self._match = re.compile(pattern).match

    @classmethod
    def learn_event(cls, block: bytes, payload: bytes, event: dict[str, Any]) -> Self | None:
        """From an event as it came, its data and their meaning.

        The places are proven: with other values there, the data must mean the same but for these. None if they cannot
        be told apart.
        """
        data = payload + _END
        if not block.endswith(data):
            return None
        pattern = re.escape(block[: len(block) - len(data)])
        other, at = b"", 0
        for found in _MEMBERS.finditer(payload):
            group = "string" if found["text"] else "number" if found["number"] else "padding"
            start, end = found.span(group)
            name = {"string": "delta", "number": "sequence_number", "padding": "obfuscation"}[group]
            pattern += re.escape(payload[at:start])
            pattern += {"string": b"(%b)" % _STRING, "number": rb"\d+", "padding": b'"[A-Za-z0-9_-]*"'}[group]
            other += payload[at:start] + _encode(_UNLIKE_ANY[name])
            at = end
        expected = {name: _UNLIKE_ANY.get(name, value) for name, value in event.items()}
        try:
            if msgspec.json.decode(other + payload[at:]) != expected:
                return None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # What was read by the tolerant reader is nothing to rely on.
            return None
        return cls(pattern + re.escape(payload[at:]) + _END)

    def text(self, data: bytes, at: int) -> tuple[str, int]:
        """See PlainDelta."""
        texts = []
        while (found := self._match(data, at)) is not None:
            try:
                texts.append(_decode(found[1]))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                # It has to be read tolerantly.
                break
            at = found.end()
        return "".join(texts), at
