"""What the outcome of an attempt, a review, a person and a new key do to targets."""

import random

import pytest

from antiphon_router.core import outcomes
from antiphon_router.core.failover import Attempt
from antiphon_router.core.faults import Failure, Reason, classified
from antiphon_router.core.fleet import Fleet
from antiphon_router.core.health import POLICY, Health
from antiphon_router.core.tally import Sample, Tally
from antiphon_router.core.values import Backend, Candidate, Cause, Replica, Scope, State, TargetKey

A = Backend("a", "p", account="acc")
WAY = Candidate(A, "m")
ONE, TWO = Replica("a", "a:1"), Replica("a", "a:2")
ATTEMPT = Attempt(1, WAY, ONE)
WELL = Health(proven=True)
ENDPOINT = WAY.key(Scope.ENDPOINT)
NOW = 10.0


def fleet(shared=None, tallies=None, healths=None, rekeyed=None) -> Fleet:
    known = {ONE.key: WELL, TWO.key: WELL, **(healths or {})}
    return Fleet({"a": [ONE, TWO]}, known, shared or {}, {}, tallies or {}, rekeyed=rekeyed or {})


def marks(tally: Tally) -> list[tuple[Cause | None, bool]]:
    return [(sample.miss, sample.failed) for sample in tally]


def test_a_success_in_good_times_is_noted_nowhere():
    assert dict(outcomes.noted_success(ATTEMPT, {}, NOW, late=False)) == {}


def test_a_late_success_is_noted_of_replica_and_pool():
    noted = dict(outcomes.noted_success(ATTEMPT, {}, NOW, late=True))
    assert set(noted) == {ONE.key, WAY.pool}
    assert marks(noted[WAY.pool]) == [(Cause.SLOW, False)]


def test_whoever_is_in_trouble_learns_of_successes_too():
    known = {ENDPOINT: (Sample(9.0, failed=True),), WAY.pool: (Sample(9.0, miss=Cause.OVERLOADED),)}
    noted = dict(outcomes.noted_success(ATTEMPT, known, NOW, late=True))
    assert marks(noted[ENDPOINT]) == [(None, True), (None, False)], "late is no matter of endpoints"
    assert marks(noted[WAY.pool]) == [(Cause.OVERLOADED, False), (Cause.SLOW, False)]


@pytest.mark.parametrize(
    ("failure", "key", "mark"),
    [
        (Failure(Reason.PROVIDER_ERROR, http_status=503), ENDPOINT, (Cause.ERRORS, True)),
        (Failure(Reason.PROVIDER_ERROR, http_status=502), ENDPOINT, (None, True)),
        (Failure(Reason.PROVIDER_OVERLOADED, http_status=529), WAY.pool, (Cause.OVERLOADED, False)),
        (Failure(Reason.UPSTREAM_TIMEOUT), WAY.pool, (Cause.SLOW, True)),
        (Failure(Reason.RATE_LIMITED, http_status=429), WAY.pool, (Cause.RATE_LIMIT, False)),
        (Failure(Reason.UPSTREAM_UNREACHABLE, lost=True), ONE.key, (None, True)),
    ],
)
def test_a_failure_is_noted_of_whom_it_blames(failure, key, mark):
    (noted,) = outcomes.noted_failure(ATTEMPT, failure, {}, NOW)
    assert (noted[0], marks(noted[1])) == (key, [mark])


@pytest.mark.parametrize(
    "reason", [Reason.INVALID_REQUEST, Reason.PROVIDER_CREDENTIALS, Reason.GATEWAY_DRAINING, Reason.QUOTA_EXHAUSTED]
)
def test_what_is_no_matter_of_shares_is_not_noted(reason):
    assert not list(outcomes.noted_failure(ATTEMPT, Failure(reason), {}, NOW))


def test_a_stream_that_breaks_takes_its_success_back():
    known = {ENDPOINT: (Sample(9.0, ONE.address), Sample(9.1, "a:2"))}
    ((_, tally),) = outcomes.noted_failure(ATTEMPT, Failure(Reason.STREAM_INTERRUPTED), known, NOW)
    assert [(sample.replica, sample.failed) for sample in tally] == [("a:2", False), ("a:1", True)]


def test_mostly_failing_opens_without_three_in_a_row():
    mixed = tuple(Sample(9.0, failed=bool(number % 2)) for number in range(8))
    changes = outcomes.failed(
        ATTEMPT, Failure(Reason.UPSTREAM_PROTOCOL), fleet(tallies={ENDPOINT: mixed}), NOW, random.Random(1)
    )
    assert changes[ENDPOINT].state is State.OPEN


def test_what_a_lost_replica_did_not_cause_is_not_put_down_to_it():
    untyped = Failure(Reason.UPSTREAM_PROTOCOL, lost=True)
    assert set(outcomes.failed(ATTEMPT, untyped, fleet(), NOW, random.Random(1))) == {ENDPOINT}
    probed = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0).started(6.0)
    world = fleet(healths={ONE.key: probed})
    assert set(outcomes.failed(ATTEMPT, untyped, world, NOW, random.Random(1))) == {ENDPOINT}, "another's probe"


def test_overload_lessens_and_never_opens():
    refused = Failure(Reason.PROVIDER_OVERLOADED, http_status=529)
    assert outcomes.failed(ATTEMPT, refused, fleet(), NOW, random.Random(1)) == {}


