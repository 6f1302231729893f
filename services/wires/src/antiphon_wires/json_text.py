"""Owns the reading of JSON text that must survive as it stands: verbatim members, lone surrogates, huge numbers.

Parsing is msgspec's; what it refuses but vendors and callers do send (half of a surrogate pair, 1e400, NaN, broken
UTF-8) goes through the standard library, which is slower and more forgiving. Forbids itself: re-serialising text that
could be kept.
"""

import json
import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, cast

import msgspec

from antiphon_contract.errors import CallFailure, Reason, failure

Object = dict[str, msgspec.Raw]

read_strictly: Final = msgspec.json.Decoder().decode
_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode
_decode_object: Final = msgspec.json.Decoder(Object).decode
_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_LONE: Final = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")
REFUSED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `read_strictly` raises; `read_tolerantly` may still be able to read it."""


def read(data: bytes) -> Any:
    """The value of a vendor's JSON. Raises ValueError if it is none. Strings may hold lone surrogates."""
    try:
        return read_strictly(data)
    except REFUSED:
        return read_tolerantly(data)


def read_tolerantly(data: bytes) -> Any:
    """`read` for text that msgspec refuses."""
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_json(text: str) -> bool:
    """Whether `text` is one JSON value by RFC 8259, half surrogates and any number allowed."""
    try:
        _decode_raw(text)
    except REFUSED:
        try:
            json.loads(text, parse_constant=_no_constant, parse_int=str)
        except (ValueError, RecursionError):
            return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def members(data: bytes) -> Object:
    """The members of a vendor's JSON object, each verbatim where the text allows it. `data` has been read before."""
    try:
        return _decode_object(data)
    except REFUSED:
        return {key: msgspec.Raw(dump(value).encode()) for key, value in read_tolerantly(data).items()}


def dig(data: bytes, *path: str | int) -> msgspec.Raw:
    """The verbatim value at `path` of a vendor's JSON, which must be there."""
    raw = msgspec.Raw(data)
    for step in path:
        raw = members(bytes(raw))[step] if isinstance(step, str) else elements(bytes(raw))[step]
    return raw


def digger(*names: str) -> Callable[[bytes], msgspec.Raw]:
    """`dig` for one path of members that is taken often: reads past all others instead of making an object of them."""
    kind: Any = msgspec.Raw
    for name in reversed(names):
        kind = msgspec.defstruct("_Dug", [(name, kind)])
    decode, value_of = msgspec.json.Decoder(kind).decode, attrgetter(".".join(names))

    def dug(data: bytes) -> msgspec.Raw:
        try:
            return cast("msgspec.Raw", value_of(decode(data)))
        except REFUSED:
            return dig(data, *names)

    return dug


def elements(data: bytes) -> list[msgspec.Raw]:
    """The elements of a vendor's JSON array, each verbatim where the text allows it. `data` has been read before."""
    try:
        return _decode_array(data)
    except REFUSED:
        return [msgspec.Raw(dump(value).encode()) for value in read_tolerantly(data)]


def text_of(raw: msgspec.Raw) -> str:
    """The text of a verbatim member."""
    return bytes(raw).decode("utf-8", "replace")


def verbatim(text: str, param: str) -> msgspec.Raw:
    """A caller's JSON object, to be sent byte for byte. Raises INVALID_REQUEST that names `param`."""
    if text.lstrip(" \t\r\n")[:1] != "{" or not is_json(text):
        raise _no_object(param)
    return msgspec.Raw(text.encode())


def caller_object(text: str, param: str) -> Object:
    """The members of a caller's JSON object, each verbatim. Raises INVALID_REQUEST that names `param`."""
    try:
        return _decode_object(text)
    except REFUSED:
        raise _no_object(param) from None


def _no_object(param: str) -> CallFailure:
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, f"{param} must hold one JSON object", param=param)


def split_high(text: str) -> tuple[str, str]:
    """`text` without a high surrogate at its end, and that surrogate: its other half may still come."""
    last = text[-1:]
    return (text[:-1], last) if "\ud800" <= last <= "\udbff" else (text, "")


def mend(text: str) -> tuple[str, bool]:
    """`text` as valid Unicode: pairs joined, lone surrogates as U+FFFD; and whether there was a lone one."""
    if text.isascii():
        return text, False
    mended, lone = _LONE.subn("\ufffd", text)
    return mended.encode("utf-16-le", "surrogatepass").decode("utf-16-le"), lone > 0


def mend_tree(value: Any, keep: frozenset[str]) -> Any:
    """`value` with every string mended, but for the members named in `keep`, whose halves may join later ones."""
    if isinstance(value, str):
        return mend(value)[0]
    if isinstance(value, list):
        return [mend_tree(item, keep) for item in value]
    if isinstance(value, dict):
        return {
            mend(key)[0]: item if key in keep and isinstance(item, str) else mend_tree(item, keep)
            for key, item in value.items()
        }
    return value


def quote(text: str) -> str:
    """`text` as a JSON string."""
    return msgspec.json.encode(text).decode()


def dump(value: Any) -> str:
    """A value that `read` gave, as JSON text again; for what cannot be kept as it was."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def string(value: dict[str, Any], name: str) -> str:
    """The member `name` if it is a string, else ""."""
    member = value.get(name)
    return member if isinstance(member, str) else ""


def objects(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects in the list `name`; [] if it is none."""
    members = value.get(name)
    return [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []
