"""Owns how much is remembered of targets that callers can name: the newest, and of each its last failure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from antiphon.llm.v1 import error_pb2
from antiphon_router.core.values import Scope, TargetKey

MAX_SHARED: Final = 4096
"""Targets other than replicas that are remembered while something is wrong with them; callers name models."""

T = TypeVar("T")


def trim(mapping: dict[TargetKey, T], oldest: Iterable[TargetKey]) -> None:
    """Let go of the first of `oldest` where there are too many."""
    if len(mapping) > MAX_SHARED and (first := next(iter(oldest), None)) is not None:
        del mapping[first]


@dataclass(frozen=True, slots=True)
class LastError:
    """The last failure that counted at a target, and when, on the monotonic clock."""

    error: error_pb2.CallError
    at: float


class LastErrors(dict[TargetKey, LastError]):
    """The last failure of each target."""

    def note(self, key: TargetKey, error: error_pb2.CallError, at: float) -> None:
        """A failure counted at `key`."""
        self.pop(key, None)
        self[key] = LastError(error, at)
        trim(self, (known for known in self if known.scope is not Scope.REPLICA))
