"""Owns the next step of a call: which replica of which backend, or why none; and what its outcome does to the targets.

Takes the fleet as the shell sees it and gives back a decision or the states that change; it changes nothing itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from antiphon_router.core.balance import is_cheaper, pick, two_of
from antiphon_router.core.failover import Attempt, Turn, heals
from antiphon_router.core.faults import Effect, Failure, Reason, Rule, classified
from antiphon_router.core.health import UNOBSERVED, Admission, Health
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import (
    Backend,
    Candidate,
    Cause,
    Dice,
    Load,
    Replica,
    Replicas,
    Scope,
    State,
    TargetKey,
)

BACKOFF_S: Final = 0.1
_MAX_BLOCKS_TOLD: Final = 6

_IDLE: Final = Load()
_NORMAL: Final = Health()

Changes = dict[TargetKey, Health]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything decisions depend on. A target without a health is HEALTHY, a replica without one UNSPECIFIED."""

    replicas: Mapping[str, Replicas]
    healths: Mapping[TargetKey, Health]
    """Of replicas."""
    shared: Mapping[TargetKey, Health]
    """Of all other scopes; only what is remarkable."""
    loads: Mapping[TargetKey, Load]


def in_flight(backend: Backend, fleet: Fleet) -> int:
    """Calls that run at `backend` now."""
    return sum(fleet.loads.get(replica.key, _IDLE).in_flight for replica in fleet.replicas.get(backend.id, ()))


class Entry(NamedTuple):
    """A replica that may take the attempt."""

    candidate: Candidate
    replica: Replica
    load: Load
    share: float
    probes: tuple[TargetKey, ...]


class Block(NamedTuple):
    """A target that keeps calls out. `health` None: the backend has as many calls as it may have."""

    key: TargetKey
    health: Health | None


class _Look(NamedTuple):
    """One look at the fleet for one turn; collects what keeps calls out."""

    turn: Turn
    fleet: Fleet
    now: float
    blocks: list[Block]


class _Admitted(NamedTuple):
    """How a target or a group of them takes calls."""

    share: float = 1.0
    probes: tuple[TargetKey, ...] = ()


_WELL: Final = _Admitted()


def calm(resolution: Resolution, fleet: Fleet) -> tuple[Attempt, ...]:
    """The first attempts between which nothing but load decides, until a health or a replica changes.

    Empty where more than that decides: `choose` then. It would give the same, for many times the work.
    """
    tier = resolution.tiers[0]
    share = {(candidate.weight, len(fleet.replicas.get(candidate.backend.id, ()))) for candidate in tier}
    if fleet.shared or len(share) > 1 or any(candidate.backend.max_in_flight for candidate in tier):
        return ()
    pairs = [(candidate, replica) for candidate in tier for replica in fleet.replicas.get(candidate.backend.id, ())]
    if any(fleet.healths.get(replica.key, UNOBSERVED).state is not State.HEALTHY for _, replica in pairs):
        return ()
    return tuple(Attempt(1, candidate, replica) for candidate, replica in pairs)


def among(attempts: Sequence[Attempt], fleet: Fleet, now: float, dice: Dice) -> Attempt:
    """The one of calm `attempts` that load chooses."""
    if len(attempts) == 1:
        return attempts[0]
    first, second = two_of(len(attempts), dice)
    one, other = attempts[first], attempts[second]
    cheaper = is_cheaper(fleet.loads[other.replica.key], fleet.loads[one.replica.key], now)
    return other if cheaper else one


def choose(resolution: Resolution, turn: Turn, fleet: Fleet, now: float, dice: Dice) -> Attempt | Refusal:
    """The next attempt of `turn`: the first tier that has an admitted replica, and the best of those."""
    look = _Look(turn, fleet, now, [])
    for tier in resolution.tiers:
        entries = _entries(tier, look, _replica)
        if entries:
            return _attempt(_preferred(entries, turn), turn, now, dice)
    # Better a replica that was given up than no answer: all of them lost at once says more about us than about them.
    despite = _Look(turn, fleet, now, [])
    entries = [entry for tier in resolution.tiers for entry in _entries(tier, despite, _lost_replica)]
    if entries:
        return _attempt(_preferred(entries, turn), turn, now, dice)
    return _refusal(resolution, look.blocks, now)


