"""Owns the answer to who would take a call now and why, and who would not. The same rules as the decision itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon_router.core.admit import Entry, Look, admitted, entries, headroom, ways
from antiphon_router.core.failover import NEW_TURN
from antiphon_router.core.fleet import Block, Fleet, stored
from antiphon_router.core.prefer import warm
from antiphon_router.core.refusal import told, why
from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import Ask, Candidate, Replica, State

__all__ = ["Standing", "explain", "why"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One replica of one way to serve a call. `share`: of first attempts, before load moves it; 0: takes none now."""

    candidate: Candidate
    replica: Replica | None
    share: float
    blocks: tuple[Block, ...]
    why: str


def explain(resolution: Resolution, ask: Ask, fleet: Fleet, now: float) -> list[Standing]:
    """Every way to serve a call, in the order in which they would be tried now."""
    tiers = ways(resolution, ask)
    found = list(admitted(tiers, Look(NEW_TURN, fleet, now, []), "" if ask.hard else ask.affinity))
    shares = _shares(found, resolution, ask)
    standings = []
    for tier in resolution.tiers:
        for candidate in tier:
            standings += _standings(candidate, found, shares, _View(resolution, ask, fleet, now))
    return sorted(standings, key=lambda one: (not one.share, bool(one.blocks), one.candidate.tier, -one.share))


@dataclass(frozen=True, slots=True)
class _View:
    resolution: Resolution
    ask: Ask
    fleet: Fleet
    now: float


def _shares(found: Sequence[Entry], resolution: Resolution, ask: Ask) -> list[float]:
    """What part of first attempts each entry gets, load aside."""
    if not found:
        return []
    if ask.cache_affinity:
        chosen = warm(found, ask.cache_affinity)
        return [float(place == chosen) for place in range(len(found))]
    # A target that is due takes one call and then waits for its answer: no share to speak of.
    parts = [0.0 if entry.probes else entry.share for entry in found]
    canary = [entry.candidate.canary_percent for entry in found]
    if resolution.policy.cheapest:
        least = min(entry.candidate.backend.relative_cost for entry in found)
        parts = [p * (e.candidate.backend.relative_cost == least) for p, e in zip(parts, found, strict=True)]
    elif any(percent is not None for percent in canary) and None in canary:
        taken = sum(part * (percent or 0.0) for part, percent in zip(parts, canary, strict=True)) / 100.0
        rest = sum(part for part, percent in zip(parts, canary, strict=True) if percent is None)
        return [
            part * percent / 100.0 if percent is not None else part / (rest or 1.0) * max(0.0, 1.0 - taken)
            for part, percent in zip(parts, canary, strict=True)
        ]
    whole = sum(parts)
    return [part / whole if whole else 1.0 / len(parts) for part in parts]


def _standings(candidate: Candidate, found: Sequence[Entry], shares: Sequence[float], view: _View) -> list[Standing]:
    fleet, now = view.fleet, view.now
    places = {entry.replica.key: place for place, entry in enumerate(found) if entry.candidate is candidate}
    look = Look(NEW_TURN, fleet, now, [])
    able = {entry.replica.key: entry for entry in entries((candidate,), look)}
    replicas = fleet.replicas.get(candidate.backend.id, ())
    general = tuple(block for block in look.blocks if block.key not in {replica.key for replica in replicas})
    if not replicas:
        return [Standing(candidate, None, 0.0, general, "takes no calls, because no replica of it is known")]
    standings = []
    for replica in replicas:
        own = tuple(block for block in look.blocks if block.key == replica.key)
        blocks = () if replica.key in able else (*general, *own)
        place = places.get(replica.key)
        share = shares[place] if place is not None else 0.0
        said = _why(candidate, replica, found[place] if place is not None else None, blocks, view)
        standings.append(Standing(candidate, replica, share, blocks, said))
    return standings


def _why(candidate: Candidate, replica: Replica, entry: Entry | None, blocks: Sequence[Block], view: _View) -> str:
    if entry is not None and entry.rescues:
        return f"takes calls for want of better, although {_listed(blocks, view.now)}"
    if blocks:
        return f"takes no calls, because {_listed(blocks, view.now)}"
    ask = view.ask
    if candidate.long_context:
        return "takes only calls that were too long for the others"
    if ask.affinity and candidate.backend.account != ask.affinity and (ask.hard or entry is None):
        return f"takes none of this call, because that belongs to state domain {ask.affinity!r}"
    if entry is None:
        return "waits in reserve: what stands before it takes the calls"
    if entry.probes:
        return f"takes the next call, which finds out whether {_keys(entry)} is well again"
    if ask.cache_affinity:
        return "shares calls of one cache affinity out, each to one replica"
    if candidate.canary_percent is not None:
        return f"is a canary with {candidate.canary_percent:g} % of calls"
    if view.resolution.policy.cheapest:
        return f"costs {candidate.backend.relative_cost:g}; the cheapest that takes calls is asked"
    lesser = [
        why(key, health, view.now)
        for key in (replica.key, *candidate.keys)
        if (health := stored(view.fleet, key).at(view.now)).state in (State.DEGRADED, State.SLOW_START)
    ]
    if not lesser and (left := headroom(candidate, view.fleet, view.now)) < 1.0:
        return f"takes {100 * left:.0f} % of its share, because little is left of its limits per minute"
    return lesser[0] if lesser else "takes calls; running calls and time to first content decide among equals"


def _listed(blocks: Sequence[Block], now: float) -> str:
    return " and ".join(told(block, now) for block in dict.fromkeys(blocks))


def _keys(entry: Entry) -> str:
    return " and ".join(f"{key.scope.lower().replace('_', ' ')} {key.id}" for key in entry.probes)
