"""Owns the next step of a call: which replica of which backend, or why none.

Takes the fleet as the shell sees it and gives back a decision; it changes nothing itself.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from antiphon_router.core.admit import Entry, Look, admitted, entries, headroom, is_ample, ways
from antiphon_router.core.balance import is_cheaper, pick, two_of
from antiphon_router.core.budget import refusal_odds
from antiphon_router.core.explain import Standing, explain
from antiphon_router.core.failover import NEW_TURN, Attempt, Turn
from antiphon_router.core.faults import Reason
from antiphon_router.core.fleet import Fleet, in_flight, stored
from antiphon_router.core.health import UNOBSERVED
from antiphon_router.core.prefer import preferred, warm
from antiphon_router.core.refusal import refusal, wrong_domain
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import NO_ASK, Ask, Backend, Candidate, Dice, State

__all__ = [
    "Calm",
    "Fleet",
    "Standing",
    "among",
    "calm",
    "choose",
    "choose_aside",
    "choose_other",
    "explain",
    "has_other",
    "in_flight",
]

BACKOFF_S: Final = 0.1
SPARE: Final = 0.5
"""What has to be free of a bound or a limit for copies of calls: the other half is the callers'."""
_SPENT: Final = Refusal(Reason.NO_HEALTHY_BACKEND, "there is nobody left to ask in time", exhausted=True)


class Calm(NamedTuple):
    """The first attempts between which nothing but load decides, until a health or a replica changes.

    Empty where more than that decides: `choose` then. It would give the same, for many times the work.
    """

    attempts: tuple[Attempt, ...] = ()
    bounded: tuple[Backend, ...] = ()
    """Backends whose bounds decide as well, once they are near."""


def calm(resolution: Resolution, fleet: Fleet) -> Calm:
    """What is calm on the way of `resolution`."""
    tier = [candidate for candidate in resolution.tiers[0] if not candidate.long_context]
    share = {(candidate.weight, len(fleet.replicas.get(candidate.backend.id, ()))) for candidate in tier}
    if len(share) != 1 or resolution.policy.cheapest or not all(_is_plain(candidate, fleet) for candidate in tier):
        return Calm()
    pairs = [(candidate, replica) for candidate in tier for replica in fleet.replicas.get(candidate.backend.id, ())]
    if any(fleet.healths.get(replica.key, UNOBSERVED).state is not State.HEALTHY for _, replica in pairs):
        return Calm()
    bounded = {c.backend.id: c.backend for c in tier if c.backend.max_in_flight or c.backend.bounds is not None}
    return Calm(tuple(Attempt(1, candidate, replica) for candidate, replica in pairs), tuple(bounded.values()))


def _is_plain(candidate: Candidate, fleet: Fleet) -> bool:
    return (
        candidate.canary_percent is None
        and candidate.pool not in fleet.quotas
        and all(stored(fleet, key).state is State.HEALTHY for key in candidate.keys)
    )


def among(calm: Calm, fleet: Fleet, now: float, dice: Dice) -> Attempt | None:
    """The one that load chooses; None: a bound is near, or nothing is calm."""
    attempts = calm.attempts
    if not attempts:
        return None
    for backend in calm.bounded:
        if not is_ample(backend, fleet, now):
            return None
    if len(attempts) == 1:
        return attempts[0]
    first, second = two_of(len(attempts), dice)
    one, other = attempts[first], attempts[second]
    cheaper = is_cheaper(fleet.loads[other.replica.key], fleet.loads[one.replica.key], now)
    return other if cheaper else one


