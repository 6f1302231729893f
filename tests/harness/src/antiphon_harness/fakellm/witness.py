"""Owns the witness log: what the upstream saw and did, one JSON object per line, appended and never changed.

accepted: a request was read.  ended: it is over; `by` says whether the upstream ended it or its caller.
listed: somebody asked for the models, which shows whether a key is taken.
Times are seconds on the machine's monotonic clock, which all processes share.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any


def fingerprint(key: str) -> str:
    """What stands for a key in the log."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


class Seen:
    """One request under way."""

    __slots__ = ("last_token", "number", "tokens")

    def __init__(self, number: int) -> None:
        self.number = number
        self.tokens = 0
        self.last_token = 0.0

    def produced(self, tokens: int = 1) -> None:
        """So many tokens more were written."""
        self.tokens += tokens
        self.last_token = time.monotonic()


class WitnessLog:
    """The log in a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._count = 0

    def accepted(self, key: str, model: str, prompt: str) -> Seen:
        """A request was read whole."""
        self._count += 1
        self._write(event="accepted", id=self._count, key=fingerprint(key), model=model, prompt=prompt)
        return Seen(self._count)

    def listed(self, key: str, status: int) -> None:
        """The models were asked for."""
        self._write(event="listed", key=fingerprint(key), status=status)

    def ended(self, seen: Seen, status: int, by: str) -> None:
        """The last word about a request; `by`: "upstream" or "caller"."""
        self._write(
            event="ended",
            id=seen.number,
            status=status,
            by=by,
            tokens=seen.tokens,
            last_token=round(seen.last_token, 4),
        )

    def _write(self, **members: Any) -> None:
        self._file.write(json.dumps({"t": round(time.monotonic(), 4), **members}) + "\n")

    def close(self) -> None:
        self._file.close()
