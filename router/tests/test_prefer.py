"""Canaries, cost and warm caches before load decides; and what shares explain."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from antiphon_router.core import meter
from antiphon_router.core.admit import headroom
from antiphon_router.core.decide import choose
from antiphon_router.core.failover import NEW_TURN, Attempt, failed
from antiphon_router.core.faults import Failure, Reason
from antiphon_router.core.fleet import Fleet
from antiphon_router.core.health import Health
from antiphon_router.core.quota import Quota
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import NO_ASK, Ask, Backend, Candidate, Cause, Load, Replica, RoutePolicy, State

WELL = Health(proven=True)
NOW = 10.0
NAMES = "abcd"


def backend(name: str, **facts) -> Backend:
    return Backend(name, "p", account=name, pool_mark=f"@{name}", **facts)


def way(name: str, tier: int = 0, weight: int = 1, canary: float | None = None, **facts) -> Candidate:
    return Candidate(backend(name, **facts), "m", tier, weight, canary_percent=canary)


class World:
    def __init__(self, replicas: int = 1) -> None:
        self.replicas = {name: [Replica(name, f"{name}:{n}") for n in range(replicas)] for name in NAMES}
        self.healths = {replica.key: WELL for own in self.replicas.values() for replica in own}
        self.shared = {}
        self.loads = {}
        self.quotas = {}
        self.dice = random.Random(5)

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.replicas, self.healths, self.shared, self.loads, quotas=self.quotas)

    def shares(self, *ways: Candidate, ask: Ask = NO_ASK, times: int = 4000, turn=NEW_TURN, **policy) -> Counter[str]:
        route = Resolution("r", (ways,), policy=RoutePolicy(**policy))
        found = Counter()
        for _ in range(times):
            attempt = choose(route, turn, self.fleet, NOW, self.dice, ask=ask)
            assert isinstance(attempt, Attempt)
            found[attempt.candidate.backend.id] += 1 / times
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_a_canary_gets_exactly_its_percent_whatever_the_load(world):
    world.loads = {r.key: Load(50, 9.0, NOW) for r in world.replicas["b"]}
    found = world.shares(way("a", weight=3), way("b", canary=10.0), way("c", canary=5.0), times=20_000)
    assert found["b"] == pytest.approx(0.10, abs=0.01)
    assert found["c"] == pytest.approx(0.05, abs=0.01)


def test_a_canary_of_weight_nothing_still_gets_it(world):
    assert world.shares(way("a"), way("b", weight=0, canary=20.0))["b"] == pytest.approx(0.2, abs=0.03)


def test_a_canary_that_starts_slowly_takes_less_and_one_that_is_out_nothing(world):
    canary = way("b", canary=20.0)
    world.shared = {canary.pool: Health(State.DEGRADED, weight=0.25)}
    assert world.shares(way("a"), canary)["b"] == pytest.approx(0.05, abs=0.015)
    world.shared = {canary.pool: Health(State.RATE_LIMITED, next_try=99.0)}
    assert world.shares(way("a"), canary) == {"a": pytest.approx(1.0)}


def test_canaries_take_all_when_the_others_are_out(world):
    stable = way("a")
    world.shared = {stable.pool: Health(State.RATE_LIMITED, next_try=99.0)}
    assert world.shares(stable, way("b", canary=10.0)) == {"b": pytest.approx(1.0)}


def test_a_second_attempt_is_no_matter_of_canaries(world):
    turn = failed(NEW_TURN, Attempt(1, way("a"), world.replicas["a"][0]), Failure(Reason.QUOTA_EXHAUSTED))
    assert world.shares(way("a"), way("b", canary=1.0), turn=turn) == {"b": pytest.approx(1.0)}


def test_the_cheapest_takes_all_until_it_is_out(world):
    cheap, dear = way("a", relative_cost=0.5), way("b", relative_cost=2.0)
    assert world.shares(dear, cheap, cheapest=True) == {"a": pytest.approx(1.0)}
    world.shared = {cheap.pool: Health(State.RATE_LIMITED, next_try=99.0)}
    assert world.shares(dear, cheap, cheapest=True) == {"b": pytest.approx(1.0)}


def test_the_cheapest_takes_only_the_share_it_is_well_enough_for(world):
    cheap, dear = way("a", relative_cost=0.5, weight=2), way("b", relative_cost=2.0)
    world.shared = {cheap.pool: Health(State.DEGRADED, weight=0.3)}
    assert world.shares(dear, cheap, cheapest=True)["a"] == pytest.approx(0.3, abs=0.03)


def test_equally_cheap_ones_share(world):
    found = world.shares(way("a"), way("b"), way("c", relative_cost=9.0), cheapest=True)
    assert found["a"] == pytest.approx(0.5, abs=0.05)
    assert found["c"] == 0


def test_a_warm_cache_is_found_again_and_only_its_own_calls_move(world):
    ways = [way(name) for name in NAMES]
    homes = {key: set(world.shares(*ways, ask=Ask(cache_affinity=key), times=5)) for key in map(str, range(60))}
    assert all(len(home) == 1 for home in homes.values())
    spread = Counter(next(iter(home)) for home in homes.values())
    assert min(spread[name] for name in NAMES) >= 5
    world.healths[world.replicas["a"][0].key] = WELL.not_serving(0.0)
    for key, home in homes.items():
        moved = set(world.shares(*ways, ask=Ask(cache_affinity=key), times=5))
        assert moved == home or home == {"a"}


def test_a_warm_cache_is_not_worth_more_than_a_quarter_above_the_mean(world):
    ways = [way("a"), way("b"), way("c")]
    (home,) = world.shares(*ways, ask=Ask(cache_affinity="k"), times=5)
    for name in "abc":
        world.loads[world.replicas[name][0].key] = Load(8)
    world.loads[world.replicas[home][0].key] = Load(10)
    assert home in world.shares(*ways, ask=Ask(cache_affinity="k"), times=5)
    world.loads[world.replicas[home][0].key] = Load(14)
    assert home not in world.shares(*ways, ask=Ask(cache_affinity="k"), times=5)


def test_what_is_probed_is_not_chosen_for_its_warmth(world):
    due = way("b")
    world.shared = {due.pool: Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0)}
    for key in "123456":
        assert world.shares(way("a"), due, ask=Ask(cache_affinity=key), times=1) == {"b": 1.0}


def test_a_hard_affinity_keeps_to_its_domain_and_tells_when_there_is_none(world):
    ways = (way("a"), way("b"))
    assert world.shares(*ways, ask=Ask("b", hard=True)) == {"b": pytest.approx(1.0)}
    refusal = choose(Resolution("r", (ways,)), NEW_TURN, world.fleet, NOW, world.dice, ask=Ask("z", hard=True))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.OPAQUE_STATE_REJECTED
    assert "'z'" in refusal.message
    assert "a, b" in refusal.message
    world.shared = {ways[1].pool: Health(State.RATE_LIMITED, Cause.RATE_LIMIT, "rate", 0.0, 40.0)}
    refusal = choose(Resolution("r", (ways,)), NEW_TURN, world.fleet, NOW, world.dice, ask=Ask("b", hard=True))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.retry_after_s) == (Reason.RATE_LIMITED, 30.0)


def test_a_soft_affinity_prefers_its_domain_in_any_tier_while_that_is_in(world):
    one, two = way("a"), way("b", tier=1)
    route = Resolution("r", ((one,), (two,)))

    def chosen(domain: str) -> set[str]:
        ask = Ask(domain)
        found = [choose(route, NEW_TURN, world.fleet, NOW, world.dice, ask=ask) for _ in range(20)]
        return {each.candidate.backend.id for each in found if isinstance(each, Attempt)}

    assert chosen("b") == {"b"}
    assert chosen("z") == {"a"}
    world.shared = {two.pool: Health(State.RATE_LIMITED, next_try=99.0)}
    assert chosen("b") == {"a"}


def test_what_a_provider_says_is_left_is_the_share(world):
    tight = way("b")
    world.quotas = {tight.pool: Quota(0.25, NOW, NOW + 60.0)}
    assert world.shares(way("a"), tight)["b"] == pytest.approx(0.2, abs=0.03)
    world.quotas = {tight.pool: Quota(0.0, NOW, NOW + 60.0)}
    assert world.shares(way("a"), tight)["b"] == pytest.approx(0.05 / 1.05, abs=0.02), "some go on, to learn more"
    assert world.shares(tight) == {"b": pytest.approx(1.0)}, "better late than never"
    world.quotas = {tight.pool: Quota(0.0, NOW - 60.0, NOW)}
    assert world.shares(way("a"), tight)["b"] == pytest.approx(0.5, abs=0.03), "time has filled it up"


def test_of_what_the_provider_says_and_our_own_bounds_the_tighter_counts_once(world):
    bounded = way("b", requests_per_minute=10)
    spent = meter.Meter()
    for _ in range(7):
        meter.draw(spent, bounded.backend.bounds, 0.0, NOW)
    fleet = replace(world.fleet, meters={"b": spent})
    assert headroom(bounded, fleet, NOW) == pytest.approx(0.6)
    for left, wanted in ((0.2, 0.2), (0.8, 0.6)):
        both = replace(fleet, quotas={bounded.pool: Quota(left, NOW, NOW + 60.0)})
        assert headroom(bounded, both, NOW) == pytest.approx(wanted)
    assert headroom(way("a"), fleet, NOW) == 1.0
