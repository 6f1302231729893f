"""Who would take a call, who would not, and one sentence why."""

from dataclasses import replace

import pytest
from test_panic import DISABLED, LIMITED, NOW, OUT, ROUTE, WELL, A, B, C, World

from antiphon_router.core.decide import explain
from antiphon_router.core.health import Health
from antiphon_router.core.quota import Quota
from antiphon_router.core.refusal import why
from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import NO_ASK, Ask, Backend, Candidate, Cause, RoutePolicy, Scope, State


@pytest.fixture
def world() -> World:
    return World()


def told(world: World, route: Resolution = ROUTE, ask: Ask = NO_ASK) -> dict[str, tuple[float, str]]:
    found = explain(route, ask, world.fleet, NOW)
    return {one.replica.address if one.replica else "-": (round(one.share, 3), one.why) for one in found}


def test_in_calm_all_share(world):
    found = told(world)
    assert {share for share, _ in found.values()} == {0.167}
    assert len(found) == 6
    assert "time to first content" in found["a:1"][1]


def test_what_is_out_comes_last_and_says_why(world):
    world.shared = {A.pool: LIMITED}
    world.healths[world.replicas["b"][0].key] = WELL.not_serving(0.0)
    standings = explain(ROUTE, NO_ASK, world.fleet, NOW)
    assert [(s.replica.address, bool(s.share)) for s in standings if s.replica][-3:] == [
        ("a:1", False), ("a:2", False), ("b:1", False),
    ]  # fmt: skip
    found = {s.replica.address: s for s in standings if s.replica}
    assert found["a:1"].blocks[0].key == A.pool
    assert "pool p/m@a is RATE_LIMITED (RATE_LIMIT) for 30 s more" in found["a:1"].why
    assert "replica b:1 is DRAINING" in found["b:1"].why
    assert found["b:2"].share == pytest.approx(0.5)


def test_a_reserve_waits(world):
    found = told(world, Resolution("t", ((A,), (B,))))
    assert found["a:1"][0] == 0.5
    assert found["b:1"] == (0.0, "waits in reserve: what stands before it takes the calls")


def test_panic_a_probe_and_a_slow_start_show(world):
    world.shared = {way.key(Scope.ENDPOINT): OUT for way in (A, B, C)}
    assert "for want of better, although endpoint a is OPEN (ERRORS)" in told(world)["a:1"][1]
    world.shared = {A.pool: Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0)}
    assert told(world)["a:1"] == (0.0, "takes the next call, which finds out whether pool p/m@a is well again")
    world.shared = {A.pool: Health(State.DEGRADED, Cause.SLOW, "aimd", weight=0.5)}
    share, sentence = told(world)["a:1"]
    assert share == 0.1
    assert sentence.startswith("pool p/m@a takes 50 % of its share")


def test_a_provider_near_its_limit_is_told(world):
    quotas = {A.pool: Quota(0.25, NOW, NOW + 60.0)}
    found = {
        standing.replica.address: (standing.share, standing.why)
        for standing in explain(Resolution("r", ((A, B),)), NO_ASK, replace(world.fleet, quotas=quotas), NOW)
    }
    assert found["a:1"] == (
        pytest.approx(0.1),
        "takes 25 % of its share, because little is left of its limits per minute",
    )
    assert found["b:1"][0] == pytest.approx(0.4)


def test_all_due_share_the_next_calls(world):
    world.shared = {A.pool: Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0)}
    assert told(world, Resolution("a", ((A,),)))["a:1"][0] == 0.5


def test_routes_with_canaries_costs_and_larger_models(world):
    canary = Candidate(B.backend, "m", canary_percent=10.0)
    large = Candidate(C.backend, "large", long_context=True)
    found = told(world, Resolution("r", ((A, canary, large),)))
    assert found["a:1"][0] == 0.45
    assert found["b:1"] == (0.05, "is a canary with 10 % of calls")
    assert found["c:1"] == (0.0, "takes only calls that were too long for the others")
    dear = Candidate(Backend("b", "p", account="b", pool_mark="@b", relative_cost=2.0), "m")
    found = told(world, Resolution("r", ((A, dear),), policy=RoutePolicy(cheapest=True)))
    assert found["a:1"] == (0.5, "costs 1; the cheapest that takes calls is asked")
    assert found["b:1"][0] == 0.0


def test_affinities(world):
    found = told(world, ask=Ask(cache_affinity="k"))
    assert sorted(share for share, _ in found.values()) == [0.0] * 5 + [1.0]
    assert "cache affinity" in found["a:1"][1]
    found = told(world, ask=Ask("b"))
    assert found["b:1"][0] == 0.5
    assert found["a:1"] == (0.0, "takes none of this call, because that belongs to state domain 'b'")
    found = told(world, ask=Ask("b", hard=True))
    assert (found["b:1"][0], found["a:1"][0]) == (0.5, 0.0)


def test_nobody(world):
    world.replicas["a"] = []
    found = told(world, Resolution("a", ((A,),)))
    assert found == {"-": (0.0, "takes no calls, because no replica of it is known")}
    world.shared = {B.key(Scope.KEY): DISABLED}
    assert told(world, Resolution("b", ((B,),)))["b:1"][0] == 0.0


def test_one_sentence_for_every_state():
    key = A.pool
    assert why(key, WELL, NOW) == "pool p/m@a takes calls"
    assert why(key, LIMITED, NOW).endswith("limits the rate (RATE_LIMIT, rate); one call finds out in 30 s")
    lost = WELL.unreachable(9.0, 12.0)
    assert why(key, lost, NOW).endswith("its connection is opened again in 2 s")
    assert "takes 10 % of its share" in why(key, Health(State.SLOW_START, since=NOW), NOW)
    assert all(why(key, Health(state), NOW) for state in State)
