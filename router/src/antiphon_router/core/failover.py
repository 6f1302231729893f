"""Owns what happens after an attempt failed: go on elsewhere, or stop, and with which of the failures.

The caller has seen content: never go on. Otherwise the row of the failure says whether the same backend, another
replica of it or another backend may be tried, within `MAX_FAILURES`, the caller's deadline and the retry budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from antiphon_router.core.faults import FAST_S, Failure, Other, Reason, Rule, Same, classified
from antiphon_router.core.resolve import Refusal
from antiphon_router.core.values import Candidate, Replica, TargetKey

MAX_FAILURES: Final = 3
LEAST_LEFT_S: Final = 0.05


class Attempt(NamedTuple):
    """One try: a model at a backend, by one of its replicas."""

    number: int
    candidate: Candidate
    replica: Replica
    probes: tuple[TargetKey, ...] = ()
    """Targets about which it is to find out whether they are well again."""
    wait_s: float = 0.0
    """To be waited before it starts."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A failed attempt."""

    attempt: Attempt
    failure: Failure


@dataclass(frozen=True, slots=True)
class Turn:
    """One call of a client across its attempts."""

    tried: tuple[Tried, ...] = ()
    used: frozenset[TargetKey] = frozenset()
    """Replicas that were asked already: others are better."""
    lost: frozenset[TargetKey] = frozenset()
    """Replicas not to be asked again."""
    again: frozenset[str] = frozenset()
    """Backends that have had the one second try that a failure of theirs allowed."""
    closed: frozenset[str] = frozenset()
    """Backends not to be asked again."""


NEW_TURN: Final = Turn()


class Stop(Enum):
    """Why a turn is over after a failure."""

    COMMITTED = "content was delivered"
    FINAL = "nobody else would answer otherwise"
    ATTEMPTS = "attempts are used up"
    DEADLINE = "the deadline is too close"
    BUDGET = "the retry budget is used up"


def failed(turn: Turn, attempt: Attempt, failure: Failure) -> Turn:
    """`turn` after `attempt` failed, with what may not be asked again."""
    rule = classified(failure)
    backend = attempt.candidate.backend.id
    lost, again, closed = turn.lost, turn.again, turn.closed
    if rule.same is Same.REPLICA:
        lost |= {attempt.replica.key}
    elif backend not in again and _same_allowed(rule, failure):
        again |= {backend}
    else:
        closed |= {backend}
    return replace(
        turn,
        tried=(*turn.tried, Tried(attempt, failure)),
        used=turn.used | {attempt.replica.key},
        lost=lost,
        again=again,
        closed=closed,
    )


def _same_allowed(rule: Rule, failure: Failure) -> bool:
    if rule.same is Same.IF_FAST:
        return failure.retry_same and failure.elapsed_s <= FAST_S
    return rule.same is Same.ONCE and failure.retry_same


def stop(turn: Turn, *, committed: bool, by_route: bool, left_s: float) -> Stop | None:
    """Why `turn`, whose last attempt failed, may not go on; None: it may, if the budget has a credit."""
    failure = turn.tried[-1].failure
    rule = classified(failure)
    if committed:
        return Stop.COMMITTED
    if not (_other_allowed(rule, failure, by_route=by_route) or _same_allowed(rule, failure)):
        return Stop.FINAL
    if len(turn.tried) >= MAX_FAILURES:
        return Stop.ATTEMPTS
    return Stop.DEADLINE if left_s < LEAST_LEFT_S else None


def _other_allowed(rule: Rule, failure: Failure, *, by_route: bool) -> bool:
    if rule.other is Other.ALIAS:
        return by_route
    return rule.other is Other.ALWAYS and (failure.retry_other or failure.lost)


# Which of several causes the caller is told: the one that heals first.
_HEALS: Final = {
    Reason.GATEWAY_OVERLOADED: 0,
    Reason.RATE_LIMITED: 1,
    Reason.QUOTA_EXHAUSTED: 3,
    Reason.PROVIDER_CREDENTIALS: 4,
}
_OTHERS: Final = 2


def heals(reason: Reason) -> int:
    """Rank of `reason` among others: the smaller, the sooner a call may succeed."""
    return _HEALS.get(reason, _OTHERS)


def answer(tried: Sequence[Tried], refusal: Refusal | None = None) -> Tried | Refusal:
    """What the caller is told in the end. `refusal`: what keeps further attempts out; one of both is given.

    A failure that is the caller's own ends a turn at once and is therefore the last one; it is told as it is.
    """
    if not tried:
        assert refusal is not None
        return refusal
    if refusal is None and classified(tried[-1].failure).other is Other.NEVER:
        return tried[-1]
    best = min(reversed(tried), key=lambda one: heals(one.failure.reason))
    if refusal is None or refusal.exhausted or heals(best.failure.reason) <= heals(refusal.reason):
        return best
    return refusal
