"""Owns what an upstream is told to do: scripts, the rules by which a request gets one, and how many play at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Self

Noise = Literal["", "comment", "empty", "role"]
"""What is sent while there is no progress: SSE comments, empty lines, deltas without content, or nothing."""

End = Literal["done", "fin", "close", "rst", "error", "unfinished", "malformed"]
"""How an answer ends, after `cut_after` tokens unless it is `done`:

fin: the connection closes within a chunked body; close: a body without length ends early, which looks like a natural
end; rst: TCP reset; error: an error event within the answer; unfinished: `[DONE]` without a finish reason; malformed:
something that is no JSON.
"""

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Script:
    """One behaviour. Times in seconds, tokens are numbered from 0."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the response, beside those that every response has."""
    error: Mapping[str, Any] = field(default_factory=dict)
    """The error object of a status other than 200, or of the end `error`."""
    head_delay_s: float = 0.0
    """Before the response's head."""
    ttft_s: float = 0.0
    """From the head to the first token."""
    gap_s: float = 0.0
    """Between tokens. 0: the rest of the answer is one write."""
    tokens: int = 16
    role_first: bool = True
    """Whether the head comes with a delta that has a role and no content."""
    stall_after: int | None = None
    """After so many tokens nothing comes any more, but for `noise`."""
    noise: Noise = ""
    noise_every_s: float = 1.0
    end: End = "done"
    cut_after: int = 0

    def as_json(self) -> dict[str, Any]:
        """Only what differs from the defaults."""
        default = type(self)()
        return {
            f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """Who gets `script`: by key, by model, and only every so manieth of those. The first rule that matches counts."""

    script: Script
    key: str = ANY
    model: str = ANY
    every: int = 1

    def as_json(self) -> dict[str, Any]:
        """For the control endpoint."""
        return {"key": self.key, "model": self.model, "every": self.every, "script": self.script.as_json()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The reverse of `as_json`."""
        return cls(Script(**row.get("script", {})), row.get("key", ANY), row.get("model", ANY), row.get("every", 1))


REVOKED: Final = Script(
    status=401,
    error={"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": "invalid_api_key"},
)


class Places:
    """How many answers that take time there are at once; the others wait in line, first come, first served."""

    def __init__(self) -> None:
        self._limit: int | None = None
        self._taken = 0
        self._line: dict[object, Callable[[], None]] = {}

    def limit(self, places: int | None) -> None:
        """From now on; None: as many as are asked for. What runs already goes on."""
        self._limit = places
        self._call()

    def take(self, who: object, go: Callable[[], None]) -> None:
        """Have `go` called as soon as there is a place for `who`, which may be now."""
        self._line[who] = go
        self._call()

    def leave(self, who: object) -> None:
        """`who` needs none any more: it is over, or its caller left while it stood in line."""
        if self._line.pop(who, None) is None:
            self._taken -= 1
            self._call()

    def _call(self) -> None:
        while self._line and (self._limit is None or self._taken < self._limit):
            go = self._line.pop(next(iter(self._line)))
            self._taken += 1
            go()


class Stage:
    """The rules, the keys and the places that count now."""

    def __init__(self) -> None:
        self._rules: Sequence[Rule] = ()
        self._seen: list[int] = []
        self._keys: frozenset[str] | None = None
        self.places = Places()

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """From now on; counting of `every` begins anew."""
        self._rules = rules
        self._seen = [0] * len(rules)

    def set_keys(self, keys: Sequence[str] | None) -> None:
        """Only these keys are taken; None: all are."""
        self._keys = None if keys is None else frozenset(keys)

    def takes(self, key: str) -> bool:
        """Whether `key` is valid."""
        return self._keys is None or key in self._keys

    def script(self, key: str, model: str) -> Script:
        """What to do with a request."""
        if not self.takes(key):
            return REVOKED
        for number, rule in enumerate(self._rules):
            if rule.key in (ANY, key) and rule.model in (ANY, model):
                self._seen[number] += 1
                if self._seen[number] % rule.every == 0:
                    return rule.script
        return _DEFAULT


_DEFAULT: Final = Script()
