"""Owns the live state of every target: health, load, last error. Lends the core its clock and dice, and obeys it.

Forbids itself: deciding. Everything happens on the event loop, between two awaits.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from antiphon.llm.v1 import error_pb2
from antiphon_router.core import balance, decide
from antiphon_router.core.budget import Budget, credited, spent
from antiphon_router.core.decide import Changes, Fleet
from antiphon_router.core.failover import NEW_TURN, Attempt, Turn
from antiphon_router.core.faults import Failure, Reason, classified, is_upstream
from antiphon_router.core.health import REMOVED, UNOBSERVED, Health
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import Cause, Dice, Load, Replica, Scope, State, TargetKey

log = logging.getLogger(__name__)

MAX_SHARED: Final = 4096
"""Targets other than replicas that are remembered while something is wrong with them; callers name models."""

MAX_CALM: Final = 1024
BUDGET_EVERY_S: Final = 0.5

UNREMARKABLE: Final = Health()

T = TypeVar("T")

_TAKES_CALLS: Final = frozenset({State.HEALTHY, State.DEGRADED, State.SLOW_START, State.PANIC})


@dataclass(frozen=True, slots=True)
class LastError:
    """The last failure that counted at a target, and when, on the monotonic clock."""

    error: error_pb2.CallError
    at: float


class Roster:
    """All targets. `changed` is called whenever a replica begins or ceases to take calls."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Dice | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.clock = clock
        self._dice: Dice = dice or random.Random()  # noqa: S311 - it balances, it hides nothing
        self.changed = changed
        self._replicas: dict[str, list[Replica]] = {}
        self._healths: dict[TargetKey, Health] = {}
        self._shared: dict[TargetKey, Health] = {}
        self._loads: dict[TargetKey, Load] = {}
        self._calm: dict[Resolution, tuple[Attempt, ...]] = {}
        self._budget = Budget(updated=clock())
        self._requests = 0
        self.last_errors: dict[TargetKey, LastError] = {}
        self.fleet = Fleet(self._replicas, self._healths, self._shared, self._loads)

    # Replicas come and go.

    def add(self, replica: Replica) -> None:
        """`replica` exists; nothing is known of it until its health stream speaks. It may be another backend's too."""
        self._calm.clear()
        self._replicas.setdefault(replica.backend, []).append(replica)
        self._healths.setdefault(replica.key, Health(State.UNSPECIFIED, since=self.clock()))
        self._loads.setdefault(replica.key, Load())

    def readmit(self, replica: Replica) -> None:
        """`replica` is back before it was forgotten: a new one as far as its health goes."""
        self._apply({replica.key: Health(State.UNSPECIFIED, since=self.clock())})

    def detach(self, replica: Replica) -> None:
        """`replica` is no longer its backend's, only another's."""
        self._calm.clear()
        self._replicas[replica.backend].remove(replica)

    def remove(self, replica: Replica) -> None:
        """`replica` left discovery: no new calls; `forget` it when its last call has ended."""
        now = self.clock()
        health = self._healths[replica.key].not_serving(now, cause=Cause.OPERATOR, rule=REMOVED)
        self._apply({replica.key: health})

    def forget(self, replica: Replica) -> None:
        """Nothing runs at `replica` any more."""
        self.detach(replica)
        for mapping in (self._healths, self._loads, self.last_errors):
            mapping.pop(replica.key, None)

    def is_idle(self, replica: Replica) -> bool:
        """Whether no call runs there."""
        return not self._loads[replica.key].in_flight

    def health_of(self, key: TargetKey) -> Health:
        """Health of any target, as of now."""
        mapping = self._healths if key.scope is Scope.REPLICA else self._shared
        return mapping.get(key, UNOBSERVED if key.scope is Scope.REPLICA else UNREMARKABLE).at(self.clock())

    def takes_calls(self, backend: str) -> bool:
        """Whether any replica of `backend` does."""
        return any(self._healths[replica.key].state in _TAKES_CALLS for replica in self._replicas.get(backend, ()))

    def any_takes_calls(self) -> bool:
        """Whether there is a backend with a replica that takes calls."""
        return any(health.state in _TAKES_CALLS for health in self._healths.values())

    # What health streams say.

    def serving(self, replica: Replica) -> None:
        """Its health stream says SERVING."""
        self._apply({replica.key: self._healths[replica.key].at(self.clock()).serving(self.clock())})

    def not_serving(self, replica: Replica) -> None:
        """Its health stream says anything else."""
        self._apply({replica.key: self._healths[replica.key].not_serving(self.clock())})

    def unreachable(self, replica: Replica, retry_in_s: float, error: error_pb2.CallError) -> None:
        """Its health stream is lost and will be opened again in `retry_in_s`."""
        now = self.clock()
        self.last_errors[replica.key] = LastError(error, now)
        self._apply({replica.key: self._healths[replica.key].unreachable(now, now + retry_in_s)})

    # Calls.

    def credit(self) -> None:
        """A call came in; a part of a second attempt is earned."""
        self._requests += 1
        if self.clock() - self._budget.updated > BUDGET_EVERY_S:
            self._settle_budget()

    def may_retry(self) -> bool:
        """Take one second attempt out of the budget, if there is one."""
        self._settle_budget()
        left = spent(self._budget, self.clock())
        if left is not None:
            self._budget = left
        return left is not None

    def _settle_budget(self) -> None:
        self._budget = credited(self._budget, self._requests, self.clock())
        self._requests = 0

    def begin(self, resolution: Resolution, turn: Turn) -> "Running | Refusal":
        """The next attempt of `turn`, which counts as running until `close`."""
        now = self.clock()
        attempt = self._calmly(resolution, now) if turn is NEW_TURN else None
        if attempt is None:
            decided = decide.choose(resolution, turn, self.fleet, now, self._dice)
            if isinstance(decided, Refusal):
                return decided
            attempt = decided
            if attempt.probes:
                self._apply(decide.started(attempt, self.fleet, now))
        self._count(attempt, 1)
        return Running(self, attempt, now)

    def _calmly(self, resolution: Resolution, now: float) -> Attempt | None:
        attempts = self._calm.get(resolution)
        if attempts is None:
            if len(self._calm) >= MAX_CALM:
                self._calm.clear()
            attempts = self._calm[resolution] = decide.calm(resolution, self.fleet)
        return decide.among(attempts, self.fleet, now, self._dice) if attempts else None

    def succeeded(self, attempt: Attempt, elapsed_s: float) -> None:
        """First content after `elapsed_s`."""
        now = self.clock()
        key = attempt.replica.key
        self._loads[key] = balance.observed(self._loads[key], elapsed_s, now)
        if not decide.is_routine(attempt, self.fleet):
            self._apply(decide.succeeded(attempt, self.fleet, now))

    def failed(self, attempt: Attempt, failure: Failure, error: error_pb2.CallError) -> None:
        """The upstream failed, or the caller did, before or after content."""
        now = self.clock()
        key = attempt.replica.key
        rule = classified(failure)
        if is_upstream(rule):
            self._loads[key] = balance.observed_failure(self._loads[key], failure.elapsed_s, now)
        elif failure.reason is Reason.DEADLINE_EXCEEDED:
            self._loads[key] = balance.observed_cancel(self._loads[key], failure.elapsed_s, now)
        if rule.scope is not None:
            blamed = key if rule.scope is Scope.REPLICA else attempt.candidate.key(rule.scope)
            self._note(blamed, LastError(error, now))
        self._apply(decide.failed(attempt, failure, self.fleet, now, self._dice))

    def abandoned(self, attempt: Attempt, elapsed_s: float) -> None:
        """The caller left before first content."""
        now = self.clock()
        key = attempt.replica.key
        self._loads[key] = balance.observed_cancel(self._loads[key], elapsed_s, now)
        self._apply(decide.abandoned(attempt, self.fleet, now))

    def ended(self, attempt: Attempt) -> None:
        """Nothing of `attempt` runs any more."""
        self._count(attempt, -1)

    def _count(self, attempt: Attempt, step: int) -> None:
        key = attempt.replica.key
        load = self._loads[key]
        self._loads[key] = Load(load.in_flight + step, load.first_content_s, load.updated)

    def _note(self, key: TargetKey, error: LastError) -> None:
        self.last_errors.pop(key, None)
        self.last_errors[key] = error
        _trim(self.last_errors, (k for k in self.last_errors if k.scope is not Scope.REPLICA))

    def _apply(self, changes: Changes) -> None:
        if not changes:
            return
        self._calm.clear()
        turned = False
        for key, health in changes.items():
            mapping = self._healths if key.scope is Scope.REPLICA else self._shared
            before = mapping.get(key, UNREMARKABLE)
            if health.state is not before.state:
                _log_turn(key, health)
            if key.scope is Scope.REPLICA:
                self._healths[key] = health
                turned = turned or (before.state in _TAKES_CALLS) is not (health.state in _TAKES_CALLS)
            elif health.unremarkable:
                self._shared.pop(key, None)
            else:
                self._shared[key] = health
                _trim(self._shared, self._shared)
        if turned:
            self.changed()


