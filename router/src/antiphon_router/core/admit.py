"""Owns who may take an attempt at all, with what share; and what keeps the others out.

    WELL         what takes calls, and what is due for its one probe
    PANIC        besides, what failures of calls have put out: most of a tier at once says little about each of them
    LAST_RESORT  besides, replicas whose health stream is lost

Never, whatever happens: what a provider limits or refuses, and what drains.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from antiphon_router.core import meter, quota
from antiphon_router.core.failover import Turn
from antiphon_router.core.fleet import IDLE, NORMAL, Block, Fleet, in_flight
from antiphon_router.core.health import UNOBSERVED, Admission, Health
from antiphon_router.core.meter import NEW, Bounds, estimate, wait
from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import Ask, Backend, Candidate, Cause, Load, Replica, Scope, State, TargetKey

PANIC_SHARE: Final = 0.05
"""What a target in panic gets beside one that is well."""
OWN_BOUND: Final = "own_bound"
_LOST: Final = frozenset({State.UNSPECIFIED, State.OPEN, State.HALF_OPEN})


Tiers = Sequence[Sequence[Candidate]]


class Mode(IntEnum):
    """How far one goes."""

    WELL = 0
    PANIC = 1
    LAST_RESORT = 2


class Entry(NamedTuple):
    """A replica that may take the attempt."""

    candidate: Candidate
    replica: Replica
    load: Load
    share: float
    probes: tuple[TargetKey, ...]
    rescues: tuple[TargetKey, ...] = ()


class Look(NamedTuple):
    """One look at the fleet for one turn; collects what keeps calls out."""

    turn: Turn
    fleet: Fleet
    now: float
    blocks: list[Block]
    mode: Mode = Mode.WELL


class _Admitted(NamedTuple):
    """How a target or a group of them takes calls."""

    share: float = 1.0
    probes: tuple[TargetKey, ...] = ()
    rescues: tuple[TargetKey, ...] = ()


_WELL: Final = _Admitted()


def entries(tier: Sequence[Candidate], look: Look) -> list[Entry]:
    """The replicas of `tier` that may take the attempt."""
    found: list[Entry] = []
    turn, fleet = look.turn, look.fleet
    for candidate in tier:
        backend = candidate.backend
        if (turn.closed and backend.id in turn.closed) or candidate.long_context is not turn.larger:
            continue
        if backend.max_in_flight and in_flight(backend, fleet) >= backend.max_in_flight:
            look.blocks.append(Block(TargetKey(Scope.REPLICA, backend.id), None))
            continue
        if backend.bounds is not None and (spent := _spent(backend, backend.bounds, look)) is not None:
            look.blocks.append(spent)
            continue
        shared = _shared(candidate, look) if fleet.shared else _WELL
        if shared is None:
            continue
        if fleet.quotas or backend.bounds is not None:
            # Who has more left gets more, so that none runs dry while another is idle.
            shared = shared._replace(share=shared.share * headroom(candidate, fleet, look.now))
        found += _of_candidate(candidate, shared, look)
    # A weight of 0 takes calls only when all others of its tier are out.
    if any(entry.share for entry in found):
        return [entry for entry in found if entry.share]
    return [entry._replace(share=1.0) for entry in found]


def headroom(candidate: Candidate, fleet: Fleet, now: float) -> float:
    """What is left of the limits there, above 0 and at most 1: by our own bounds or by the provider's word."""
    told, own = fleet.quotas.get(candidate.pool), _own_headroom(candidate.backend, fleet, now)
    return own if told is None else min(own, quota.headroom(told, now))


def _own_headroom(backend: Backend, fleet: Fleet, now: float) -> float:
    if backend.bounds is None:
        return 1.0
    return meter.headroom(fleet.meters.get(backend.id, NEW), backend.bounds, now)


def is_ample(backend: Backend, fleet: Fleet, now: float) -> bool:
    """Whether there is so much room at `backend` that its bounds decide nothing."""
    if backend.max_in_flight and in_flight(backend, fleet) >= backend.max_in_flight:
        return False
    return _own_headroom(backend, fleet, now) == 1.0


def _spent(backend: Backend, bounds: Bounds, look: Look) -> Block | None:
    """What our own bounds say: as if the provider limited the rate, before it does."""
    known = look.fleet.meters.get(backend.id, NEW)
    waits = wait(known, bounds, estimate(known, 0), look.now)
    if waits is None:
        return None
    limited = Health(State.RATE_LIMITED, Cause.RATE_LIMIT, OWN_BOUND, look.now, look.now + waits.seconds)
    return Block(TargetKey(Scope.KEY, backend.id), limited)


