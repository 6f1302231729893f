"""Owns what a simulated run consists of, drawn from its seed: backends, replicas, a route, and what goes wrong when."""

from dataclasses import dataclass, field
from random import Random

from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import AfterContent, Backend, Candidate, Hedge, Replica, RoutePolicy

OF_BACKENDS = (
    "error_500", "error_503", "overloaded", "limit", "limit_untimed", "revoked", "next_key", "forbidden", "spent",
    "brownout", "broken", "unreachable", "malformed", "flap", "timeout",
)  # fmt: skip
OF_REPLICAS = ("crash", "freeze", "slow", "drain", "bug")


@dataclass(frozen=True, slots=True)
class Trouble:
    """`kind` at the backend or replica `place`, in seconds of the run."""

    kind: str
    place: str
    begins: float
    ends: float
    delay_s: float = 0.0
    """What a rate limit tells to wait."""


@dataclass(slots=True)
class Scene:
    """One run."""

    replicas: dict[str, list[Replica]]
    resolution: Resolution
    rate: float
    """Calls per second."""
    lasts_s: float
    troubles: list[Trouble]
    ttft_s: dict[str, float]
    """Usual time to first content, by backend."""
    poison: float = 0.02
    """Part of calls that are their caller's fault."""
    too_long: float = 0.0
    bound: float = 0.15
    """Part of calls that prefer or need a state domain."""
    warm: float = 0.1
    """Part of calls that share a prompt cache."""
    leaves: float = 0.03
    """Part of calls whose caller leaves before the end."""
    backends: list[Backend] = field(default_factory=list)
    tight: float = 0.0
    """Part of answers that tell of little left of their provider's limits."""


def drawn(seed: int) -> Scene:
    """The run of `seed`."""
    dice = Random(seed)
    lasts_s = dice.uniform(15.0, 30.0)
    backends = [_backend(number, dice) for number in range(dice.randint(1, 4))]
    replicas = {b.id: [Replica(b.id, f"{b.id}:{n}") for n in range(dice.randint(1, 3))] for b in backends}
    tiers = sorted(dice.randint(0, 1) for _ in backends)
    shared_model = dice.random() < 0.7
    candidates = [
        _candidate(number, backend, "m" if shared_model else f"m{number}", tier, dice)
        for number, (backend, tier) in enumerate(zip(backends, tiers, strict=True))
    ]
    if larger := dice.random() < 0.2:
        candidates.append(Candidate(backends[-1], "large", candidates[-1].tier, long_context=True))
    levels = sorted({candidate.tier for candidate in candidates})
    resolution = Resolution(
        "route",
        tuple(tuple(c for c in candidates if c.tier == level) for level in levels),
        by_route=True,
        policy=_policy(dice),
    )
    speeds = {(b.provider, b.pool_mark): dice.uniform(0.1, 0.6) for b in backends}
    return Scene(
        replicas,
        resolution,
        rate=dice.uniform(2.5, 5.0),
        lasts_s=lasts_s,
        troubles=_troubles(backends, replicas, lasts_s, dice),
        ttft_s={b.id: speeds[b.provider, b.pool_mark] for b in backends},
        too_long=0.05 if larger else 0.01,
        backends=backends,
        tight=dice.choice((0.0, 0.0, 0.4)),
    )


def _backend(number: int, dice: Random) -> Backend:
    name = "abcd"[number]
    provider = dice.choice("pq")
    return Backend(
        name,
        provider,
        account=name if dice.random() < 0.8 else "joint",
        max_in_flight=dice.choice((0, 0, 0, 6)),
        pool_mark=f"@{name}" if dice.random() < 0.8 else "",
        relative_cost=dice.choice((0.5, 1.0)),
    )


def _candidate(number: int, backend: Backend, model: str, tier: int, dice: Random) -> Candidate:
    weight = dice.choice((1, 1, 1, 3, 0)) if number else 1
    is_canary = bool(number) and not tier and dice.random() < 0.15
    # As in a configuration: where there is a percent there is no weight.
    return Candidate(backend, model, tier, 1 if is_canary else weight, canary_percent=10.0 if is_canary else None)


def _policy(dice: Random) -> RoutePolicy:
    after = frozenset(kind for kind in (AfterContent.RESTART, AfterContent.HOLD) if dice.random() < 0.3)
    hedge = Hedge(dice.choice((None, 0.5))) if dice.random() < 0.3 else None
    return RoutePolicy(after_content=after, hedge=hedge, cheapest=dice.random() < 0.15)


def _troubles(
    backends: list[Backend], replicas: dict[str, list[Replica]], lasts_s: float, dice: Random
) -> list[Trouble]:
    places = [replica.address for own in replicas.values() for replica in own]
    found = []
    for _ in range(dice.randint(1, 6)):
        begins = dice.uniform(2.0, lasts_s)
        ends = min(lasts_s, begins + dice.uniform(1.0, 12.0))
        if dice.random() < 0.65:
            found.append(
                Trouble(dice.choice(OF_BACKENDS), dice.choice(backends).id, begins, ends, dice.uniform(0.5, 20))
            )
        else:
            found.append(Trouble(dice.choice(OF_REPLICAS), dice.choice(places), begins, ends))
    return sorted(found, key=lambda trouble: trouble.begins)
