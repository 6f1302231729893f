"""Owns how one YAML value is read as a field of a proto message: texts, numbers, truth values, enums, durations.

An enum is written as its word alone (`restart` for AFTER_CONTENT_RESTART), a duration as a number with its unit
(`2s`, `500ms`).

Forbids itself: guessing. A number is no text, and a duration without a unit is none.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Final

import yaml
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration

Scalar = str | int | float | bool | Duration

TAG: Final = "tag:yaml.org,2002:"
TYPE_WORDS: Final = {"int": "a number", "float": "a number", "bool": "a truth value", "timestamp": "a date"}

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
_DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?(ms|s|m|h)")
_UNIT_NANOS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class NotThis(Exception):
    """A value that a field does not take. Either `wanted` says what it does take, or `problem` what is wrong."""

    def __init__(self, *, wanted: str = "", problem: str = "") -> None:
        super().__init__(wanted or problem)
        self.wanted = wanted
        self.problem = problem


def is_scalar(field: FieldDescriptor) -> bool:
    """Whether `scalar` reads this field; the others are messages with fields of their own."""
    message = field.message_type
    return message is None or message.full_name == Duration.DESCRIPTOR.full_name


def scalar(node: yaml.Node, field: FieldDescriptor) -> Scalar:
    """The value of `node` for `field`. Raises NotThis."""
    return _READERS[field.type](node, field)


def stopgap(field: FieldDescriptor) -> Scalar:
    """What stands in a list for an entry that could not be read, so that the later ones keep their places."""
    return 0 if field.type == FieldDescriptor.TYPE_ENUM else ""


def _text(node: yaml.Node, field: FieldDescriptor) -> str:
    kind = _kind(node)
    if kind in TYPE_WORDS:
        raise NotThis(problem=f"reads as {TYPE_WORDS[kind]}; put it in quotes")
    if kind != "str":
        raise NotThis(wanted="a text")
    if any("\ud800" <= char <= "\udfff" for char in node.value):
        raise NotThis(problem="half of a surrogate pair; write the character itself")
    return str(node.value)


def _bool(node: yaml.Node, field: FieldDescriptor) -> bool:
    if _kind(node) != "bool":
        raise NotThis(wanted="true or false")
    return str(node.value).lower() in ("true", "yes", "on")


def _integer(node: yaml.Node, field: FieldDescriptor) -> int:
    bits = 31 if field.type == FieldDescriptor.TYPE_INT32 else 63
    if _kind(node) == "int" and _INTEGER.fullmatch(node.value) and abs(int(node.value)) < 2**bits:
        return int(node.value)
    raise NotThis(wanted="a whole number in plain digits, without quotes")


def _decimal(node: yaml.Node, field: FieldDescriptor) -> float:
    if _kind(node) in ("int", "float") and _DECIMAL.fullmatch(node.value):
        return float(node.value)
    raise NotThis(wanted="a number such as 5 or 0.5, without quotes")


def _word(node: yaml.Node, field: FieldDescriptor) -> int:
    assert field.enum_type is not None
    words = enum_words(field.enum_type)
    if _kind(node) == "str" and node.value in words:
        return words[node.value]
    if _kind(node) == "str" and node.value:
        raise NotThis(problem=f"{shown(node.value)} is not known here; {suggestion(node.value, words)}")
    raise NotThis(wanted=f"one of {', '.join(words)}")


def enum_words(enum: EnumDescriptor) -> dict[str, int]:
    """The words of `enum` as routes files have them, with their numbers; what is "not given" has none."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}


def _duration(node: yaml.Node, field: FieldDescriptor) -> Duration:
    match = _DURATION.fullmatch(node.value) if _kind(node) == "str" else None
    if match is None:
        raise NotThis(wanted="a number with its unit, such as 2s, 500ms or 1m")
    whole, fraction, unit = match.groups()
    factor = _UNIT_NANOS[unit]
    digits = (fraction or "").removeprefix(".")
    nanos = int(whole) * factor + int(digits or 0) * factor // 10 ** len(digits)
    return Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)


_READERS: Final[dict[int, Callable[[yaml.Node, FieldDescriptor], Scalar]]] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_INT32: _integer,
    FieldDescriptor.TYPE_INT64: _integer,
    FieldDescriptor.TYPE_DOUBLE: _decimal,
    FieldDescriptor.TYPE_ENUM: _word,
    FieldDescriptor.TYPE_MESSAGE: _duration,
}


def _kind(node: yaml.Node) -> str:
    return node.tag.removeprefix(TAG) if isinstance(node, yaml.ScalarNode) else ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """How to mend a name that is not known."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(names) or 'none'}"


def shown(text: str) -> str:
    """`text` for a message: quoted, on one line, at most 60 characters."""
    return repr(text if len(text) <= 60 else text[:60] + "…")
