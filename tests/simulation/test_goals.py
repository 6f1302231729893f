"""What the router promises in figures, in runs made for it. Shares and times are of virtual time."""

import logging
from collections import Counter

import pytest
from scenery import Scene, Trouble
from simulated_router import Simulation
from upstreams import FLAP_S

from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import Backend, Candidate, Replica, State, TargetKey


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def suite(backends: int, *troubles: Trouble, replicas: int = 1, rate: float = 100.0, tiers: bool = False) -> Simulation:
    """`backends` alike, of accounts of their own; in tiers, one each, if asked for."""
    own = [Backend(name, "p", account=name, pool_mark=f"@{name}") for name in "abc"[:backends]]
    ways = tuple(Candidate(backend, "m", tier if tiers else 0) for tier, backend in enumerate(own))
    route = Resolution("route", tuple((way,) for way in ways) if tiers else (ways,), by_route=True)
    scene = Scene(
        {backend.id: [Replica(backend.id, f"{backend.id}:{n}") for n in range(replicas)] for backend in own},
        route,
        rate,
        0.0,
        list(troubles),
        {backend.id: 0.3 for backend in own},
        poison=0.0,
        leaves=0.0,
        bound=0.0,
        warm=0.0,
        backends=own,
    )
    return Simulation(7, scene)


def shares(run: Simulation, begin: float, end: float) -> Counter[str]:
    """Attempts by replica in [begin, end), as parts of all."""
    count = Counter(replica for at, _, replica, _ in run.begun if begin <= at < end)
    return Counter({replica: times / count.total() for replica, times in count.items()})


@pytest.mark.parametrize(("backends", "replicas", "place"), [(3, 1, "a"), (1, 3, "a:0")])
def test_a_brownout_of_one_of_three_loses_its_share_and_gets_it_back(backends, replicas, place):
    kind = "brownout" if backends == 3 else "slow"
    run = suite(backends, Trouble(kind, place, 20.0, 60.0), replicas=replicas)
    run.calls_until(130.0, 50.0)
    sick = "a:0"
    before, during, after = shares(run, 5, 20), shares(run, 30, 60), shares(run, 120, 130)
    assert before[sick] == pytest.approx(1 / 3, abs=0.06)
    assert during[sick] <= 0.15
    assert after[sick] == pytest.approx(1 / 3, rel=0.1)
    key = run.scene.resolution.tiers[0][0].pool if backends == 3 else run.scene.replicas["a"][0].key
    assert run.roster.health_of(key).state is State.HEALTHY


def test_a_brownout_shows_as_degraded_while_it_lasts_and_of_one_replica_it_is_no_trouble_of_the_pool():
    run = suite(1, Trouble("slow", "a:0", 20.0, 60.0), replicas=3)
    run.calls_until(40.0, 50.0)
    (way,) = run.scene.resolution.tiers[0]
    assert run.roster.health_of(run.scene.replicas["a"][0].key).state is State.DEGRADED
    assert run.roster.health_of(way.pool).state is State.HEALTHY


def test_a_fast_429_gets_no_traffic():
    run = suite(3, Trouble("limit", "a", 10.0, 70.0, 5.0))
    run.calls_until(70.0, 50.0)
    first = next(at for at, served in run.ended if at > 10.0)
    assert shares(run, first + 1.0, 70.0)["a:0"] <= 0.01
    assert all(served for _, served in run.ended)


def test_a_fast_503_gets_no_traffic():
    run = suite(3, Trouble("error_503", "a", 10.0, 70.0))
    run.calls_until(70.0, 50.0)
    assert shares(run, 11.0, 70.0)["a:0"] <= 0.01
    assert all(served for _, served in run.ended)


@pytest.mark.parametrize("seed", range(5))
def test_a_primary_that_flaps_gets_at_most_four_probes_in_a_minute(seed):
    run = suite(2, Trouble("flap", "a", 10.0, 70.0), rate=50.0, tiers=True)
    run.dice.seed(seed)
    run.calls_until(70.0, 50.0)
    assert sum(probe for _, backend, _, probe in run.begun if backend == "a") <= 4
    down = [at for at, backend, _, _ in run.begun if backend == "a" and at > 10.0 and not int((at - 10.0) / FLAP_S) % 2]
    assert len(down) <= 0.1 * sum(at > 10.0 for at, _ in run.ended)
    assert all(served for _, served in run.ended)


def test_a_primary_that_is_down_gets_nothing_but_probes():
    run = suite(2, Trouble("error_503", "a", 10.0, 70.0), rate=50.0, tiers=True)
    run.calls_until(70.0, 50.0)
    asked = [probe for at, backend, _, probe in run.begun if backend == "a" and at > 11.0]
    assert all(asked)
    assert len(asked) <= 7
    assert all(served for _, served in run.ended)


def test_an_outage_of_everything_is_not_multiplied_and_over_soon():
    run = suite(3, *(Trouble("error_503", name, 20.0, 80.0) for name in "abc"), rate=50.0)
    run.calls_until(20.0, 50.0)
    before = len(run.begun)
    run.calls_until(80.0, 50.0)
    calls = sum(20.0 <= at < 80.0 for at, _ in run.ended)
    assert len(run.begun) - before <= 1.1 * calls + 3 * 60 + 31
    assert len(run.begun) - before >= calls, "in panic every call is tried"
    run.calls_until(100.0, 50.0)
    good = [served for at, served in run.ended if at >= 90.0]
    assert sum(good) >= 0.95 * len(good)
    states = [run.roster.health_of(TargetKey("ENDPOINT", name)).state for name in "abc"]  # type: ignore[arg-type]
    assert all(state in (State.HEALTHY, State.SLOW_START) for state in states)


def test_panic_is_left_within_two_seconds_of_the_first_success():
    run = suite(3, *(Trouble("error_503", name, 20.0, 30.0) for name in "abc"), rate=100.0)
    run.calls_until(60.0, 50.0)
    first = min(at for at, _, _ in run.served if at > 30.0)
    late = [served for at, served in run.ended if at > first + 2.0]
    assert all(late)


def test_a_revoked_key_costs_no_caller_anything_and_is_tried_once():
    run = suite(3, Trouble("revoked", "a", 10.0, 70.0))
    run.calls_until(70.0, 50.0)
    assert all(served for _, served in run.ended)
    refused = [at for at, backend, _, _ in run.begun if backend == "a" and at > 10.5]
    assert len(refused) <= 1
    assert run.roster.health_of(TargetKey("KEY", "b")).state is State.HEALTHY  # type: ignore[arg-type]


def test_a_key_with_a_successor_costs_nothing_and_changes_nothing():
    run = suite(1, Trouble("next_key", "a", 10.0, 70.0))
    run.calls_until(70.0, 50.0)
    assert all(served for _, served in run.ended)
    assert not run.roster.fleet.shared


def test_poison_changes_no_health():
    run = suite(2)
    run.scene.poison = 0.5
    run.calls_until(30.0, 50.0)
    assert not run.roster.fleet.shared
    assert not run.roster.fleet.throttles
    assert all(health.state is State.HEALTHY and not health.failures for health in run.roster.fleet.healths.values())