def choose(
    resolution: Resolution,
    turn: Turn,
    fleet: Fleet,
    now: float,
    dice: Dice,
    *,
    ask: Ask = NO_ASK,
    left_s: float = math.inf,
) -> Attempt | Refusal:
    """The next attempt of `turn`: the first tier that has an admitted replica, and the best of those.

    `left_s`: until the deadline; a second attempt that would likely miss it is not made.
    """
    tiers = ways(resolution, ask)
    if ask.hard and not any(tiers):
        known = (candidate.backend.account for tier in resolution.tiers for candidate in tier)
        return wrong_domain(resolution.name, ask.affinity, known)
    look = Look(turn, fleet, now, [])
    found = admitted(tiers, look, "" if ask.hard else ask.affinity)
    if not found:
        return refusal(resolution.name, look.blocks, now)
    if turn.walking is not None and (again := _again(found, turn.walking)) is not None:
        return _attempt(again, turn, 0.0)
    if turn.tried:
        found = [entry for entry in found if _is_worth(entry, fleet, now, dice, ask=ask, left_s=left_s)]
        if not found:
            return _SPENT
    best = preferred(found, turn, dice, cheapest=resolution.policy.cheapest)
    # What is probed is not chosen for its warmth.
    place = warm(best, ask.cache_affinity) if ask.cache_affinity and not best[0].probes else pick(best, now, dice)
    chosen = best[place]
    # No wait where something else is asked: it has nothing to recover from.
    wait_s = dice.uniform(0.0, BACKOFF_S) if chosen.candidate.backend.id in turn.again else 0.0
    return _attempt(chosen, turn, wait_s)


def _again(found: Sequence[Entry], walking: Attempt) -> Entry | None:
    same = (e for e in found if e.replica == walking.replica and e.candidate == walking.candidate)
    return next(same, None)


def _is_worth(entry: Entry, fleet: Fleet, now: float, dice: Dice, *, ask: Ask, left_s: float) -> bool:
    """Whether a second attempt there may come in time and is not held back because its provider fails most calls."""
    candidate = entry.candidate
    pace = fleet.paces.get(candidate.pool)
    if pace is not None and (likely_s := pace.expected_s(pace.p50_s, ask.size)) is not None and left_s < likely_s:
        return False
    throttle = fleet.throttles.get(candidate.backend.provider)
    return throttle is None or dice.random() >= refusal_odds(throttle, now)


def _attempt(chosen: Entry, turn: Turn, wait_s: float) -> Attempt:
    return Attempt(len(turn.tried) + 1, chosen.candidate, chosen.replica, chosen.probes, wait_s, chosen.rescues)


def choose_other(
    resolution: Resolution,
    turn: Turn,
    fleet: Fleet,
    now: float,
    dice: Dice,
    *,
    beside: Attempt,
    ask: Ask = NO_ASK,
    left_s: float = math.inf,
) -> Attempt | None:
    """A hedge of `beside`, which runs: on another backend, else another replica; None: nobody is well enough for that.

    Its number is one that no attempt of the turn has had. It probes nothing, and does not go to a pool that is slow.
    """
    pool = beside.candidate.pool
    slow = stored(fleet, pool).state is not State.HEALTHY
    look = Look(turn, fleet, now, [])
    for tier in ways(resolution, ask):
        found = [
            entry
            for entry in entries(tier, look)
            if entry.replica.key not in (beside.replica.key, *turn.used)
            and not entry.probes
            and not (slow and entry.candidate.pool == pool)
            and _is_worth(entry, fleet, now, dice, ask=ask, left_s=left_s)
        ]
        found = [entry for entry in found if entry.candidate.backend.id != beside.candidate.backend.id] or found
        if found:
            number = max(beside.number, len(turn.tried) + 1) + 1
            return _attempt(found[pick(found, now, dice)], turn, 0.0)._replace(number=number)
    return None


def choose_aside(candidate: Candidate, fleet: Fleet, now: float, dice: Dice) -> Attempt | None:
    """Where a copy of a call may go; None: nowhere. Only where all is well, so it probes nothing, and with room."""
    backend = candidate.backend
    if backend.max_in_flight and in_flight(backend, fleet) + 1 > SPARE * backend.max_in_flight:
        return None
    if not is_ample(backend, fleet, now) or headroom(candidate, fleet, now) < SPARE:
        return None
    found = [
        entry
        for entry in entries((candidate,), Look(NEW_TURN, fleet, now, []))
        if all(stored(fleet, key).at(now).state is State.HEALTHY for key in (entry.replica.key, *candidate.keys))
    ]
    return _attempt(found[pick(found, now, dice)], NEW_TURN, 0.0) if found else None


def has_other(
    resolution: Resolution, turn: Turn, fleet: Fleet, now: float, *, beside: Attempt, ask: Ask = NO_ASK
) -> bool:
    """Whether another backend could take the call if `beside`, which runs, failed."""
    look = Look(turn, fleet, now, [])
    own = beside.candidate.backend.id
    return any(entry.candidate.backend.id != own for tier in ways(resolution, ask) for entry in admitted([tier], look))
