"""After a failed attempt: who may be tried, when it ends, and which failure is told. And the table behind it."""

import pytest

from antiphon_contract.errors import RULES as CONTRACT
from antiphon_contract.errors import reason_name
from antiphon_router.core.failover import (
    MAX_FAILURES,
    MAX_RESTARTS,
    MAX_WALKS,
    NEW_TURN,
    SLOW_S,
    Attempt,
    Stop,
    Tried,
    Turn,
    after_content,
    answer,
    failed,
    outrun,
    restarted,
    stop,
)
from antiphon_router.core.faults import (
    RULES,
    Failure,
    Other,
    Reason,
    Same,
    classified,
    first_content_timeout,
    is_upstream,
)
from antiphon_router.core.resolve import Refusal
from antiphon_router.core.values import AfterContent, Backend, Candidate, Replica, RoutePolicy, Scope

A = Backend("a", "p", account="a")
ATTEMPT = Attempt(1, Candidate(A, "m"), Replica("a", "h:1"))


def failure(reason: Reason, **facts) -> Failure:
    """As an adapter sends it: with the retry advice of the contract."""
    rule = {reason_name(r): rule for r, rule in CONTRACT.items()}[reason]
    return Failure(reason, **{"retry_same": rule.same_backend, "retry_other": rule.other_backend, **facts})


def after(*failures: Failure, attempt: Attempt = ATTEMPT):
    turn = NEW_TURN
    for each in failures:
        turn = failed(turn, attempt, each)
    return turn


def stopped(*failures: Failure, committed: bool = False, by_route: bool = False, left_s: float = 10.0) -> Stop | None:
    return stop(after(*failures), committed=committed, by_route=by_route, left_s=left_s)


def test_every_reason_of_the_contract_is_known_and_has_a_row_or_is_the_gateways_own():
    assert {reason_name(reason) for reason in CONTRACT} | {"UNSPECIFIED"} == set(Reason)
    ruled = {rule.reason for rule in RULES}
    assert set(Reason) - ruled == {
        Reason.UNSPECIFIED, Reason.GATEWAY_AUTH, Reason.GATEWAY_FORBIDDEN, Reason.GATEWAY_RATE_LIMITED,
        Reason.GATEWAY_BUDGET_EXHAUSTED, Reason.NO_HEALTHY_BACKEND,
    }  # fmt: skip


def test_no_row_about_a_stream_may_retry():
    for rule in RULES:
        if rule.reason is Reason.STREAM_INTERRUPTED:
            assert (rule.same, rule.other) == (Same.NEVER, Other.NEVER)


