"""Who takes an attempt, who is kept out and why; and what its outcome does to exactly one target."""

import random
from dataclasses import replace

import pytest

from antiphon_router.core import decide, outcomes
from antiphon_router.core.decide import choose
from antiphon_router.core.failover import NEW_TURN, Attempt, Turn, failed
from antiphon_router.core.faults import Failure, Reason
from antiphon_router.core.fleet import Fleet, stored
from antiphon_router.core.health import UNOBSERVED, Health
from antiphon_router.core.meter import Bounds, Meter, draw
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import Backend, Candidate, Cause, Load, Replica, Scope, State, TargetKey

A = Backend("a", "p", account="acc")
B = Backend("b", "q", account="other", max_in_flight=2)
A1, A2, B1 = Replica("a", "a:1"), Replica("a", "a:2"), Replica("b", "b:1")
ON_A, ON_B = Candidate(A, "m"), Candidate(B, "m")
BOTH = Resolution("both", ((ON_A, ON_B),))
A_THEN_B = Resolution("tiers", ((ON_A,), (ON_B,)))
ONLY_A = Resolution("a", ((ON_A,),))
WELL = Health(proven=True)
OUT = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 50.0)
DUE = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0)
LIMITED = Health(State.RATE_LIMITED, Cause.RATE_LIMIT, "rate", 0.0, 40.0)
NOW = 10.0


class World:
    """A fleet whose parts a test sets."""

    def __init__(self) -> None:
        self.replicas = {"a": [A1, A2], "b": [B1]}
        self.healths = {A1.key: WELL, A2.key: WELL, B1.key: WELL}
        self.shared: dict[TargetKey, Health] = {}
        self.loads: dict[TargetKey, Load] = {}
        self.dice = random.Random(1)

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.replicas, self.healths, self.shared, self.loads)

    def choose(self, resolution: Resolution, turn: Turn = NEW_TURN, now: float = NOW) -> Attempt | Refusal:
        return choose(resolution, turn, self.fleet, now, self.dice)

    def chosen(self, resolution: Resolution, turn: Turn = NEW_TURN, times: int = 60) -> set[str]:
        found = [self.choose(resolution, turn) for _ in range(times)]
        assert all(isinstance(each, Attempt) for each in found), found
        return {each.replica.address for each in found if isinstance(each, Attempt)}

    def refused(self, resolution: Resolution, turn: Turn = NEW_TURN) -> Refusal:
        found = self.choose(resolution, turn)
        assert isinstance(found, Refusal), found
        return found

    def apply(self, changes) -> None:
        for key, health in changes.items():
            (self.healths if key.scope is Scope.REPLICA else self.shared)[key] = health


@pytest.fixture
def world() -> World:
    return World()


def test_all_healthy_replicas_of_a_tier_take_calls_and_no_later_tier_does(world):
    assert world.chosen(BOTH) == {"a:1", "a:2", "b:1"}
    assert world.chosen(A_THEN_B) == {"a:1", "a:2"}


def test_a_replica_that_is_out_or_draining_is_left_alone(world):
    world.healths[A1.key] = OUT
    assert world.chosen(ONLY_A) == {"a:2"}
    world.healths[A2.key] = WELL.not_serving(0.0)
    world.healths[A1.key] = WELL
    assert world.chosen(ONLY_A) == {"a:1"}


def test_the_next_tier_takes_over(world):
    world.shared[ON_A.key(Scope.POOL)] = LIMITED
    assert world.chosen(A_THEN_B) == {"b:1"}


def test_weights_share_calls_and_zero_takes_them_only_when_all_others_are_out(world):
    heavy, light, spare = Candidate(A, "m", weight=3), Candidate(B, "m", weight=1), Candidate(B, "m", weight=0)
    found = [world.choose(Resolution("w", ((heavy, light),))) for _ in range(2000)]
    on_a = sum(each.replica.backend == "a" for each in found)
    assert on_a / 2000 == pytest.approx(0.75, abs=0.05)
    assert world.chosen(Resolution("z", ((heavy, spare),))) == {"a:1", "a:2"}
    world.shared[ON_A.key(Scope.ENDPOINT)] = OUT
    assert world.chosen(Resolution("z", ((heavy, spare),))) == {"b:1"}


def test_a_slow_start_takes_its_small_share(world):
    world.healths[A1.key] = Health(State.SLOW_START, since=NOW, proven=True)
    found = [world.choose(ONLY_A) for _ in range(1000)]
    assert 40 < sum(each.replica is A1 for each in found) < 160


