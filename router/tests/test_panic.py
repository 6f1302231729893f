"""When most of a tier is out for failures of calls, that is not heeded; and hedges, which want the opposite."""

import random
from collections import Counter

import pytest

from antiphon_router.core import decide
from antiphon_router.core.budget import Throttle, throttled
from antiphon_router.core.decide import choose, choose_other, has_other
from antiphon_router.core.failover import NEW_TURN, Attempt, failed
from antiphon_router.core.faults import Failure, Reason
from antiphon_router.core.fleet import Fleet
from antiphon_router.core.health import Health
from antiphon_router.core.pace import Pace
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import Ask, Backend, Candidate, Cause, Replica, Scope, State

WELL = Health(proven=True)
OUT = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 50.0)
DISABLED = Health(State.DISABLED, Cause.AUTH, "auth", 0.0, 300.0)
LIMITED = Health(State.RATE_LIMITED, Cause.RATE_LIMIT, "rate", 0.0, 40.0)
NOW = 10.0
WAYS = [Candidate(Backend(name, "p", account=name, pool_mark=f"@{name}"), "m") for name in "abc"]
A, B, C = WAYS
ROUTE = Resolution("r", (tuple(WAYS),))


class World:
    def __init__(self) -> None:
        self.replicas = {name: [Replica(name, f"{name}:1"), Replica(name, f"{name}:2")] for name in "abc"}
        self.healths = {replica.key: WELL for own in self.replicas.values() for replica in own}
        self.shared, self.paces, self.throttles = {}, {}, {}
        self.dice = random.Random(5)

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.replicas, self.healths, self.shared, {}, paces=self.paces, throttles=self.throttles)

    def chosen(self, route: Resolution = ROUTE, turn=NEW_TURN, times: int = 400, **asked) -> Counter[str]:
        found = [choose(route, turn, self.fleet, NOW, self.dice, **asked) for _ in range(times)]
        return Counter(each.candidate.backend.id if isinstance(each, Attempt) else "" for each in found)


@pytest.fixture
def world() -> World:
    return World()


def test_while_half_is_well_what_is_out_stays_out(world):
    world.shared = {A.key(Scope.ENDPOINT): OUT}
    assert set(world.chosen()) == {"b", "c"}


def test_with_most_of_it_out_all_are_tried_and_the_well_one_still_takes_nearly_all(world):
    world.shared = {A.key(Scope.ENDPOINT): OUT, B.pool: OUT}
    found = world.chosen(times=2000)
    assert set(found) == {"a", "b", "c"}
    assert found["c"] > 1700


def test_with_all_of_it_out_all_are_tried_alike_and_a_success_is_a_rescue(world):
    world.shared = {way.key(Scope.ENDPOINT): OUT for way in WAYS}
    found = world.chosen(times=900)
    assert min(found[name] for name in "abc") > 200
    attempt = choose(ROUTE, NEW_TURN, world.fleet, NOW, world.dice)
    assert isinstance(attempt, Attempt)
    assert (attempt.probes, attempt.rescues) == ((), (attempt.candidate.key(Scope.ENDPOINT),))


@pytest.mark.parametrize("other", [DISABLED, LIMITED, DISABLED.started(300.0), LIMITED.started(40.0)])
def test_never_onto_what_is_refused_or_limited(world, other):
    world.shared = {A.key(Scope.ENDPOINT): OUT, B.key(Scope.KEY): other, C.pool: other}
    assert set(world.chosen()) == {"a"}
    world.shared[A.key(Scope.KEY)] = other
    assert set(world.chosen()) == {""}


def test_what_is_refused_does_not_make_a_panic(world):
    world.shared = {A.key(Scope.ENDPOINT): OUT, B.key(Scope.KEY): DISABLED}
    assert set(world.chosen()) == {"c"}, "one of two is half"


def test_a_later_tier_that_is_well_spares_the_panic(world):
    tiers = Resolution("t", ((A, B), (C,)))
    world.shared = {A.key(Scope.ENDPOINT): OUT, B.key(Scope.ENDPOINT): OUT}
    assert set(world.chosen(tiers)) == {"c"}
    tiers = Resolution("t", (tuple(WAYS), (Candidate(C.backend, "n", 1),)))
    assert set(world.chosen(tiers)) == {"c"}
    world.shared[C.key(Scope.ENDPOINT)] = OUT
    assert set(world.chosen(tiers)) == {"a", "b", "c"}


def test_while_its_probe_is_out_a_target_in_panic_is_tried_and_nothing_else_concluded(world):
    probing = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0).started(6.0)
    world.shared = {way.key(Scope.ENDPOINT): probing for way in WAYS}
    attempt = choose(ROUTE, NEW_TURN, world.fleet, NOW, world.dice)
    assert isinstance(attempt, Attempt)
    assert (attempt.probes, attempt.rescues) == ((), ())


def test_lost_replicas_are_no_reason_for_panic_and_the_last_resort(world):
    lost = WELL.unreachable(5.0, 6.0)
    for name in "ab":
        for replica in world.replicas[name]:
            world.healths[replica.key] = lost
    assert set(world.chosen()) == {"c"}
    for replica in world.replicas["c"]:
        world.healths[replica.key] = lost
    assert set(world.chosen()) == {"a", "b", "c"}