def _entries(
    tier: Sequence[Candidate], look: _Look, admit: Callable[[Replica, _Admitted, _Look], _Admitted | None]
) -> list[Entry]:
    entries: list[Entry] = []
    turn, fleet, _, blocks = look
    healths, loads = fleet.healths, fleet.loads
    for candidate in tier:
        backend = candidate.backend
        if turn.closed and backend.id in turn.closed:
            continue
        if backend.max_in_flight and in_flight(backend, fleet) >= backend.max_in_flight:
            blocks.append(Block(TargetKey(Scope.REPLICA, backend.id), None))
            continue
        shared = _shared(candidate, look) if fleet.shared else _WELL
        if shared is None:
            continue
        found = []
        for replica in fleet.replicas.get(backend.id, ()):
            health = healths.get(replica.key, UNOBSERVED)
            well = health.state is State.HEALTHY and replica.key not in turn.lost
            admitted = shared if well else admit(replica, shared, look)
            if admitted is not None:
                found.append((replica, admitted))
        part = candidate.weight / (len(found) or 1)
        entries += [Entry(candidate, r, loads.get(r.key, _IDLE), a.share * part, a.probes) for r, a in found]
    # A weight of 0 takes calls only when all others of its tier are out.
    if any(entry.share for entry in entries):
        return [entry for entry in entries if entry.share]
    return [entry._replace(share=1.0) for entry in entries]


def _shared(candidate: Candidate, look: _Look) -> _Admitted | None:
    share = 1.0
    probes: list[TargetKey] = []
    for key in candidate.keys:
        health = look.fleet.shared.get(key)
        if health is None:
            continue
        admission = health.admission(look.now)
        if admission is Admission.OUT:
            look.blocks.append(Block(key, health))
            return None
        if admission is Admission.PROBE:
            probes.append(key)
        share = min(share, health.share(look.now))
    return _Admitted(share, tuple(probes))


def _replica(replica: Replica, shared: _Admitted, look: _Look) -> _Admitted | None:
    key = replica.key
    if key in look.turn.lost:
        return None
    health = look.fleet.healths.get(key, UNOBSERVED)
    admission = health.admission(look.now)
    if admission is Admission.OUT:
        look.blocks.append(Block(key, health))
        return None
    probes = (*shared.probes, key) if admission is Admission.PROBE else shared.probes
    return _Admitted(min(shared.share, health.share(look.now)), probes)


def _lost_replica(replica: Replica, shared: _Admitted, look: _Look) -> _Admitted | None:
    """Admits what nobody but the transport put out."""
    health = look.fleet.healths.get(replica.key, UNOBSERVED)
    if replica.key in look.turn.lost or health.state not in (State.UNSPECIFIED, State.OPEN, State.HALF_OPEN):
        return None
    return _Admitted(shared.share, (*shared.probes, replica.key))


def _preferred(entries: list[Entry], turn: Turn) -> list[Entry]:
    """First who was not asked in this turn; then whose turn it is to be probed, unless the call failed once already."""
    if len(entries) == 1:
        return entries
    fresh = [entry for entry in entries if entry.replica.key not in turn.used] or entries
    special = [entry for entry in fresh if bool(entry.probes) is not bool(turn.tried)]
    return special or fresh


def _attempt(entries: Sequence[Entry], turn: Turn, now: float, dice: Dice) -> Attempt:
    chosen = entries[pick(entries, now, dice)]
    # No wait where something else is asked: it has nothing to recover from.
    wait_s = dice.uniform(0.0, BACKOFF_S) if chosen.candidate.backend.id in turn.again else 0.0
    return Attempt(len(turn.tried) + 1, chosen.candidate, chosen.replica, chosen.probes, wait_s)


def _refusal(resolution: Resolution, blocks: Iterable[Block], now: float) -> Refusal:
    causes: dict[Reason, list[Block]] = {}
    for block in dict.fromkeys(blocks):
        causes.setdefault(_reason(block), []).append(block)
    reason = min(causes, key=heals, default=Reason.NO_HEALTHY_BACKEND)
    told = [_told(block, now) for group in causes.values() for block in group]
    why = ", ".join(told[:_MAX_BLOCKS_TOLD]) or "it has no replicas left to try"
    times = [b.health.next_try for b in causes.get(reason, ()) if b.health and b.health.next_try is not None]
    # An account in disgrace is looked at again now and then, but that is no advice to a caller.
    lasting = reason in (Reason.QUOTA_EXHAUSTED, Reason.PROVIDER_CREDENTIALS)
    delay_s = max(0.0, min(times) - now) if times and not lasting else None
    message = f"no backend takes calls of {resolution.name!r} now: {why}"
    return Refusal(reason, message, delay_s, exhausted=not causes)


