"""Owns what routers tell each other about targets, and what each makes of it.

Facts with an expiry, and nothing else: the provider limits the rate until then; a key or an account is refused; calls
failed so often that I gave a target up. Times are durations, so that no two clocks are ever compared. Each router
decides alone: what a provider said counts as if it had been said here, a breaker elsewhere only makes ours trip at
the first failure of our own.

Replicas are no matter of facts: every router has a connection of its own to each, and that tells more.
"""

from dataclasses import dataclass, replace
from typing import Final

from antiphon_router.core.health import POLICY, TAKES_CALLS, Health, Policy
from antiphon_router.core.values import Cause, Scope, State, TargetKey

_TOLD: Final = frozenset({State.RATE_LIMITED, State.DISABLED, State.OPEN})


@dataclass(frozen=True, slots=True)
class Fact:
    """What holds of `key` for `left_s` more."""

    key: TargetKey
    state: State
    """RATE_LIMITED, DISABLED or OPEN."""
    cause: Cause
    rule: str
    left_s: float


def fact_of(key: TargetKey, before: Health, after: Health, now: float) -> Fact | None:
    """What others are to know when the health of `key` turns from `before` to `after`."""
    was, now_is = before.before or before, after.before or after
    news = (was.state, was.cause, was.next_try) != (now_is.state, now_is.cause, now_is.next_try)
    if key.scope is Scope.REPLICA or not news or now_is.state not in _TOLD or now_is.next_try is None:
        return None
    left_s = now_is.next_try - now
    return Fact(key, now_is.state, now_is.cause, now_is.rule, left_s) if left_s > 0 else None


def is_over(before: Health, after: Health) -> bool:
    """Whether that turn ends what was told as DISABLED: the key or the account is accepted again."""
    return (before.before or before).state is State.DISABLED and after.state in TAKES_CALLS


def learned(health: Health, fact: Fact, now: float, policy: Policy = POLICY) -> Health:
    """`health` of the fact's target once the fact is known here."""
    own = health.before or health
    until = now + fact.left_s
    known = own.next_try is not None and own.next_try >= until
    if fact.state is State.OPEN:
        if own.state in TAKES_CALLS:
            return replace(health, failures=max(health.failures, policy.trip_after - 1.0))
        # Somebody's probe has failed: ours would tell the same.
        waits = health.state is State.OPEN and health.next_try is not None and not known
        return replace(health, next_try=until) if waits else health
    if fact.state is State.RATE_LIMITED:
        if own.state is State.DISABLED or (own.state is State.RATE_LIMITED and known):
            return health
        return health.limited(now, _NO_DICE, delay_s=fact.left_s, rule=fact.rule, probe=False, policy=policy)
    if own.state is State.DISABLED and known:
        return health
    return health.disabled(now, cause=fact.cause, rule=fact.rule, delay_s=fact.left_s, probe=False, policy=policy)


def over(health: Health, now: float) -> Health:
    """`health` once it is known that a key or an account is accepted elsewhere: due for a probe of our own."""
    return replace(health, next_try=now) if health.state is State.DISABLED else health


def postponed(health: Health, until: float) -> Health:
    """`health` when its probe is another router's: due not before `until`."""
    if health.state not in _TOLD or health.next_try is None or health.next_try >= until:
        return health
    return replace(health, next_try=until)


class _NoDice:
    """Where the delay is given, nothing is drawn."""

    def random(self) -> float:
        raise AssertionError

    def uniform(self, a: float, b: float) -> float:
        raise AssertionError


_NO_DICE: Final = _NoDice()
