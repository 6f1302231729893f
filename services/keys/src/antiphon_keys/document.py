"""Owns the state document of a slot as the coordinator sees it: rows in, rows out, nothing of others' fields lost.

Forbids itself: I/O, clocks and decisions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias

from antiphon_kit import vault_documents
from antiphon_kit.key_versions import Stage

_OURS: Final = frozenset({"status", "share", "not_before", "since", "counted"})


@dataclass(frozen=True, slots=True)
class Row:
    """What one version is to be. Times are wall clock in seconds, 0: not told."""

    stage: Stage
    share: float = 0.0
    """Part of the slot's calls that a candidate is to get, 0..1."""

    since_s: float = 0.0
    """When it entered this stage, or a candidate this share."""

    counted: int = 0
    """Successes that all processes told of it at that time."""

    not_before_s: float = 0.0
    others: Mapping[str, object] = field(default_factory=dict)
    """Fields that people keep there."""


Document: TypeAlias = Mapping[int, Row]
"""Version number to row. What is not in it is not used by any process."""


def parsed(data: object, path: str) -> dict[int, Row]:
    """The document at `path`. Raises vault_documents.BadDocument."""
    stages = vault_documents.stages_of(data, path)
    assert isinstance(data, Mapping)
    found = {}
    for number, staged in stages.items():
        row = data[str(number)]
        fields = json.loads(row) if isinstance(row, str) else row
        counted = fields.get("counted", 0)
        found[number] = Row(
            staged.stage,
            staged.share,
            _moment(fields.get("since")),
            counted if isinstance(counted, int) else 0,
            staged.not_before_s,
            {name: value for name, value in fields.items() if name not in _OURS},
        )
    return found


def rendered(document: Document) -> dict[str, object]:
    """What to write."""
    return {str(number): _fields(document[number]) for number in sorted(document)}


def _fields(row: Row) -> dict[str, object]:
    fields: dict[str, object] = {**row.others, "status": row.stage.name.lower()}
    if row.stage is Stage.CANDIDATE:
        fields |= {"share": row.share, "counted": row.counted}
    if row.not_before_s:
        fields["not_before"] = _text(row.not_before_s)
    if row.since_s:
        fields["since"] = _text(row.since_s)
    return fields


def _text(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(value: object) -> float:
    """Ours to write; what somebody else made of it counts as not told."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return 0.0
    return moment.timestamp() if moment.tzinfo is not None else 0.0