def _reason(block: Block) -> Reason:
    if block.health is None:
        return Reason.GATEWAY_OVERLOADED
    health = block.health.before or block.health
    if health.state is State.RATE_LIMITED:
        return Reason.RATE_LIMITED
    if health.state is State.DISABLED:
        return Reason.QUOTA_EXHAUSTED if health.cause is Cause.BILLING else Reason.PROVIDER_CREDENTIALS
    return Reason.NO_HEALTHY_BACKEND


def _told(block: Block, now: float) -> str:
    if block.health is None:
        return f"backend {block.key.id} has all the calls it may have"
    health = block.health
    name = f"{block.key.scope.lower().replace('_', ' ')} {block.key.id} is {health.state}"
    cause = f" ({health.cause})" if health.cause is not Cause.UNSPECIFIED else ""
    until = f" for {max(0.0, health.next_try - now):.0f} s more" if health.next_try is not None else ""
    return name + cause + until


# Outcomes. Each gives back the targets whose health is no longer the same.


def started(attempt: Attempt, fleet: Fleet, now: float) -> Changes:
    """`attempt` leaves: what it probes takes no second call until it is back."""
    return _changed([(key, _health(fleet, key, now).started(now)) for key in attempt.probes], fleet)


def is_routine(attempt: Attempt, fleet: Fleet) -> bool:
    """Whether a success of `attempt` would change nothing."""
    health = fleet.healths.get(attempt.replica.key, UNOBSERVED)
    return health.state is State.HEALTHY and not health.failures and not attempt.probes and not fleet.shared


def succeeded(attempt: Attempt, fleet: Fleet, now: float) -> Changes:
    """`attempt` got its first content."""
    keys = (attempt.replica.key, *attempt.candidate.keys) if fleet.shared else (attempt.replica.key,)
    news = []
    for key in keys:
        health = _health(fleet, key, now)
        news.append((key, health.recovered(now) if key in attempt.probes else health.succeeded()))
    return _changed(news, fleet)


def abandoned(attempt: Attempt, fleet: Fleet, now: float) -> Changes:
    """`attempt` ended without telling anything: its caller left."""
    return _changed([(key, _health(fleet, key, now).abandoned(now)) for key in attempt.probes], fleet)


def failed(attempt: Attempt, failure: Failure, fleet: Fleet, now: float, dice: Dice) -> Changes:
    """`attempt` failed: exactly the target at fault learns of it, and what was probed in vain goes back."""
    rule = classified(failure)
    replica = attempt.replica.key
    blamed: TargetKey | None = None
    if rule.scope is not None:
        blamed = replica if rule.scope is Scope.REPLICA else attempt.candidate.key(rule.scope)
    news = []
    for key in dict.fromkeys((replica, *attempt.probes)):
        health = _health(fleet, key, now)
        if key == blamed:
            continue
        if key == replica and not failure.lost:
            # Who gives a typed answer is alive.
            news.append((key, health.recovered(now) if key in attempt.probes else health.succeeded()))
        else:
            news.append((key, health.abandoned(now)))
    if blamed is not None:
        news.append((blamed, _blamed(_health(fleet, blamed, now), rule, failure, now, dice)))
    return _changed(news, fleet)


def _blamed(health: Health, rule: Rule, failure: Failure, now: float, dice: Dice) -> Health:
    if rule.effect is Effect.LIMIT:
        return health.limited(now, dice, delay_s=failure.delay_s, rule=rule.id)
    if rule.effect is Effect.DISABLE:
        return health.disabled(now, cause=rule.cause, rule=rule.id)
    if rule.effect is Effect.DRAIN:
        return health.not_serving(now, cause=rule.cause, rule=rule.id)
    return health.failed(now, dice, cause=rule.cause, rule=rule.id, weight=rule.weight)


def _stored(fleet: Fleet, key: TargetKey) -> Health:
    if key.scope is Scope.REPLICA:
        return fleet.healths.get(key, UNOBSERVED)
    return fleet.shared.get(key, _NORMAL)


def _health(fleet: Fleet, key: TargetKey, now: float) -> Health:
    return _stored(fleet, key).at(now)


def _changed(news: Iterable[tuple[TargetKey, Health]], fleet: Fleet) -> Changes:
    return {key: health for key, health in news if health is not _stored(fleet, key)}
