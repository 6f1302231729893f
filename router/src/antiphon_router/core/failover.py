"""Owns what happens after an attempt failed: go on elsewhere, or stop, and with which of the failures.

The row of the failure says whether the same process with another key, the same backend, another replica of it, another
backend or only a larger model may be tried, within `MAX_FAILURES`, the caller's deadline and the retry budget. Once the
caller has seen content nothing goes on, except by `after_content`: where route and caller agree, all begins anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from antiphon_router.core.faults import FAST_S, Failure, Other, Reason, Rule, Same, classified, is_upstream
from antiphon_router.core.resolve import Refusal
from antiphon_router.core.values import AfterContent, Candidate, Replica, RoutePolicy, TargetKey

MAX_FAILURES: Final = 3
MAX_WALKS: Final = 4
"""Attempts with another key that follow at once on a refused one. They are not counted as failures."""
MAX_RESTARTS: Final = 2
LEAST_LEFT_S: Final = 0.05
SLOW_S: Final = 10.0
"""A failure slower than this is followed only if the deadline leaves twice as long as it took."""


class Attempt(NamedTuple):
    """One try: a model at a backend, by one of its replicas."""

    number: int
    candidate: Candidate
    replica: Replica
    probes: tuple[TargetKey, ...] = ()
    """Targets about which it is to find out whether they are well again."""
    wait_s: float = 0.0
    """To be waited before it starts."""
    rescues: tuple[TargetKey, ...] = ()
    """Targets that are out and are tried all the same, for want of better: only a success tells something of them."""


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
    walks: int = 0
    """Failures that only made a backend take its next key."""
    walking: Attempt | None = None
    """To be made again at once by the same process, with its next key."""
    larger: bool = False
    """The request is too long for all but the targets that are kept for such."""
    restarts: int = 0
    """How often the answer began anew after content."""


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
    walking = None
    if rule.same is Same.REPLICA:
        lost |= {attempt.replica.key}
    elif rule.same is Same.KEY and turn.walks < MAX_WALKS:
        walking = attempt
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
        walks=turn.walks + (walking is not None),
        walking=walking,
        larger=turn.larger or rule.other is Other.LARGER,
    )


def _same_allowed(rule: Rule, failure: Failure) -> bool:
    if rule.same is Same.IF_FAST:
        return failure.retry_same and failure.elapsed_s <= FAST_S
    return rule.same is Same.ONCE and failure.retry_same


def stop(turn: Turn, *, committed: bool, by_route: bool, left_s: float, has_larger: bool = False) -> Stop | None:
    """Why `turn`, whose last attempt failed, may not go on; None: it may, if the budget has a credit.

    `has_larger`: the route keeps targets for requests that are too long. A walk to the next key needs no credit:
    `turn.walking` is set then.
    """
    failure = turn.tried[-1].failure
    rule = classified(failure)
    if committed:
        return Stop.COMMITTED
    if turn.walking is None:
        larger = has_larger and not turn.tried[-1].attempt.candidate.long_context
        if not (_other_allowed(rule, failure, by_route=by_route, larger=larger) or _same_allowed(rule, failure)):
            return Stop.FINAL
        if len(turn.tried) - turn.walks >= MAX_FAILURES:
            return Stop.ATTEMPTS
    hopeless = failure.elapsed_s > SLOW_S and left_s < 2.0 * failure.elapsed_s
    return Stop.DEADLINE if hopeless or left_s < LEAST_LEFT_S else None


def _other_allowed(rule: Rule, failure: Failure, *, by_route: bool, larger: bool) -> bool:
    if rule.other is Other.ALIAS:
        return by_route
    if rule.other is Other.LARGER:
        return larger
    return rule.other is Other.ALWAYS and (failure.retry_other or failure.lost)


def after_content(
    turn: Turn, failure: Failure, policy: RoutePolicy, *, asked: AfterContent, delivered_tools: bool, left_s: float
) -> AfterContent:
    """Whether an answer that broke begins anew, RESTART, if the budget has a credit; or fails, FAIL.

    `asked`: by the caller; `delivered_tools`: it has been given a call of a tool, which it may have acted on. With HOLD
    it has been given nothing yet.
    """
    granted = asked is not AfterContent.FAIL and asked in policy.after_content
    safe = asked is AfterContent.HOLD or not delivered_tools
    in_time = left_s >= max(LEAST_LEFT_S, 2.0 * failure.elapsed_s if failure.elapsed_s > SLOW_S else 0.0)
    upstream = is_upstream(classified(failure))
    anew = granted and safe and in_time and upstream and turn.restarts < MAX_RESTARTS
    return AfterContent.RESTART if anew else AfterContent.FAIL


def restarted(turn: Turn, attempt: Attempt, failure: Failure, *, elsewhere: bool = False) -> Turn:
    """`turn` once the answer of `attempt` broke after content and begins anew: at another backend, if `elsewhere`."""
    return replace(
        turn,
        tried=(*turn.tried, Tried(attempt, failure)),
        used=turn.used | {attempt.replica.key},
        lost=turn.lost | {attempt.replica.key} if failure.lost else turn.lost,
        closed=turn.closed | {attempt.candidate.backend.id} if elsewhere else turn.closed,
        restarts=turn.restarts + 1,
        walking=None,
    )


def outrun(turn: Turn, attempt: Attempt) -> Turn:
    """`turn` after another attempt was faster than `attempt`: where that was too slow is not asked again."""
    return replace(turn, lost=turn.lost | {attempt.replica.key})


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
