"""Owns the picture of the fleet that decisions are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from antiphon_router.core.budget import Throttle
from antiphon_router.core.health import UNOBSERVED, Health
from antiphon_router.core.meter import Meter
from antiphon_router.core.pace import Pace
from antiphon_router.core.quota import Quota
from antiphon_router.core.tally import Tally
from antiphon_router.core.values import Backend, Load, Replicas, Scope, TargetKey

IDLE: Final = Load()
NORMAL: Final = Health()

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
    tallies: Mapping[TargetKey, Tally] = field(default_factory=dict)
    """Of replicas, endpoints and pools in trouble."""
    paces: Mapping[TargetKey, Pace] = field(default_factory=dict)
    """Of pools."""
    throttles: Mapping[str, Throttle] = field(default_factory=dict)
    """Of providers that failed lately."""
    quotas: Mapping[TargetKey, Quota] = field(default_factory=dict)
    """Of pools whose provider has told that little is left of its limits."""
    meters: Mapping[str, Meter] = field(default_factory=dict)
    """Of backends with bounds of our own per minute, by id."""
    rekeyed: Mapping[str, float] = field(default_factory=dict)
    """When the key of a backend became another one last, by id."""


class Block(NamedTuple):
    """A target that keeps calls out. `health` None: the backend has as many calls as it may have."""

    key: TargetKey
    health: Health | None


def in_flight(backend: Backend, fleet: Fleet) -> int:
    """Calls that run at `backend` now."""
    calls, loads = 0, fleet.loads
    for replica in fleet.replicas.get(backend.id, ()):
        load = loads.get(replica.key)
        if load is not None:
            calls += load.in_flight
    return calls


def stored(fleet: Fleet, key: TargetKey) -> Health:
    """Health of any target as it was told last."""
    if key.scope is Scope.REPLICA:
        return fleet.healths.get(key, UNOBSERVED)
    return fleet.shared.get(key, NORMAL)