def test_a_straggler_is_not_the_probe():
    out = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0).started(6.0)
    failure = Failure(Reason.UPSTREAM_PROTOCOL)
    assert outcomes.failed(ATTEMPT, failure, fleet({ENDPOINT: out}), NOW, random.Random(1)) == {}
    probe = ATTEMPT._replace(probes=(ENDPOINT,))
    back = outcomes.failed(probe, failure, fleet({ENDPOINT: out}), NOW, random.Random(1))
    assert back[ENDPOINT].state is State.OPEN


def test_a_typed_answer_of_a_replica_that_was_given_up_rescues_it():
    lost = WELL.unreachable(5.0, 6.0)
    world = fleet(healths={ONE.key: lost})
    rescue = ATTEMPT._replace(rescues=(ONE.key,))
    assert outcomes.succeeded(rescue, world, NOW)[ONE.key].state is State.SLOW_START
    typed = outcomes.failed(rescue, Failure(Reason.INVALID_REQUEST), world, NOW, random.Random(1))
    assert typed[ONE.key].state is State.SLOW_START
    assert not outcomes.is_routine(rescue, fleet())


def test_a_success_for_want_of_better_does_not_take_the_turn_of_a_probe_that_is_out():
    limited = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0).started(6.0)
    limited = limited.limited(7.0, random.Random(1), delay_s=1.0, rule="rate", probe=False)
    world = fleet({WAY.pool: limited})
    assert outcomes.succeeded(ATTEMPT._replace(rescues=(WAY.pool,)), world, NOW) == {}
    probe = ATTEMPT._replace(probes=(WAY.pool,))
    assert outcomes.succeeded(probe, world, NOW)[WAY.pool].state is State.RATE_LIMITED


@pytest.mark.parametrize(("http_status", "scope"), [(401, Scope.KEY), (403, Scope.KEY_MODEL)])
def test_a_refusal_of_the_old_key_tells_nothing_of_the_new_one(http_status, scope):
    refused = Failure(Reason.PROVIDER_CREDENTIALS, http_status=http_status, retry_other=True)
    key, dice = WAY.key(scope), random.Random(1)
    world = fleet(rekeyed={"a": 8.0})
    assert outcomes.failed(ATTEMPT, refused, world, NOW, dice, begun=7.9) == {}
    assert outcomes.failed(ATTEMPT, refused, world, NOW, dice, begun=8.0)[key].state is State.DISABLED
    other = fleet(rekeyed={"b": 8.0})
    assert outcomes.failed(ATTEMPT, refused, other, NOW, dice, begun=7.9)[key].state is State.DISABLED
    out = Health(State.DISABLED, Cause.AUTH, "auth", 0.0, 5.0)
    probed = fleet({key: out.started(7.0)}, rekeyed={"a": 8.0})
    back = outcomes.failed(ATTEMPT._replace(probes=(key,)), refused, probed, NOW, dice, begun=7.0)
    assert back[key].next_try == NOW + POLICY.abandoned_s, "its probe is made again"


def test_a_new_key_does_not_pay_the_bill():
    spent = Failure(Reason.QUOTA_EXHAUSTED, http_status=402, retry_other=True)
    world = fleet(rekeyed={"a": 8.0})
    changes = outcomes.failed(ATTEMPT, spent, world, NOW, random.Random(1), begun=7.9)
    assert changes[WAY.key(Scope.ACCOUNT)].state is State.DISABLED


def test_a_success_is_routine_unless_something_it_depends_on_is_remarkable():
    other = TargetKey(Scope.POOL, "q/m")
    assert outcomes.is_routine(ATTEMPT, fleet({other: Health(failures=1.0)}))
    assert not outcomes.is_routine(ATTEMPT, fleet({WAY.pool: Health(failures=1.0)}))


def test_who_took_an_attempt_is_its_provider_only_if_it_was_not_the_replica_or_the_key():
    assert outcomes.is_overload(Failure(Reason.PROVIDER_OVERLOADED))
    assert outcomes.is_overload(Failure(Reason.PROVIDER_ERROR, http_status=503))
    for reason in (Reason.PROVIDER_CREDENTIALS, Reason.INVALID_REQUEST, Reason.GATEWAY_INTERNAL):
        assert not outcomes.is_overload(Failure(reason))
    assert outcomes.blamed(ATTEMPT, classified(Failure(Reason.INVALID_REQUEST))) is None


def slow(times: int, replica: str = "a:1") -> Tally:
    return tuple(Sample(9.0, replica, Cause.SLOW) for _ in range(times))


def test_a_review_lessens_what_is_in_trouble_and_restores_what_is_not():
    weak = Health(State.DEGRADED, Cause.SLOW, "aimd", 1.0, weight=0.5)
    world = fleet({WAY.pool: weak}, {TWO.key: slow(6)})
    changes = outcomes.reviewed(world, NOW, 2.0)
    assert changes[TWO.key].weight == pytest.approx(0.8)
    assert changes[WAY.pool].weight == pytest.approx(0.55)
    assert ONE.key not in changes
    assert outcomes.reviewed(world, 100.0, 90.0)[WAY.pool].state is State.HEALTHY


def test_a_person_and_a_new_key():
    out = Health(State.DISABLED, Cause.AUTH, "auth", 0.0, 300.0)
    key, model, foreign = WAY.key(Scope.KEY), WAY.key(Scope.KEY_MODEL), TargetKey(Scope.KEY, "ab")
    world = fleet({key: out, model: out, foreign: out, ENDPOINT: out})
    assert outcomes.enabled(key, world, NOW)[key].next_try == NOW
    changes = outcomes.key_changed("a", world, NOW)
    assert {each: health.state for each, health in changes.items()} == {
        key: State.SLOW_START,
        model: State.SLOW_START,
    }