@pytest.mark.parametrize(
    ("given", "rule", "scope"),
    [
        (failure(Reason.UPSTREAM_UNREACHABLE, lost=True), "replica_lost", Scope.REPLICA),
        (failure(Reason.UPSTREAM_UNREACHABLE), "connect", Scope.ENDPOINT),
        (failure(Reason.STREAM_INTERRUPTED, lost=True), "replica_lost_stream", Scope.REPLICA),
        (failure(Reason.STREAM_INTERRUPTED, native_code="GATEWAY_DRAINING"), "draining_stream", Scope.REPLICA),
        (failure(Reason.STREAM_INTERRUPTED), "broken_stream", Scope.ENDPOINT),
        (failure(Reason.GATEWAY_DRAINING), "draining", Scope.REPLICA),
        (failure(Reason.GATEWAY_OVERLOADED), "replica_busy", None),
        (failure(Reason.GATEWAY_INTERNAL), "replica_bug", Scope.REPLICA),
        (failure(Reason.UPSTREAM_PROTOCOL), "malformed", Scope.ENDPOINT),
        (failure(Reason.PROVIDER_ERROR, http_status=503), "gateway_5xx", Scope.ENDPOINT),
        (failure(Reason.PROVIDER_ERROR, http_status=408), "transient_4xx", None),
        (failure(Reason.PROVIDER_ERROR), "reset_pre", Scope.ENDPOINT),
        (failure(Reason.PROVIDER_ERROR, http_status=500), "http_500", Scope.POOL),
        (failure(Reason.PROVIDER_ERROR, http_status=599), "http_500", Scope.POOL),
        (failure(Reason.PROVIDER_OVERLOADED), "overloaded", Scope.POOL),
        (failure(Reason.UPSTREAM_TIMEOUT), "ttft", Scope.POOL),
        (failure(Reason.RATE_LIMITED), "rate", Scope.POOL),
        (failure(Reason.MODEL_NOT_FOUND), "no_model", None),
        (failure(Reason.MODEL_NOT_FOUND, retry_same=True), "no_model_other_version", None),
        (failure(Reason.PROVIDER_CREDENTIALS, callers_key=True), "callers_key", None),
        (failure(Reason.PROVIDER_CREDENTIALS, retry_same=True), "auth_other_version", None),
        (failure(Reason.PROVIDER_CREDENTIALS, http_status=403), "permission", Scope.KEY_MODEL),
        (failure(Reason.PROVIDER_CREDENTIALS, http_status=401), "auth", Scope.KEY),
        (failure(Reason.QUOTA_EXHAUSTED), "billing", Scope.ACCOUNT),
        (failure(Reason.QUOTA_EXHAUSTED, retry_same=True), "billing_other_version", None),
        (failure(Reason.CONTEXT_LENGTH_EXCEEDED), "context_length", None),
        (failure(Reason.CONFLICT), "conflict", None),
        (failure(Reason.INVALID_REQUEST), "caller", None),
        (failure(Reason.CANCELLED), "client_gone", None),
        (Failure(Reason.UNSPECIFIED), "unknown", None),
        (Failure(Reason.UNSPECIFIED, retry_other=True), "unknown", None),
    ],
)
def test_whose_fault_it_was(given, rule, scope):
    found = classified(given)
    assert (found.id, found.scope) == (rule, scope)


@pytest.mark.parametrize("reason", [Reason.INVALID_REQUEST, Reason.MODEL_NOT_FOUND, Reason.DEADLINE_EXCEEDED])
def test_what_says_nothing_about_the_upstream(reason):
    assert not is_upstream(classified(failure(reason)))


def test_content_is_final_whatever_failed():
    assert stopped(failure(Reason.PROVIDER_ERROR), committed=True) is Stop.COMMITTED


def test_the_callers_own_faults_are_final():
    for reason in (Reason.INVALID_REQUEST, Reason.CONTENT_BLOCKED, Reason.CANCELLED):
        assert stopped(failure(reason)) is Stop.FINAL
    assert stopped(failure(Reason.PROVIDER_CREDENTIALS, callers_key=True)) is Stop.FINAL


def test_an_unknown_model_may_be_known_elsewhere_only_if_a_route_chose_it():
    assert stopped(failure(Reason.MODEL_NOT_FOUND)) is Stop.FINAL
    assert stopped(failure(Reason.MODEL_NOT_FOUND), by_route=True) is None


def test_the_adapters_advice_against_other_backends_is_heard():
    assert stopped(failure(Reason.OPERATION_UNSUPPORTED)) is None
    assert stopped(failure(Reason.OPERATION_UNSUPPORTED, retry_other=False)) is Stop.FINAL
    assert stopped(Failure(Reason.UPSTREAM_UNREACHABLE, lost=True)) is None, "a lost replica gives no advice"


def test_attempts_and_deadline_are_bounds():
    error = failure(Reason.PROVIDER_ERROR)
    assert stopped(*[error] * (MAX_FAILURES - 1)) is None
    assert stopped(*[error] * MAX_FAILURES) is Stop.ATTEMPTS
    assert stopped(error, left_s=0.01) is Stop.DEADLINE


def test_once_means_once_and_never_means_never():
    once = failure(Reason.PROVIDER_ERROR, http_status=500)
    assert after(once).closed == frozenset()
    assert after(once).again == {"a"}
    assert after(once, once).closed == {"a"}
    assert after(failure(Reason.RATE_LIMITED)).closed == {"a"}
    assert after(failure(Reason.PROVIDER_ERROR, http_status=500, retry_same=False)).closed == {"a"}


def test_what_hung_before_it_failed_is_not_asked_again():
    assert after(failure(Reason.PROVIDER_ERROR, http_status=504, elapsed_s=0.2)).again == {"a"}
    assert after(failure(Reason.PROVIDER_ERROR, http_status=504, elapsed_s=20.0)).closed == {"a"}