def test_the_probe_of_a_replica_that_is_due_goes_first_and_alone(world):
    world.healths[A1.key] = DUE
    attempt = world.choose(ONLY_A)
    assert (attempt.replica, attempt.probes) == (A1, (A1.key,))
    world.apply(outcomes.started(attempt, world.fleet, NOW))
    assert world.healths[A1.key].state is State.HALF_OPEN
    assert world.chosen(ONLY_A) == {"a:2"}


def test_a_call_that_failed_already_does_no_probing_while_others_are_well(world):
    world.healths[A1.key] = DUE
    lost = failed(NEW_TURN, Attempt(1, ON_B, B1), Failure(Reason.UPSTREAM_UNREACHABLE, lost=True))
    assert world.chosen(BOTH, lost) == {"a:2"}
    world.healths[A2.key] = OUT
    assert world.chosen(BOTH, lost) == {"a:1"}


def test_a_shared_target_that_is_due_is_probed_by_one_call(world):
    pool = ON_A.key(Scope.POOL)
    world.shared[pool] = Health(State.RATE_LIMITED, Cause.RATE_LIMIT, "rate", 0.0, 5.0)
    attempt = world.choose(ONLY_A)
    assert attempt.probes == (pool,)
    world.apply(outcomes.started(attempt, world.fleet, NOW))
    refusal = world.refused(ONLY_A)
    assert refusal.reason is Reason.RATE_LIMITED
    world.apply(outcomes.succeeded(attempt, world.fleet, NOW))
    assert world.shared[pool].state is State.SLOW_START
    assert world.choose(ONLY_A).probes == ()


def test_with_every_replica_lost_one_is_tried_anyway_but_never_one_that_drains(world):
    world.healths |= {A1.key: OUT, A2.key: WELL.not_serving(0.0)}
    attempt = world.choose(ONLY_A)
    assert (attempt.replica, attempt.probes, attempt.rescues) == (A1, (), (A1.key,))
    world.apply(outcomes.started(attempt, world.fleet, NOW))
    assert world.healths[A1.key] is OUT
    world.apply(outcomes.succeeded(attempt, world.fleet, NOW))
    assert world.healths[A1.key].state is State.SLOW_START


def test_a_replica_that_was_never_heard_of_is_tried_when_there_is_no_other(world):
    del world.healths[A1.key]
    assert world.chosen(ONLY_A) == {"a:2"}
    world.healths[A2.key] = UNOBSERVED
    assert world.chosen(ONLY_A) == {"a:1", "a:2"}


def test_despite_all_is_no_way_around_the_provider_or_a_bound(world):
    world.healths |= {A1.key: OUT, A2.key: OUT, B1.key: OUT}
    world.shared[ON_A.key(Scope.KEY)] = Health(State.DISABLED, Cause.AUTH, "auth", 0.0, 300.0)
    world.loads[B1.key] = Load(2)
    refusal = world.refused(BOTH)
    assert refusal.reason is Reason.GATEWAY_OVERLOADED
    assert "backend b has all the calls it may have" in refusal.message


def test_replicas_asked_before_come_last_and_lost_ones_never(world):
    error = Failure(Reason.PROVIDER_ERROR, http_status=500, retry_same=True, retry_other=True)
    turn = failed(NEW_TURN, Attempt(1, ON_A, A1), error)
    assert world.chosen(ONLY_A, turn) == {"a:2"}
    world.healths[A2.key] = OUT
    again = world.choose(ONLY_A, turn)
    assert again.replica is A1
    assert 0.0 < again.wait_s < decide.BACKOFF_S
    lost = failed(NEW_TURN, Attempt(1, ON_A, A1), Failure(Reason.UPSTREAM_UNREACHABLE, lost=True))
    elsewhere = world.choose(ONLY_A, lost)
    assert (elsewhere.replica, elsewhere.wait_s, elsewhere.number) == (A2, 0.0, 2)
    both = failed(lost, Attempt(2, ON_A, A2), Failure(Reason.UPSTREAM_UNREACHABLE, lost=True))
    refusal = world.refused(ONLY_A, both)
    assert refusal.exhausted or refusal.reason is Reason.NO_HEALTHY_BACKEND


def test_a_lost_replica_is_not_asked_again_when_it_is_only_starting_slowly(world):
    world.healths = {A1.key: Health(State.SLOW_START, since=NOW), A2.key: WELL}
    lost = failed(NEW_TURN, Attempt(1, ON_A, A1), Failure(Reason.UPSTREAM_UNREACHABLE, lost=True))
    assert world.chosen(ONLY_A, lost) == {"a:2"}


def test_a_closed_backend_leaves_nothing_to_say_but_that_all_was_tried(world):
    turn = failed(NEW_TURN, Attempt(1, ON_A, A1), Failure(Reason.QUOTA_EXHAUSTED, retry_other=True))
    refusal = world.refused(ONLY_A, turn)
    assert refusal.exhausted
    assert "no replicas left" in refusal.message
    assert world.chosen(BOTH, turn) == {"b:1"}


