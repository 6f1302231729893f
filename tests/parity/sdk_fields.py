"""Owns the walk over an SDK's types: every field that can be said on the wire, as a dotted path.

    messages[].content            a scalar; an array's items are `[]`
    metadata.*                    an object whose members are not typed
    tools[].type=function         one kind of what can stand there

Forbids itself: any knowledge of a vendor.
"""

import collections.abc
import dataclasses
import functools
import inspect
import pkgutil
import types
import typing
from collections.abc import Iterator
from typing import Any

import pydantic
import typing_extensions

_ARRAYS = (list, tuple, set, frozenset, collections.abc.Iterable, collections.abc.Sequence)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_WRAPPERS = (typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly)
_UNTYPED = (Any, object, dict)
# Members by which the arms of a union are told apart: a new arm is a new path, even if its other members are not.
_TELLING = frozenset({"type", "role"})
# Members of a call that are no part of what is sent.
_OF_THE_SDK = frozenset({"self", "request_options", "extra_headers", "extra_query", "extra_body", "timeout"})


def paths(root: Any) -> frozenset[str]:
    """Every leaf path of a type, or of what a function takes by keyword."""
    found = frozenset(_object(root, "", ()) if inspect.isfunction(root) else _walk(root, "", ()))
    # An open vocabulary is a union of words and anything; what is told apart is told by the words.
    told = {path.partition("=")[0] for path in found if "=" in path}
    return found - told


def named(name: str) -> Any:
    """The type or function of that dotted name. Raises ImportError or AttributeError."""
    return pkgutil.resolve_name(name)


def _walk(kind: Any, path: str, above: tuple[Any, ...]) -> Iterator[str]:
    kind = _bare(kind)
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        for arm in typing.get_args(kind):
            yield from _walk(arm, path, above)
    elif kind is type(None):
        return
    elif origin in _ARRAYS:
        yield from _walk(typing.get_args(kind)[0], f"{path}[]", above)
    elif origin in _OBJECTS:
        below = list(_walk(typing.get_args(kind)[1], f"{path}.*", above))
        yield from below if any(f"{path}.*." in one for one in below) else [f"{path}.*"]
    elif origin is typing.Literal and path.rpartition(".")[2] in _TELLING:
        yield from (f"{path}={value}" for value in typing.get_args(kind))
    elif kind in _UNTYPED:
        yield f"{path}.*" if kind is dict else path
    elif _members(kind) is not None:
        yield from _object(kind, path, above)
    else:
        yield path


def _object(kind: Any, path: str, above: tuple[Any, ...]) -> Iterator[str]:
    members = _members(kind)
    if kind in above or not members:
        # What contains itself has no paths of its own: they are those of the outer one.
        yield f"{path}.*"
        return
    for name, member in members.items():
        yield from _walk(member, f"{path}.{name}" if path else name, (*above, kind))


def _bare(kind: Any) -> Any:
    while True:
        if isinstance(kind, typing_extensions.TypeAliasType):
            kind = kind.__value__
        elif typing.get_origin(kind) in _WRAPPERS or typing.get_origin(kind) is typing.Annotated:
            kind = typing.get_args(kind)[0]
        else:
            return kind


@functools.cache
def _members(kind: Any) -> dict[str, Any] | None:
    """Name on the wire to type; None for what is no object."""
    if inspect.isfunction(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {name: hints[name] for name in inspect.signature(kind).parameters if name not in _OF_THE_SDK}
    if not isinstance(kind, type):
        return None
    if issubclass(kind, pydantic.BaseModel):
        return {
            field.alias or _noted(field.metadata) or name: field.annotation for name, field in kind.model_fields.items()
        }
    if typing_extensions.is_typeddict(kind):
        hints = typing_extensions.get_type_hints(kind, include_extras=True)
        return {_alias(name, hint): hint for name, hint in hints.items()}
    if dataclasses.is_dataclass(kind):
        return dict(typing.get_type_hints(kind, include_extras=True))
    return None


def _alias(name: str, hint: Any) -> str:
    """SDKs rename members that are Python's words, and say so in an annotation."""
    while typing.get_origin(hint) in (*_WRAPPERS, typing.Annotated):
        if alias := _noted(getattr(hint, "__metadata__", ())):
            return alias
        hint = typing.get_args(hint)[0]
    return name


def _noted(notes: collections.abc.Iterable[Any]) -> str:
    return next((note.alias for note in notes if getattr(note, "alias", None)), "")
