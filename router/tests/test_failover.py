"""After a failed attempt: who may be tried, when it ends, and which failure is told. And the table behind it."""

import pytest

from antiphon_contract.errors import RULES as CONTRACT
from antiphon_contract.errors import reason_name
from antiphon_router.core.failover import MAX_FAILURES, NEW_TURN, Attempt, Stop, Tried, answer, failed, stop
from antiphon_router.core.faults import RULES, Failure, Other, Reason, Same, classified, is_upstream
from antiphon_router.core.resolve import Refusal
from antiphon_router.core.values import Backend, Candidate, Replica, Scope

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
        (failure(Reason.PROVIDER_CREDENTIALS, callers_key=True), "callers_key", None),
        (failure(Reason.PROVIDER_CREDENTIALS, retry_same=True), "auth_other_version", None),
        (failure(Reason.PROVIDER_CREDENTIALS, http_status=403), "permission", Scope.KEY_MODEL),
        (failure(Reason.PROVIDER_CREDENTIALS, http_status=401), "auth", Scope.KEY),
        (failure(Reason.QUOTA_EXHAUSTED), "billing", Scope.ACCOUNT),
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