def ways(resolution: Resolution, ask: Ask) -> Tiers:
    """The ways that may serve the call at all."""
    if not ask.hard:
        return resolution.tiers
    return [[c for c in tier if c.backend.account == ask.affinity] for tier in resolution.tiers]


def admitted(tiers: Tiers, look: Look, domain: str = "") -> Sequence[Entry]:
    """Who may take the attempt: of the first tier that has anybody, or, if `domain` is given, of that state domain."""
    first: Sequence[Entry] = ()
    at = 0
    for place, tier in enumerate(tiers):
        well = entries(tier, look)
        own = [entry for entry in well if entry.candidate.backend.account == domain] if domain else []
        if own:
            return own
        if well and not first:
            first, at = well, place
            if not domain and not _has_ejected(look):
                return first
    panicking = look._replace(mode=Mode.PANIC, blocks=[])
    if first:
        # With another tier to fall back on, what is well goes on alone.
        later = any(entries(tier, panicking._replace(mode=Mode.WELL)) for tier in tiers[at + 1 :])
        everyone = entries(tiers[at], panicking) if _has_ejected(look) and not later else first
        return everyone if _is_panic(first, everyone) else first
    for tier in tiers:
        if everyone := entries(tier, panicking):
            return everyone
    # Better a replica that was given up than no answer: all of them lost at once says more about us than about them.
    resort = look._replace(mode=Mode.LAST_RESORT, blocks=[])
    return [entry for tier in tiers for entry in entries(tier, resort)]


def _has_ejected(look: Look) -> bool:
    return any(block.health is not None and block.health.ejected for block in look.blocks)


def _is_panic(well: Sequence[Entry], everyone: Sequence[Entry]) -> bool:
    """Whether less than half of `everyone`, each candidate counted once, is `well`."""
    whole: dict[int, int] = {}
    for entry in everyone:
        whole[id(entry.candidate)] = whole.get(id(entry.candidate), 0) + 1
    eligible = sum(1.0 / whole.get(id(entry.candidate), 1) for entry in well)
    return eligible < 0.5 * len(whole) - 1e-9


def _of_candidate(candidate: Candidate, shared: _Admitted, look: Look) -> list[Entry]:
    fleet, lost = look.fleet, look.turn.lost
    found = []
    for replica in fleet.replicas.get(candidate.backend.id, ()):
        health = fleet.healths.get(replica.key, UNOBSERVED)
        if replica.key in lost:
            continue
        admitted = shared if health.state is State.HEALTHY else _with(replica.key, health, shared, look)
        if admitted is not None:
            found.append((replica, admitted))
    # A canary's part is its percent.
    weight = candidate.weight if candidate.canary_percent is None else 1
    part = weight / (len(found) or 1)
    loads = fleet.loads
    return [Entry(candidate, r, loads.get(r.key, IDLE), a.share * part, a.probes, a.rescues) for r, a in found]


def _shared(candidate: Candidate, look: Look) -> _Admitted | None:
    admitted: _Admitted | None = _WELL
    for key in candidate.keys:
        health = look.fleet.shared.get(key, NORMAL)
        if health is not NORMAL and admitted is not None:
            admitted = _with(key, health, admitted, look)
    return admitted


def _with(key: TargetKey, health: Health, others: _Admitted, look: Look) -> _Admitted | None:
    """`others` and one target more; None: it keeps calls out."""
    admission = health.admission(look.now)
    if admission is Admission.IN:
        return others._replace(share=min(others.share, health.share(look.now)))
    if admission is Admission.PROBE:
        return others._replace(probes=(*others.probes, key))
    look.blocks.append(Block(key, health))
    ignored = (look.mode >= Mode.PANIC and health.ejected) or (
        look.mode is Mode.LAST_RESORT and key.scope is Scope.REPLICA and _is_lost(health)
    )
    if not ignored:
        return None
    # While its probe is out, that alone tells about it.
    rescues = others.rescues if health.state is State.HALF_OPEN else (*others.rescues, key)
    return others._replace(share=min(others.share, PANIC_SHARE), rescues=rescues)


def _is_lost(health: Health) -> bool:
    was = health.before or health
    return was.state in _LOST