def test_the_refusal_names_what_heals_first_and_everything_that_keeps_calls_out(world):
    world.shared[ON_A.key(Scope.ACCOUNT)] = Health(State.DISABLED, Cause.BILLING, "billing", 0.0, 300.0)
    refusal = world.refused(ONLY_A)
    assert (refusal.reason, refusal.retry_after_s) == (Reason.QUOTA_EXHAUSTED, None)
    assert "account acc is DISABLED (BILLING)" in refusal.message
    world.shared[ON_B.key(Scope.POOL)] = LIMITED
    refusal = world.refused(BOTH)
    assert (refusal.reason, refusal.retry_after_s) == (Reason.RATE_LIMITED, 30.0)
    assert "pool q/m is RATE_LIMITED (RATE_LIMIT) for 30 s more" in refusal.message
    assert "account acc" in refusal.message
    world.shared = {ON_A.key(Scope.KEY): Health(State.DISABLED, Cause.AUTH, "auth", 0.0, 300.0)}
    assert world.refused(ONLY_A).reason is Reason.PROVIDER_CREDENTIALS
    world.shared = {}
    world.healths = {A1.key: WELL.not_serving(0.0), A2.key: WELL.not_serving(0.0)}
    refusal = world.refused(ONLY_A)
    assert (refusal.reason, refusal.retry_after_s) == (Reason.NO_HEALTHY_BACKEND, None)
    assert "replica a:1 is DRAINING (NOT_SERVING)" in refusal.message


def test_a_backend_without_replicas_is_refused(world):
    world.replicas = {}
    assert world.refused(ONLY_A).reason is Reason.NO_HEALTHY_BACKEND


ON_A1 = Attempt(1, ON_A, A1)


def failing(world: World, failure: Failure, times: int = 1, attempt: Attempt = ON_A1) -> None:
    for _ in range(times):
        world.apply(outcomes.failed(attempt, failure, world.fleet, NOW, world.dice))


@pytest.mark.parametrize(
    ("failure", "times", "scope", "state"),
    [
        (Failure(Reason.UPSTREAM_UNREACHABLE, lost=True), 3, Scope.REPLICA, State.OPEN),
        (Failure(Reason.GATEWAY_DRAINING), 1, Scope.REPLICA, State.DRAINING),
        (Failure(Reason.UPSTREAM_UNREACHABLE), 3, Scope.ENDPOINT, State.OPEN),
        (Failure(Reason.PROVIDER_ERROR, http_status=500), 6, Scope.POOL, State.OPEN),
        (Failure(Reason.RATE_LIMITED, delay_s=9.0), 1, Scope.POOL, State.RATE_LIMITED),
        (Failure(Reason.PROVIDER_CREDENTIALS), 1, Scope.KEY, State.DISABLED),
        (Failure(Reason.PROVIDER_CREDENTIALS, http_status=403), 1, Scope.KEY_MODEL, State.DISABLED),
        (Failure(Reason.QUOTA_EXHAUSTED), 1, Scope.ACCOUNT, State.DISABLED),
    ],
)
def test_exactly_one_target_learns_of_a_failure(world, failure, times, scope, state):
    before = dict(world.healths)
    failing(world, failure, times)
    key = A1.key if scope is Scope.REPLICA else ON_A.key(scope)
    assert stored(world.fleet, key).state is state
    changed = {k for k in world.healths if world.healths[k] != before[k]} | set(world.shared)
    assert changed == {key}


@pytest.mark.parametrize("reason", [Reason.INVALID_REQUEST, Reason.CONFLICT, Reason.CANCELLED, Reason.UNSPECIFIED])
def test_nobodys_failures_change_nothing(world, reason):
    assert outcomes.failed(ON_A1, Failure(reason), world.fleet, NOW, world.dice) == {}


def test_a_typed_answer_proves_that_the_replica_lives(world):
    world.healths[A1.key] = DUE.started(6.0)
    probing = ON_A1._replace(probes=(A1.key,))
    failing(world, Failure(Reason.RATE_LIMITED, delay_s=5.0), attempt=probing)
    assert world.healths[A1.key].state is State.SLOW_START
    world.healths[A1.key] = Health(failures=2.0)
    failing(world, Failure(Reason.INVALID_REQUEST))
    assert world.healths[A1.key].failures == 0


