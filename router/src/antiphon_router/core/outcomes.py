"""Owns what the outcome of an attempt, time and people do to targets.

Gives back the healths that are no longer the same, and tallies anew; it changes nothing itself.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from antiphon_router.core.failover import Attempt
from antiphon_router.core.faults import Effect, Failure, Reason, Rule, classified
from antiphon_router.core.fleet import Changes, Fleet, stored
from antiphon_router.core.health import POLICY, UNOBSERVED, Health
from antiphon_router.core.tally import Sample, Tally, cause, is_breached, is_calm, is_failing, noted, unsaid
from antiphon_router.core.values import Cause, Dice, Scope, State, TargetKey

_BUSY: Final = frozenset({429, 503, 529})
_TAKEN_BY: Final = frozenset({Scope.ENDPOINT, Scope.POOL})
_MISSED: Final = frozenset({Effect.SLOW, Effect.DEGRADE, Effect.LIMIT})
_FAILED: Final = frozenset({Effect.FAIL, Effect.SLOW})
_OF_KEY: Final = frozenset({Scope.KEY, Scope.KEY_MODEL})


def started(attempt: Attempt, fleet: Fleet, now: float) -> Changes:
    """`attempt` leaves: what it probes takes no second call until it is back."""
    return _changed([(key, _health(fleet, key, now).started(now)) for key in attempt.probes], fleet)


def is_routine(attempt: Attempt, fleet: Fleet) -> bool:
    """Whether a success of `attempt` would change nothing."""
    health = fleet.healths.get(attempt.replica.key, UNOBSERVED)
    if health.state is not State.HEALTHY or health.failures or attempt.probes or attempt.rescues:
        return False
    shared = fleet.shared
    return not shared or not any(key in shared for key in attempt.candidate.keys)


def succeeded(attempt: Attempt, fleet: Fleet, now: float) -> Changes:
    """`attempt` got its first content."""
    keys = (attempt.replica.key, *attempt.candidate.keys) if fleet.shared else (attempt.replica.key,)
    proven = (*attempt.probes, *attempt.rescues)
    news = []
    for key in keys:
        health = _health(fleet, key, now)
        probe = key in attempt.probes
        news.append((key, health.recovered(now, probe=probe) if key in proven else health.succeeded()))
    return _changed(news, fleet)


def abandoned(attempt: Attempt, fleet: Fleet, now: float) -> Changes:
    """`attempt` ended without telling anything: its caller left."""
    return _changed([(key, _health(fleet, key, now).abandoned(now)) for key in attempt.probes], fleet)


def failed(
    attempt: Attempt, failure: Failure, fleet: Fleet, now: float, dice: Dice, *, begun: float = math.inf
) -> Changes:
    """`attempt` of `begun` failed: exactly the target at fault learns of it, and what was probed in vain goes back."""
    rule = classified(failure)
    replica = attempt.replica.key
    at_fault = blamed(attempt, rule)
    if rule.scope in _OF_KEY and begun < fleet.rekeyed.get(attempt.candidate.backend.id, -math.inf):
        # It was the old key that was refused; of the new one that tells nothing.
        at_fault = None
    news = []
    for key in dict.fromkeys((replica, *attempt.probes)):
        health = _health(fleet, key, now)
        if key == at_fault:
            continue
        if key == replica and not failure.lost:
            # Who gives a typed answer is alive.
            probe = key in attempt.probes
            proven = probe or key in attempt.rescues
            news.append((key, health.recovered(now, probe=probe) if proven else health.succeeded()))
        elif key in attempt.probes:
            news.append((key, health.abandoned(now)))
    if at_fault is not None:
        health = _health(fleet, at_fault, now)
        mostly = is_failing(fleet.tallies.get(at_fault, ()), now)
        told = _Told(rule, failure, at_fault in attempt.probes, mostly)
        news.append((at_fault, _punished(health, told, now, dice)))
    return _changed(news, fleet)


def blamed(attempt: Attempt, rule: Rule) -> TargetKey | None:
    """The one target at fault, if there is one."""
    if rule.scope is None:
        return None
    return attempt.replica.key if rule.scope is Scope.REPLICA else attempt.candidate.key(rule.scope)


def is_overload(failure: Failure) -> bool:
    """Whether the provider did not take the attempt, so that others there will fare no better."""
    return classified(failure).scope in _TAKEN_BY


class _Told:
    """What one failure tells about the target at fault."""

    __slots__ = ("failure", "mostly", "probe", "rule")

    def __init__(self, rule: Rule, failure: Failure, probe: bool, mostly: bool) -> None:
        self.rule = rule
        self.failure = failure
        self.probe = probe
        self.mostly = mostly


def _punished(health: Health, told: _Told, now: float, dice: Dice) -> Health:
    rule, failure, probe = told.rule, told.failure, told.probe
    if rule.effect is Effect.LIMIT:
        return health.limited(now, dice, delay_s=failure.delay_s, rule=rule.id, probe=probe)
    if rule.effect is Effect.DISABLE:
        return health.disabled(now, cause=rule.cause, rule=rule.id, delay_s=failure.delay_s, probe=probe)
    if rule.effect is Effect.DRAIN:
        return health.not_serving(now, cause=rule.cause, rule=rule.id)
    return health.failed(now, dice, cause=rule.cause, rule=rule.id, weight=rule.weight, probe=probe, mostly=told.mostly)


# Tallies.


def noted_success(
    attempt: Attempt, tallies: Mapping[TargetKey, Tally], now: float, *, late: bool
) -> Iterator[tuple[TargetKey, Tally]]:
    """The tallies that learn of a success of `attempt`: those there are, and if it came late those of who was slow."""
    replica = attempt.replica
    sample = Sample(now, replica.address, Cause.SLOW if late else None)
    for key in (replica.key, *attempt.candidate.keys):
        mine = key.scope is Scope.REPLICA or key.scope is Scope.POOL
        if (late and mine) or key in tallies:
            yield key, noted(tallies.get(key, ()), sample if mine else sample._replace(miss=None))


def noted_failure(
    attempt: Attempt, failure: Failure, tallies: Mapping[TargetKey, Tally], now: float
) -> Iterator[tuple[TargetKey, Tally]]:
    """The tally that learns of a failure of `attempt`, if it counts there."""
    rule = classified(failure)
    key = blamed(attempt, rule)
    if key is None or rule.effect in (Effect.DISABLE, Effect.DRAIN):
        return
    busy = rule.effect in _MISSED or failure.http_status in _BUSY
    sample = Sample(now, attempt.replica.address, rule.cause if busy else None, rule.effect in _FAILED)
    tally = tallies.get(key, ())
    if failure.reason is Reason.STREAM_INTERRUPTED:
        tally = unsaid(tally, attempt.replica.address)
    yield key, noted(tally, sample)


# What time and people bring about.


def reviewed(fleet: Fleet, now: float, elapsed_s: float) -> Changes:
    """Every `review_s`: what is late or refused too often gets less, what is calm again gets more."""
    steps = max(1, int(elapsed_s / POLICY.review_s))
    keys = dict.fromkeys(fleet.tallies)
    for healths in (fleet.healths, fleet.shared):
        keys.update({key: None for key, health in healths.items() if health.state is State.DEGRADED})
    news = []
    for key in keys:
        tally = fleet.tallies.get(key, ())
        health = _health(fleet, key, now)
        breached = is_breached(tally, now)
        calm = is_calm(tally, now)
        news.append((key, health.reviewed(now, breached=breached, calm=calm, cause=cause(tally), steps=steps)))
    return _changed(news, fleet)


def enabled(key: TargetKey, fleet: Fleet, now: float) -> Changes:
    """A person wants `key` tried."""
    return _changed([(key, _health(fleet, key, now).enabled(now))], fleet)


def key_changed(backend: str, fleet: Fleet, now: float) -> Changes:
    """`backend` has a new version of its key: what was said of the old one is void."""
    own = [
        key
        for key in fleet.shared
        if (key.scope is Scope.KEY and key.id == backend)
        or (key.scope is Scope.KEY_MODEL and key.id.startswith(f"{backend}/"))
    ]
    return _changed([(key, _health(fleet, key, now).rekeyed(now)) for key in own], fleet)


def _health(fleet: Fleet, key: TargetKey, now: float) -> Health:
    return stored(fleet, key).at(now)


def _changed(news: Iterable[tuple[TargetKey, Health]], fleet: Fleet) -> Changes:
    return {key: health for key, health in news if health is not stored(fleet, key)}
