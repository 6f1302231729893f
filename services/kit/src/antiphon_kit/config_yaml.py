"""Owns the reading of YAML into a proto message, field by field, with the place of everything.

All mistakes are collected, each with its line. Anchors, aliases and merge keys work. Supports what routes files need:
messages, the values of `config_scalars`, and lists of them.

Forbids itself: constructing Python objects from YAML.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from antiphon_kit.config_scalars import (
    TAG,
    TYPE_WORDS,
    NotThis,
    Scalar,
    is_scalar,
    scalar,
    shown,
    stopgap,
    suggestion,
)

Problem = Callable[[str, str], None]
"""Notes a mistake: the path of the field, and what is wrong with it and how to mend it."""

_MAX_BYTES: Final = 1024 * 1024
_MAX_NODES: Final = 100_000
_MAX_PROBLEMS: Final = 50
_LAST_STEP: Final = re.compile(r"(\.?[^.\[\]]+|\[\d+\])$")
_PLAIN_TAGS: Final = frozenset({"map", "seq", "str", *TYPE_WORDS})


class ConfigError(Exception):
    """A configuration that cannot be used; `problems` has one line for each mistake.

    A line reads `FILE:LINE:COLUMN: path: what is wrong; how to mend`.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(slots=True)
class Places:
    """Where each path of a file is, and what is wrong there."""

    file: str
    marks: dict[str, yaml.Mark] = field(default_factory=dict)
    problems: list[tuple[int, int, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def problem(self, path: str, what: str) -> None:
        """Note a mistake at `path`, or at the nearest place around it that the file has.

        Says nothing where the value could not even be read: one mistake, one line.
        """
        around = [path]
        while around[-1]:
            around.append(_LAST_STEP.sub("", around[-1]))
        if self.broken.isdisjoint(around):
            mark = next((self.marks[place] for place in around if place in self.marks), None)
            self.at(mark, path, what)

    def at(self, mark: yaml.Mark | None, path: str, what: str) -> None:
        """Note a mistake at `mark`; no mark is the beginning."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.problems.append((line, column, f"{path}: {what}" if path else what))

    def flag(self, mark: yaml.Mark | None, path: str, what: str) -> None:
        """Note a mistake after which the value at `path` is not worth a look."""
        self.at(mark, path, what)
        self.broken.add(path)

    def check(self) -> None:
        """Raise ConfigError if anything has been noted."""
        if self.problems:
            raise ConfigError([f"{self.file}:{line}:{column}: {what}" for line, column, what in sorted(self.problems)])


def read(raw: bytes, message: Message, places: Places) -> None:
    """Fill `message` from `raw`; mistakes go to `places`. Raises ConfigError where it is no YAML document at all."""
    root = _compose(raw, places)
    if root is None:
        places.flag(None, "", f"the file is empty; it needs {', '.join(message.DESCRIPTOR.fields_by_name)}")
        return
    _Reader(places).message(root, message, "")


def _compose(raw: bytes, places: Places) -> yaml.Node | None:
    if len(raw) > _MAX_BYTES:
        raise _unreadable(places, 1, 1, f"the file has more than {_MAX_BYTES} bytes; is it the right one?")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _line_column(raw[: error.start].decode("utf-8", "replace"))
        raise _unreadable(places, line, column, "not UTF-8 text; save the file as UTF-8") from None
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line, column = _line_column(text[: error.position])
        what = "a control character; delete it, or write it as an escape in double quotes"
        raise _unreadable(places, line, column, what) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _unreadable(places, line, column, f"not valid YAML: {_syntax(error)}") from None
    except RecursionError:
        raise _unreadable(places, 1, 1, "nested too deeply; a routes file has four levels") from None


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join((error.problem or error.context or "unreadable").split())
    if "'\\t'" in problem:
        return "a tab; indent with spaces"
    if "single document" in f"{error.context}":
        return "a second document begins here; keep one, without ---"
    return f"{problem}; check the indentation, the colons and the quotes around here"


def _line_column(before: str) -> tuple[int, int]:
    line = before.count("\n") + 1
    return line, len(before) - (before.rfind("\n") + 1) + 1


def _unreadable(places: Places, line: int, column: int, what: str) -> ConfigError:
    return ConfigError([f"{places.file}:{line}:{column}: {what}"])


class _Reader:
    """Walks YAML nodes along a proto descriptor."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._nodes = 0

    def message(self, node: yaml.Node, message: Message, path: str) -> None:
        self._arrived(node, path)
        if not isinstance(node, yaml.MappingNode) or node.tag != TAG + "map":
            self._wrong(node, path, f"fields such as {', '.join(message.DESCRIPTOR.fields_by_name)}")
            return
        fields = message.DESCRIPTOR.fields_by_name
        for key, value in self._pairs(node, path):
            if len(self._places.problems) > _MAX_PROBLEMS:
                return
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name in fields:
                self._field(value, message, cast(FieldDescriptor, fields[name]), f"{path}.{name}" if path else name)
            else:
                self._places.at(key.start_mark, path, _unknown(name, fields))

    def _pairs(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """The entries, own ones before those of merge keys (`<<`), each key once."""
        seen: set[str] = set()
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == TAG + "merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    self._places.at(key.start_mark, path, f"{shown(key.value)} is here twice; keep one")
                    continue
                seen.add(key.value)
            yield key, value
        for source in merged:
            if not isinstance(source, yaml.MappingNode):
                self._places.at(source.start_mark, path, "<< takes fields, but here are none; name a mapping")
                continue
            for key, value in source.value:
                if key.tag == TAG + "merge":
                    self._places.at(key.start_mark, path, "<< inside of what << takes from; name both in one list")
                elif isinstance(key, yaml.ScalarNode) and key.value not in seen:
                    seen.add(key.value)
                    yield key, value

    def _field(self, node: yaml.Node, message: Message, descriptor: FieldDescriptor, path: str) -> None:
        if not descriptor.is_repeated:
            self._one(node, message, descriptor, path)
            return
        self._arrived(node, path)
        if not isinstance(node, yaml.SequenceNode) or node.tag != TAG + "seq":
            self._wrong(node, path, "a list; write each entry on a line of its own that begins with '- '")
            return
        for index, item in enumerate(node.value):
            if self._nodes > _MAX_NODES:
                self._places.at(item.start_mark, path, f"more than {_MAX_NODES} entries in all; split the file")
                return
            self._one(item, message, descriptor, f"{path}[{index}]")

    def _one(self, node: yaml.Node, message: Message, descriptor: FieldDescriptor, path: str) -> None:
        if not is_scalar(descriptor):
            owner = getattr(message, descriptor.name)
            if descriptor.is_repeated:
                owner = owner.add()
            else:
                owner.SetInParent()  # `hedge: {}` asks for one with its defaults
            self.message(node, owner, path)
            return
        self._arrived(node, path)
        value = self._scalar(node, descriptor, path)
        if descriptor.is_repeated:
            getattr(message, descriptor.name).append(stopgap(descriptor) if value is None else value)
        elif isinstance(value, Duration):
            getattr(message, descriptor.name).CopyFrom(value)
        elif value is not None:
            setattr(message, descriptor.name, value)

    def _scalar(self, node: yaml.Node, descriptor: FieldDescriptor, path: str) -> Scalar | None:
        try:
            return scalar(node, descriptor)
        except NotThis as unfit:
            if unfit.wanted:
                self._wrong(node, path, unfit.wanted)
            else:
                self._places.flag(node.start_mark, path, unfit.problem)
        return None

    def _arrived(self, node: yaml.Node, path: str) -> None:
        self._nodes += 1
        self._places.marks.setdefault(path, node.start_mark)

    def _wrong(self, node: yaml.Node, path: str, wanted: str) -> None:
        if node.tag == TAG + "null":
            self._places.flag(node.start_mark, path, f"no value; give {wanted}, or delete the line")
            return
        if node.tag.removeprefix(TAG) not in _PLAIN_TAGS:
            found = f"the tag {shown(node.tag)}"
        elif isinstance(node, yaml.ScalarNode):
            found = shown(node.value)
        else:
            found = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
        self._places.flag(node.start_mark, path, f"{found} is not what belongs here; use {wanted}")


def _unknown(name: str, fields: Iterable[str]) -> str:
    return f"unknown field {shown(name)}; {suggestion(name, fields)}"
