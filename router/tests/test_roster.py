"""The roster between the core and the world: budgets, counts, bounds, and what a caller's leaving does."""

import random

import grpc
import pytest

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import Reason
from antiphon_router.core.failover import NEW_TURN, Attempt, failed
from antiphon_router.core.faults import Failure
from antiphon_router.core.faults import Reason as CoreReason
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import NO_ASK, Ask, Backend, Candidate, Hedge, Replica, RoutePolicy, Scope, State
from antiphon_router.shell import remembered
from antiphon_router.shell import roster as module
from antiphon_router.shell.gate import Waits
from antiphon_router.shell.roster import Roster, Running

A = Backend("a", "p", account="a")
WAY = Resolution("a", ((Candidate(A, "m"),),))
ONE = Replica("a", "h:1")


class Clock:
    """Time as a test wants it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def roster(clock) -> Roster:
    roster = Roster(clock=clock, dice=random.Random(1))
    roster.add(ONE)
    roster.serving(ONE)
    return roster


def begun(roster: Roster, way: Resolution = WAY) -> Running:
    running = roster.begin(way, NEW_TURN)
    assert isinstance(running, Running)
    return running


def test_what_runs_is_counted_until_it_is_closed(roster):
    first, second = begun(roster), begun(roster)
    assert roster.fleet.loads[ONE.key].in_flight == 2
    assert not roster.is_idle(ONE)
    first.succeeded()
    first.close()
    second.close()
    assert roster.is_idle(ONE)


def test_a_probe_whose_caller_leaves_gives_its_turn_back(roster, clock):
    for _ in range(3):
        running = begun(roster)
        running.failed(Failure(CoreReason.UPSTREAM_UNREACHABLE, lost=True), error_pb2.CallError())
        running.close()
    assert roster.health_of(ONE.key).state is State.OPEN
    clock.now += 2.0
    probe = begun(roster)
    assert roster.health_of(ONE.key).state is State.HALF_OPEN
    probe.close()
    assert roster.health_of(ONE.key).state is State.OPEN
    clock.now += 2.0
    again = begun(roster)
    again.succeeded()
    again.close()
    assert roster.health_of(ONE.key).state is State.SLOW_START


def test_a_change_of_health_is_told_when_it_changes_who_takes_calls(clock):
    told = []
    roster = Roster(clock=clock, changed=lambda: told.append(roster.any_takes_calls()))
    roster.add(ONE)
    assert not roster.any_takes_calls()
    roster.serving(ONE)
    roster.serving(ONE)
    roster.not_serving(ONE)
    roster.unreachable(ONE, 1.0, error_pb2.CallError())
    assert told == [True, False]


def test_callers_who_name_models_cannot_fill_the_memory(roster, monkeypatch):
    monkeypatch.setattr(remembered, "MAX_SHARED", 5)
    monkeypatch.setattr(module, "MAX_CALM", 5)
    for n in range(20):
        way = Resolution("x", ((Candidate(A, f"m{n}"),),))
        running = begun(roster, way)
        limited = Failure(CoreReason.RATE_LIMITED, delay_s=60.0, retry_other=True)
        running.failed(limited, error_pb2.CallError(reason=Reason.ERROR_REASON_RATE_LIMITED))
        running.close()
        assert isinstance(roster.begin(way, NEW_TURN), Refusal)
    assert len(roster.fleet.shared) == 5
    assert sum(key.scope is not Scope.REPLICA for key in roster.last_errors) <= 5
    assert len(roster._calm) <= 5
    roster._shared.clear()
    roster._calm.clear()
    for n in range(20):
        begun(roster, Resolution("x", ((Candidate(A, f"m{n}"),),))).close()
    assert len(roster._calm) <= 5


def test_a_target_that_is_well_again_is_forgotten(roster, clock):
    running = begun(roster)
    running.failed(Failure(CoreReason.RATE_LIMITED, delay_s=1.0, retry_other=True), error_pb2.CallError())
    running.close()
    for seconds in (2.0, 11.0, 61.0):
        clock.now += seconds
        running = begun(roster)
        running.succeeded()
        running.close()
    assert not roster.fleet.shared


def test_second_attempts_are_a_share_of_calls(roster, clock):
    assert sum(roster.may_retry() for _ in range(100)) == 30
    for _ in range(100):
        roster.credit()
    assert 9 <= sum(roster.may_retry() for _ in range(100)) <= 10
    clock.now += 1.0
    roster.credit()
    assert 3 <= sum(roster.may_retry() for _ in range(100)) <= 4


async def test_without_budget_the_first_failure_is_the_answer(adapters, kit):
    a, b = await adapters(2)
    a.unary = b.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_OVERLOADED)
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:
        while suite.router.roster.may_retry():
            pass
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await suite.generate()
    assert kit.error_of(raised.value).reason == Reason.ERROR_REASON_PROVIDER_OVERLOADED
    assert len(a.received) + len(b.received) == 1


def test_a_deadline_that_passed_makes_its_replica_look_slower(roster, clock):
    quick = begun(roster)
    clock.now += 0.1
    quick.succeeded()
    quick.close()
    slow = begun(roster)
    clock.now += 9.0
    slow.failed(Failure(CoreReason.DEADLINE_EXCEEDED, elapsed_s=9.0), error_pb2.CallError())
    slow.close()
    assert roster.fleet.loads[ONE.key].first_content_s > 1.0
    assert roster.health_of(ONE.key).state is State.HEALTHY


B = Backend("b", "q", account="b")
TWO = Replica("b", "h:2")
BUSY = Failure(CoreReason.PROVIDER_ERROR, http_status=503, retry_other=True)


def served(roster: Roster, clock: Clock, way: Resolution, elapsed_s: float, ask: Ask = NO_ASK) -> Running:
    running = roster.begin(way, NEW_TURN, ask)
    assert isinstance(running, Running)
    clock.now += elapsed_s
    running.succeeded()
    running.close()
    return running


def test_what_becomes_slow_gets_less_and_back_when_it_is_well(roster, clock):
    for _ in range(40):
        served(roster, clock, WAY, 0.3)
    for _ in range(12):
        served(roster, clock, WAY, 1.2)
    assert roster.health_of(ONE.key).state is State.DEGRADED
    assert roster.health_of(Candidate(A, "m").pool).state is State.DEGRADED
    for _ in range(200):
        served(roster, clock, WAY, 0.3)
    assert roster.health_of(ONE.key).state is State.HEALTHY
    assert not roster.fleet.tallies
    assert not roster.fleet.shared


def test_hedges_have_a_delay_of_their_pool_and_a_budget_of_their_route(roster, clock):
    roster.add(TWO)
    roster.serving(TWO)
    ways = (Candidate(A, "m"), Candidate(B, "m"))
    way = Resolution("hedged", (ways,), policy=RoutePolicy(hedge=Hedge()))
    first = begun(roster, way)
    assert roster.hedge_delay_s(WAY, first.attempt) is None
    assert roster.hedge_delay_s(way, first.attempt) is None, "nobody knows how long it takes"
    assert roster.hedge(way, NEW_TURN, first.attempt) is None, "no credit yet"
    for _ in range(40):
        served(roster, clock, WAY, 0.3)
        roster.hedge_delay_s(way, first.attempt)
    on_a = Attempt(1, ways[0], ONE)
    assert roster.hedge_delay_s(way, on_a) == pytest.approx(0.3)
    second = roster.hedge(way, NEW_TURN, on_a)
    assert second is not None
    assert (second.attempt.replica, second.attempt.number) == (TWO, 2)
    second.close()
    assert roster.hedge(Resolution("hedged", ((ways[0],),)), NEW_TURN, on_a) is None, "nobody else"
    fixed = Resolution("fixed", (ways,), policy=RoutePolicy(hedge=Hedge(0.7)))
    assert roster.hedge_delay_s(fixed, on_a) == 0.7
    assert roster.has_other(way, NEW_TURN, on_a)


def test_a_walk_to_the_next_key_is_free(roster):
    while roster.may_retry():
        pass
    refused = Failure(CoreReason.PROVIDER_CREDENTIALS, retry_same=True, retry_other=True)
    assert roster.may_retry(failed(NEW_TURN, begun(roster).attempt, refused))
    assert not roster.may_retry(NEW_TURN)


def test_a_provider_that_fails_is_throttled_and_forgotten(roster, clock):
    for _ in range(2):
        running = begun(roster)
        running.failed(BUSY, error_pb2.CallError())
        running.close()
    assert roster.fleet.throttles["p"].failed == pytest.approx(2.0)
    assert roster.fleet.throttles["p"].started == pytest.approx(2.0)
    begun(roster).close()
    assert roster.fleet.throttles["p"].started == pytest.approx(3.0)
    clock.now += 60.0
    begun(roster).close()
    assert not roster.fleet.throttles


def test_people_and_keys(roster):
    way = Candidate(A, "m")
    running = begun(roster)
    running.failed(Failure(CoreReason.PROVIDER_CREDENTIALS, retry_other=True), error_pb2.CallError())
    running.close()
    key = way.key(Scope.KEY)
    assert isinstance(roster.begin(WAY, NEW_TURN), Refusal)
    roster.enable(key)
    probe = begun(roster)
    assert probe.attempt.probes == (key,)
    probe.close()
    roster.key_changed("a")
    assert roster.health_of(key).state is State.SLOW_START


def test_what_was_asked_with_the_old_key_does_not_put_out_the_new_one(roster, clock):
    refused = Failure(CoreReason.PROVIDER_CREDENTIALS, http_status=401, retry_other=True)
    before = begun(roster)
    clock.now += 1.0
    roster.keys_changed(ONE)
    after = begun(roster)
    before.failed(refused, error_pb2.CallError())
    before.close()
    key = Candidate(A, "m").key(Scope.KEY)
    assert roster.health_of(key).state is State.HEALTHY
    after.failed(refused, error_pb2.CallError())
    after.close()
    assert roster.health_of(key).state is State.DISABLED


def test_trouble_elsewhere_leaves_the_calm_path_alone(roster, clock):
    assert roster._calmly(WAY, clock()) is not None
    roster.add(TWO)
    roster.serving(TWO)
    assert roster._calmly(WAY, clock()) is not None
    way = Resolution("b", ((Candidate(B, "m"),),))
    for _ in range(2):
        running = begun(roster, way)
        running.failed(BUSY, error_pb2.CallError())
        running.close()
    assert WAY in roster._calm


def test_affinities_are_no_matter_for_the_calm_path(roster):
    refusal = roster.begin(WAY, NEW_TURN, Ask("elsewhere", hard=True))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is CoreReason.OPAQUE_STATE_REJECTED


def test_a_probe_that_breaks_after_content_takes_nobody_elses_turn_back(roster, clock):
    limited = Failure(CoreReason.RATE_LIMITED, delay_s=1.0, retry_other=True)
    pool = Candidate(A, "m").pool
    first = begun(roster)
    first.failed(limited, error_pb2.CallError())
    first.close()
    clock.now += 2.0
    probe = begun(roster)
    assert probe.attempt.probes == (pool,)
    probe.succeeded()
    straggler = begun(roster)
    straggler.failed(limited, error_pb2.CallError())
    straggler.close()
    clock.now += 2.0
    second = begun(roster)
    assert second.attempt.probes == (pool,)
    probe.failed(Failure(CoreReason.STREAM_INTERRUPTED), error_pb2.CallError())
    probe.close()
    assert roster.health_of(pool).state is State.HALF_OPEN
    second.close()


def test_waits_are_counted_where_somebody_wants_to_know(roster, clock):
    before = begun(roster)
    before.succeeded()
    waits = Waits()
    roster.count_waits(waits)
    first = begun(roster)
    first.succeeded()
    assert (waits.calls, waits.answering) == (0, 1), "too few calls to tell what is usual"
    for _ in range(40):
        served(roster, clock, WAY, 0.2)
    counted = waits.calls
    assert counted > 10
    assert waits.waited_s == pytest.approx(0.2 * counted)
    assert waits.usual_s == pytest.approx(0.2 * counted, rel=0.1)
    roster.count_waits(None)
    served(roster, clock, WAY, 0.2)
    before.close()
    assert (waits.calls, waits.answering) == (counted, 1)
    first.close()
    first.close()
    assert waits.answering == 0
