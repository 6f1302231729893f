"""Owns the words of what lies in Vault: the key, the stages of its versions, and what follows where nobody wrote any.

    <mount>/<prefix>/<provider>/<slot>         {"value": "sk-…"}, one version each
    <mount>/<prefix>/<provider>/<slot>-state   {"3": {"status": "current", "share": 1, "not_before": "…"}, "4": …}

Forbids itself: I/O, clocks, and any value in a message.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from antiphon_kit.key_versions import USABLE, Stage

FIELDS: Final = ("value", "key")
MAX_KEY_CHARS: Final = 16 * 1024
_STAGES: Final = {stage.name.lower(): stage for stage in Stage}
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_HEADER: Final = re.compile(r"[!-~]+")


class BadDocument(Exception):
    """It cannot be used. The message names path and field, never a value."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What a version is to be."""

    stage: Stage
    share: float = 0.0
    not_before_s: float = 0.0
    """Wall clock."""


def key_of(data: object, path: str) -> str:
    """The key in the document at `path`. Raises BadDocument."""
    if not isinstance(data, Mapping):
        raise BadDocument(f"{path}: is not an object of fields; write it as value=<key>")
    present = [name for name in FIELDS if name in data]
    if len(present) != 1:
        raise BadDocument(f"{path}: needs exactly one of the fields {' and '.join(FIELDS)}; write it as value=<key>")
    name = present[0]
    value = data[name]
    if not isinstance(value, str):
        raise BadDocument(f"{path}: field {name} is not a text")
    # A newline at the end comes from files and pipes and means nothing; inside it means something else was pasted.
    value = value.strip()
    if not value:
        raise BadDocument(f"{path}: field {name} is blank")
    if len(value) > MAX_KEY_CHARS or not _HEADER.fullmatch(value):
        raise BadDocument(f"{path}: field {name} holds blanks, newlines or characters that no header can carry")
    return value


def stages_of(data: object, path: str) -> dict[int, Staged]:
    """Version numbers to what they are to be. Raises BadDocument."""
    if not isinstance(data, Mapping):
        raise BadDocument(f"{path}: is not an object of versions")
    found = {}
    for name, row in data.items():
        if not isinstance(name, str) or not _NUMBER.fullmatch(name):
            raise BadDocument(f"{path}: a field is no version number")
        found[int(name)] = _staged(row, f"{path}: version {name}")
    if sum(each.stage is Stage.CURRENT for each in found.values()) > 1:
        raise BadDocument(f"{path}: more than one version is current")
    return found


def _staged(row: object, where: str) -> Staged:
    if isinstance(row, str):  # written by `kv patch`, which knows no nested fields
        try:
            row = json.loads(row)
        except ValueError:
            raise BadDocument(f"{where}: is not an object of fields") from None
    if not isinstance(row, Mapping):
        raise BadDocument(f"{where}: is not an object of fields")
    status = row.get("status")
    if not isinstance(status, str) or status not in _STAGES:
        raise BadDocument(f"{where}: field status is none of {', '.join(_STAGES)}")
    share = row.get("share", 0.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise BadDocument(f"{where}: field share is no number of 0 to 1")
    return Staged(_STAGES[status], float(share), _moment(row.get("not_before", 0), where))


def _moment(value: Any, where: str) -> float:
    """Seconds since 1970, given as such or in ISO 8601 with an offset."""
    if isinstance(value, str) and value:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment.timestamp()
    elif not value:
        return 0.0
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise BadDocument(f"{where}: field not_before is no time like 2026-01-31T12:00:00Z")


def living(metadata: object, path: str) -> list[int]:
    """Numbers of the versions that are neither deleted nor destroyed, newest first. Raises BadDocument."""
    rows = metadata.get("versions") if isinstance(metadata, Mapping) else None
    if not isinstance(rows, Mapping):
        raise BadDocument(f"{path}: its metadata has no versions")
    alive = []
    for name, row in rows.items():
        is_number = isinstance(name, str) and _NUMBER.fullmatch(name)
        if is_number and isinstance(row, Mapping) and not row.get("deletion_time") and not row.get("destroyed"):
            alive.append(int(name))
    return sorted(alive, reverse=True)


def without_document(
    alive: Collection[int], current: int | None, bad: Collection[int], *, trial_share: float
) -> dict[int, Staged]:
    """The stages that a process gives the versions by itself, where nobody wrote any.

    `current`: what it has in service; `bad`: what the provider refused here. A newer version is tried with
    `trial_share` of the calls, the next older one stays as the fallback. A process that starts takes the newest
    version into service, the next one where the provider refuses that, and the newest again where it refuses all.
    """
    good = sorted((number for number in alive if number not in bad), reverse=True) or sorted(alive, reverse=True)[:1]
    if not good:
        return {}
    plan = {}
    if current not in good:
        current = good[0]
    elif good[0] > current:
        plan[good[0]] = Staged(Stage.CANDIDATE, trial_share)
    plan[current] = Staged(Stage.CURRENT, 1.0)
    older = [number for number in good if number < current]
    if older:
        plan[older[0]] = Staged(Stage.GRACE)
    return plan


def needed(stages: Mapping[int, Staged]) -> list[int]:
    """The versions whose keys a process has to hold: the newest of each usable stage, newest first."""
    newest: dict[Stage, int] = {}
    for number, staged in stages.items():
        if staged.stage in USABLE:
            newest[staged.stage] = max(number, newest.get(staged.stage, 0))
    return sorted(newest.values(), reverse=True)