# Second attempts.

ON_A = Attempt(1, A, Replica("a", "a:1"))


def test_the_next_key_is_tried_by_the_same_process(world):
    refused = Failure(Reason.PROVIDER_CREDENTIALS, retry_same=True, retry_other=True)
    turn = failed(NEW_TURN, ON_A, refused)
    found = {choose(ROUTE, turn, world.fleet, NOW, world.dice) for _ in range(50)}
    assert {(each.replica, each.number, each.wait_s) for each in found} == {(ON_A.replica, 2, 0.0)}
    world.healths[ON_A.replica.key] = WELL.not_serving(0.0)
    elsewhere = choose(ROUTE, turn, world.fleet, NOW, world.dice)
    assert isinstance(elsewhere, Attempt)


def test_too_long_a_request_goes_to_the_larger_model_which_takes_nothing_else(world):
    large = Candidate(C.backend, "large", long_context=True)
    route = Resolution("r", ((A, large),))
    assert set(world.chosen(route)) == {"a"}
    turn = failed(NEW_TURN, ON_A, Failure(Reason.CONTEXT_LENGTH_EXCEEDED))
    found = choose(route, turn, world.fleet, NOW, world.dice)
    assert isinstance(found, Attempt)
    assert found.candidate is large
    assert decide.calm(route, world.fleet).attempts == tuple(Attempt(1, A, replica) for replica in world.replicas["a"])
    assert decide.calm(Resolution("r", ((large,),)), world.fleet) == decide.Calm()
    assert route.has_larger
    assert not ROUTE.has_larger


def paced(median_s: float) -> Pace:
    pace = Pace()
    for _ in range(32):
        pace.observed(median_s, 0, 0.0)
    return pace


def test_no_second_attempt_that_would_likely_miss_the_deadline(world):
    world.paces = {B.pool: paced(5.0), C.pool: paced(0.5)}
    turn = failed(NEW_TURN, ON_A, Failure(Reason.QUOTA_EXHAUSTED, retry_other=True))
    assert set(world.chosen(turn=turn, left_s=1.0)) == {"c"}
    assert set(world.chosen(turn=turn, left_s=9.0)) == {"b", "c"}
    refusal = choose(ROUTE, turn, world.fleet, NOW, world.dice, left_s=0.2)
    assert isinstance(refusal, Refusal)
    assert refusal.exhausted
    assert "a" in world.chosen(left_s=0.2), "a first attempt is the caller's own risk"


def test_second_attempts_at_a_provider_that_fails_are_held_back(world):
    world.throttles = {"p": throttled(Throttle(), NOW, started=500, failed=500)}
    turn = failed(NEW_TURN, ON_A, Failure(Reason.QUOTA_EXHAUSTED, retry_other=True))
    assert world.chosen(turn=turn)[""] > 300
    assert world.chosen()[""] == 0


# Hedges.


def test_a_hedge_goes_to_another_backend_else_to_another_replica(world):
    found = choose_other(ROUTE, NEW_TURN, world.fleet, NOW, world.dice, beside=ON_A)
    assert found is not None
    assert (found.candidate.backend.id != "a", found.number, found.wait_s) == (True, 2, 0.0)
    alone = Resolution("a", ((A,),))
    other = choose_other(alone, NEW_TURN, world.fleet, NOW, world.dice, beside=ON_A)
    assert other is not None
    assert other.replica.address == "a:2"
    turn = failed(NEW_TURN, Attempt(2, B, Replica("b", "b:1")), Failure(Reason.QUOTA_EXHAUSTED))
    third = choose_other(alone, turn, world.fleet, NOW, world.dice, beside=ON_A)
    assert third is not None
    assert third.number == 3


def test_no_hedge_to_a_pool_that_is_slow_itself_or_to_what_is_probed_or_late(world):
    alone = Resolution("a", ((A,),))
    world.shared = {A.pool: Health(State.DEGRADED, Cause.SLOW, "aimd", weight=0.5)}
    assert choose_other(alone, NEW_TURN, world.fleet, NOW, world.dice, beside=ON_A) is None
    tiers = Resolution("t", ((A,), (B,)))
    found = choose_other(tiers, NEW_TURN, world.fleet, NOW, world.dice, beside=ON_A)
    assert found is not None
    assert found.candidate is B
    world.shared[B.pool] = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0)
    assert choose_other(tiers, NEW_TURN, world.fleet, NOW, world.dice, beside=ON_A) is None
    world.shared = {}
    world.paces = {A.pool: paced(5.0)}
    assert choose_other(alone, NEW_TURN, world.fleet, NOW, world.dice, beside=ON_A, left_s=1.0) is None
    assert choose_other(ROUTE, NEW_TURN, world.fleet, NOW, world.dice, beside=ON_A, ask=Ask("z", hard=True)) is None


def test_whether_there_is_another_backend_at_all(world):
    assert has_other(ROUTE, NEW_TURN, world.fleet, NOW, beside=ON_A)
    assert not has_other(Resolution("a", ((A,),)), NEW_TURN, world.fleet, NOW, beside=ON_A)
    assert not has_other(ROUTE, NEW_TURN, world.fleet, NOW, beside=ON_A, ask=Ask("a", hard=True))