def test_a_probe_that_fails_for_another_reason_is_made_again(world):
    pool = ON_A.key(Scope.POOL)
    limited = Health(State.RATE_LIMITED, Cause.RATE_LIMIT, "rate", 0.0, 5.0)
    world.shared[pool] = limited.started(6.0)
    failing(world, Failure(Reason.UPSTREAM_UNREACHABLE, lost=True), attempt=ON_A1._replace(probes=(pool,)))
    assert (world.shared[pool].state, world.shared[pool].next_try) == (State.RATE_LIMITED, NOW + 1.0)
    assert world.healths[A1.key].failures == 1


def test_a_probe_of_a_replica_that_loses_it_goes_back_to_open_for_longer(world):
    world.healths[A1.key] = DUE.started(6.0)
    failing(world, Failure(Reason.UPSTREAM_UNREACHABLE, lost=True), attempt=ON_A1._replace(probes=(A1.key,)))
    assert world.healths[A1.key].state is State.OPEN
    assert world.healths[A1.key].level == DUE.level + 1


def test_an_abandoned_probe_gives_its_turn_back(world):
    world.healths[A1.key] = DUE.started(6.0)
    changes = outcomes.abandoned(ON_A1._replace(probes=(A1.key,)), world.fleet, NOW)
    assert changes[A1.key].state is State.OPEN
    assert outcomes.abandoned(ON_A1, world.fleet, NOW) == {}


def test_success_forgets_failures_and_finishes_a_ramp(world):
    world.healths[A1.key] = Health(failures=2.0)
    pool = ON_A.key(Scope.POOL)
    world.shared[pool] = Health(State.SLOW_START, since=-5.0, level=1)
    changes = outcomes.succeeded(ON_A1, world.fleet, NOW)
    assert changes[A1.key].failures == 0
    assert changes[pool].state is State.HEALTHY
    world.apply(changes)
    assert outcomes.succeeded(ON_A1, world.fleet, NOW) == {}
    assert outcomes.succeeded(ON_A1, world.fleet, 50.0)[pool].unremarkable, "calm forgets the level"


def test_in_calm_load_alone_decides_and_in_any_other_weather_it_does_not(world):
    world.loads = {A1.key: Load(), A2.key: Load(), B1.key: Load()}
    calm = decide.calm(ONLY_A, world.fleet)
    assert calm == decide.Calm((Attempt(1, ON_A, A1), Attempt(1, ON_A, A2)))
    assert {decide.among(calm, world.fleet, NOW, world.dice).replica for _ in range(50)} == {A1, A2}
    world.loads[A1.key] = Load(1)
    assert {decide.among(calm, world.fleet, NOW, world.dice).replica for _ in range(50)} == {A2}
    assert decide.among(calm._replace(attempts=calm.attempts[:1]), world.fleet, NOW, world.dice) is calm.attempts[0]
    assert decide.calm(A_THEN_B, world.fleet) == calm
    assert decide.calm(BOTH, world.fleet) == decide.Calm(), "shares differ"
    assert decide.among(decide.Calm(), world.fleet, NOW, world.dice) is None
    world.healths[A2.key] = Health(State.SLOW_START, since=NOW)
    assert decide.calm(ONLY_A, world.fleet) == decide.Calm()
    world.healths[A2.key] = WELL
    world.shared[ON_B.key(Scope.POOL)] = LIMITED
    assert decide.calm(ONLY_A, world.fleet) == calm, "what is wrong elsewhere is no matter"
    world.shared[ON_A.key(Scope.POOL)] = LIMITED
    assert decide.calm(ONLY_A, world.fleet) == decide.Calm()


def test_bounds_decide_nothing_until_they_are_near(world):
    bounds = Bounds(requests=10)
    backend = replace(ON_B.backend, requests_per_minute=10)
    on_b = replace(ON_B, backend=backend)
    world.loads = {B1.key: Load(1)}
    calm = decide.calm(Resolution("b", ((on_b, on_b),)), world.fleet)
    assert calm.bounded == (backend,)
    half = Meter()
    for _ in range(5):
        draw(half, bounds, 0.0, NOW)
    fleet = replace(world.fleet, meters={"b": half})
    assert decide.among(calm, fleet, NOW, world.dice) is not None
    more = replace(fleet, meters={"b": replace(half)})
    draw(more.meters["b"], bounds, 0.0, NOW)
    assert decide.among(calm, more, NOW, world.dice) is None
    world.loads[B1.key] = Load(2)
    assert decide.among(calm, fleet, NOW, world.dice) is None


def test_a_success_is_routine_only_when_it_changes_nothing(world):
    assert outcomes.is_routine(ON_A1, world.fleet)
    assert not outcomes.is_routine(ON_A1._replace(probes=(A1.key,)), world.fleet)
    world.healths[A1.key] = Health(failures=1.0)
    assert not outcomes.is_routine(ON_A1, world.fleet)