def _log_turn(key: TargetKey, health: Health) -> None:
    fields = {"scope": key.scope, "target": key.id, "state": health.state, "reason": health.cause, "rule": health.rule}
    level = logging.INFO if health.state in _TAKES_CALLS else logging.WARNING
    log.log(level, "health_changed", extra={name: str(value) for name, value in fields.items()})


def _trim(mapping: dict[TargetKey, T], oldest: Iterable[TargetKey]) -> None:
    if len(mapping) > MAX_SHARED and (first := next(iter(oldest), None)) is not None:
        del mapping[first]


class Running:
    """An attempt under way. Exactly one of its outcomes is told, then `close`; a close without one is a cancel."""

    __slots__ = ("_roster", "_settled", "attempt", "started")

    def __init__(self, roster: Roster, attempt: Attempt, now: float) -> None:
        self._roster = roster
        self._settled = False
        self.attempt = attempt
        self.started = now

    def elapsed_s(self) -> float:
        """Since its start."""
        return self._roster.clock() - self.started

    def succeeded(self) -> None:
        """First content is here."""
        self._settled = True
        self._roster.succeeded(self.attempt, self.elapsed_s())

    def failed(self, failure: Failure, error: error_pb2.CallError) -> None:
        """It failed; possibly after it had succeeded, in the middle of its answer."""
        self._settled = True
        self._roster.failed(self.attempt, failure, error)

    def close(self) -> None:
        """Nothing of it runs any more."""
        if not self._settled:
            self._roster.abandoned(self.attempt, self.elapsed_s())
        self._roster.ended(self.attempt)
