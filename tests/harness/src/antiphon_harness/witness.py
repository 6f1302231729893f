"""Owns the reading of the witness log: every request that the upstream accepted, and what became of it."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon_harness.fakellm.witness import fingerprint

__all__ = ["Accepted", "WitnessReader", "fingerprint"]


@dataclass(slots=True)
class Accepted:
    """One request as the upstream saw it. Times are absolute, on the monotonic clock; 0: has not happened."""

    number: int
    at: float
    key: str
    """Fingerprint."""
    model: str
    prompt: str
    ended: float = 0.0
    status: int = 0
    by: str = ""
    tokens: int = 0
    last_token: float = 0.0


class WitnessReader:
    """Follows the log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self._seen: dict[int, Accepted] = {}
        self._listed: Counter[str] = Counter()

    def accepted(self, *, since: float = 0.0, key: str | None = None, model: str | None = None) -> list[Accepted]:
        """Requests accepted at or after `since`, in order; of one key (itself, not its fingerprint) or model only."""
        self._read()
        mark = None if key is None else fingerprint(key)
        return [
            one
            for one in self._seen.values()
            if one.at >= since and mark in (None, one.key) and model in (None, one.model)
        ]

    def listed(self, key: str) -> int:
        """How often the models were asked for with a key."""
        self._read()
        return self._listed[fingerprint(key)]

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, row: dict[str, Any]) -> None:
        if row["event"] == "listed":
            self._listed[row["key"]] += 1
            return
        number = row["id"]
        if row["event"] == "accepted":
            self._seen[number] = Accepted(number, row["t"], row["key"], row["model"], row["prompt"])
        elif (one := self._seen.get(number)) is not None:
            one.ended, one.status, one.by = row["t"], row["status"], row["by"]
            one.tokens, one.last_token = row["tokens"], row["last_token"]