def test_a_lost_replica_closes_itself_and_not_its_backend():
    turn = after(failure(Reason.UPSTREAM_UNREACHABLE, lost=True))
    assert (turn.lost, turn.closed, turn.used) == ({ATTEMPT.replica.key}, frozenset(), {ATTEMPT.replica.key})


def test_the_cause_that_heals_first_is_told():
    def tried(*reasons: Reason) -> list[Tried]:
        return [Tried(ATTEMPT._replace(number=n), failure(reason)) for n, reason in enumerate(reasons, 1)]

    def told(*reasons: Reason, refusal: Refusal | None = None) -> Reason:
        found = answer(tried(*reasons), refusal)
        return found.reason if isinstance(found, Refusal) else found.failure.reason

    limited = Refusal(Reason.RATE_LIMITED, "", 3.0)
    nothing_left = Refusal(Reason.NO_HEALTHY_BACKEND, "", exhausted=True)
    assert told(Reason.PROVIDER_CREDENTIALS, Reason.RATE_LIMITED) is Reason.RATE_LIMITED
    assert told(Reason.RATE_LIMITED, Reason.QUOTA_EXHAUSTED, Reason.PROVIDER_CREDENTIALS) is Reason.RATE_LIMITED
    assert told(Reason.QUOTA_EXHAUSTED, Reason.PROVIDER_CREDENTIALS) is Reason.QUOTA_EXHAUSTED
    assert told(Reason.PROVIDER_ERROR, Reason.QUOTA_EXHAUSTED) is Reason.PROVIDER_ERROR
    assert told(Reason.PROVIDER_CREDENTIALS, refusal=limited) is Reason.RATE_LIMITED
    assert told(Reason.RATE_LIMITED, refusal=Refusal(Reason.QUOTA_EXHAUSTED, "")) is Reason.RATE_LIMITED
    assert told(Reason.PROVIDER_CREDENTIALS, refusal=nothing_left) is Reason.PROVIDER_CREDENTIALS
    assert told(Reason.RATE_LIMITED, Reason.INVALID_REQUEST) is Reason.INVALID_REQUEST
    last = answer(tried(Reason.PROVIDER_ERROR, Reason.UPSTREAM_TIMEOUT))
    assert isinstance(last, Tried)
    assert last.attempt.number == 2
    assert answer([], limited) is limited


def test_where_an_attempt_was_outrun_nobody_is_asked_again():
    assert outrun(NEW_TURN, ATTEMPT).lost == {ATTEMPT.replica.key}


def test_an_answer_that_begins_anew_goes_elsewhere_if_there_is_an_elsewhere():
    cut = Failure(Reason.STREAM_INTERRUPTED)
    assert restarted(NEW_TURN, ATTEMPT, cut, elsewhere=True).closed == {"a"}
    assert not restarted(NEW_TURN, ATTEMPT, cut).closed


# Keys, larger models, slow failures.

NEXT_KEY = failure(Reason.PROVIDER_CREDENTIALS, retry_same=True, retry_other=True)


def test_a_refused_key_with_a_successor_is_followed_at_once_and_not_counted():
    turn = after(failure(Reason.PROVIDER_ERROR), failure(Reason.PROVIDER_ERROR), *[NEXT_KEY] * MAX_WALKS)
    assert (turn.walks, turn.walking) == (MAX_WALKS, ATTEMPT)
    assert stop(turn, committed=False, by_route=False, left_s=10.0) is None
    assert turn.closed == {"a"}, "the two errors before"
    assert after(NEXT_KEY).closed == frozenset()


def test_the_walk_ends_and_the_deadline_ends_it_sooner():
    turn = after(*[NEXT_KEY] * (MAX_WALKS + 1))
    assert (turn.walking, turn.closed) == (None, {"a"})
    assert stop(turn, committed=False, by_route=False, left_s=10.0) is None, "another backend may have a better key"
    assert stopped(NEXT_KEY, left_s=0.01) is Stop.DEADLINE
    assert stopped(NEXT_KEY, committed=True) is Stop.COMMITTED
    assert after(NEXT_KEY, failure(Reason.PROVIDER_ERROR)).walking is None


