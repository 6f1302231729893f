"""Owns the application of `provider_json`: RFC 7396 merge patches whose values stay the caller's own bytes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from antiphon_contract.errors import Reason, failure
from antiphon_wires import json_text

Path = tuple[str, ...]
_NULL: Final = b"null"


def apply(
    native: dict[str, Any],
    provider_json: Mapping[str, str],
    keys: Sequence[str],
    *,
    param: str,
    protected: Sequence[Path] = (),
) -> None:
    """Merge the patches under `keys` into `native`, in that order; other providers' keys are not read.

    Raises INVALID_REQUEST for text that is no JSON object and for a patch that touches a `protected` path.
    """
    for key in keys if provider_json else ():
        if not (text := provider_json.get(key, "")):
            continue
        where = f'{param}["{key}"]'
        patch = json_text.caller_object(text, where)
        for path in protected:
            if _touches(patch, path):
                raise failure(
                    Reason.ERROR_REASON_INVALID_REQUEST,
                    f"{where} must not set {'.'.join(path)}: the gateway owns it",
                    param=where,
                )
        merge(native, patch)


def merge(target: dict[str, Any], patch: json_text.Object) -> None:
    """RFC 7396: null removes, objects merge, everything else replaces whole."""
    for name, raw in patch.items():
        value = bytes(raw)
        if value == _NULL:
            target.pop(name, None)
        elif value[:1] == b"{":
            below = _members(target.get(name))
            merge(below, json_text.members(value))
            target[name] = below
        else:
            # A copy: a view would keep the caller's whole text alive.
            target[name] = msgspec.Raw(value)


def _members(value: Any) -> dict[str, Any]:
    """The object to merge into; RFC 7396 treats everything else as an empty one."""
    if isinstance(value, dict):
        return value
    if isinstance(value, msgspec.Raw) and bytes(value).lstrip()[:1] == b"{":
        return dict(json_text.members(bytes(value)))
    return {}


def _touches(patch: json_text.Object, path: Path) -> bool:
    raw = patch.get(path[0])
    if raw is None:
        return False
    value = bytes(raw)
    if len(path) == 1 or value[:1] != b"{":
        return True
    return _touches(json_text.members(value), path[1:])