def test_a_request_that_is_too_long_goes_to_a_larger_model_and_nowhere_else():
    too_long = failure(Reason.CONTEXT_LENGTH_EXCEEDED)
    assert stopped(too_long) is Stop.FINAL
    turn = after(too_long)
    assert turn.larger
    assert stop(turn, committed=False, by_route=True, left_s=10.0, has_larger=True) is None
    larger = Attempt(2, Candidate(A, "large", long_context=True), Replica("a", "h:1"))
    again = failed(turn, larger, too_long)
    assert stop(again, committed=False, by_route=True, left_s=10.0, has_larger=True) is Stop.FINAL
    assert not after(failure(Reason.PROVIDER_ERROR)).larger


def test_a_slow_failure_is_followed_only_if_the_deadline_clearly_allows_it():
    slow = failure(Reason.PROVIDER_ERROR, elapsed_s=SLOW_S + 1.0)
    assert stopped(slow, left_s=15.0) is Stop.DEADLINE
    assert stopped(slow, left_s=25.0) is None
    assert stopped(failure(Reason.PROVIDER_ERROR, elapsed_s=SLOW_S), left_s=15.0) is None


def test_no_first_content_in_time_is_the_pools_fault_and_moves_on():
    late = first_content_timeout(2.0)
    assert (classified(late).id, classified(late).scope) == ("ttft", Scope.POOL)
    assert stopped(late) is None
    assert after(late).closed == {"a"}


# After content.

BROKE = failure(Reason.STREAM_INTERRUPTED)
ALL = RoutePolicy(after_content=frozenset({AfterContent.RESTART, AfterContent.HOLD}))


def decided(
    broke: Failure = BROKE,
    asked: AfterContent = AfterContent.RESTART,
    policy: RoutePolicy = ALL,
    *,
    turn: Turn = NEW_TURN,
    tools: bool = False,
    left_s: float = 60.0,
) -> AfterContent:
    return after_content(turn, broke, policy, asked=asked, delivered_tools=tools, left_s=left_s)


def test_an_answer_begins_anew_only_where_caller_and_route_agree():
    assert decided() is AfterContent.RESTART
    assert decided(asked=AfterContent.HOLD) is AfterContent.RESTART
    assert decided(asked=AfterContent.FAIL) is AfterContent.FAIL
    assert decided(policy=RoutePolicy()) is AfterContent.FAIL
    only_hold = RoutePolicy(after_content=frozenset({AfterContent.HOLD}))
    assert decided(policy=only_hold) is AfterContent.FAIL


def test_an_answer_does_not_begin_anew_once_a_tool_call_was_delivered():
    assert decided(tools=True) is AfterContent.FAIL
    assert decided(tools=True, asked=AfterContent.HOLD) is AfterContent.RESTART, "it was not delivered"


def test_an_answer_begins_anew_twice_and_in_time():
    turn = NEW_TURN
    for _ in range(MAX_RESTARTS):
        assert decided(turn=turn) is AfterContent.RESTART
        turn = restarted(turn, ATTEMPT, BROKE)
    assert decided(turn=turn) is AfterContent.FAIL
    assert decided(left_s=0.01) is AfterContent.FAIL
    slow = failure(Reason.STREAM_INTERRUPTED, elapsed_s=40.0)
    assert decided(slow, left_s=60.0) is AfterContent.FAIL
    assert decided(slow, left_s=90.0) is AfterContent.RESTART


def test_a_callers_own_fault_does_not_begin_anew():
    assert decided(failure(Reason.CANCELLED)) is AfterContent.FAIL


def test_it_begins_anew_elsewhere_if_there_is_an_elsewhere():
    turn = restarted(NEW_TURN, ATTEMPT, BROKE)
    assert (turn.used, turn.lost, turn.closed) == ({ATTEMPT.replica.key}, frozenset(), frozenset())
    assert restarted(NEW_TURN, ATTEMPT, failure(Reason.STREAM_INTERRUPTED, lost=True)).lost == {ATTEMPT.replica.key}
    assert len(turn.tried) == 1
