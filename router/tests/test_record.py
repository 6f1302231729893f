"""The router's record keeps to its budget."""

from antiphon.llm.v1 import response_pb2
from antiphon_contract.errors import Reason, call_error
from antiphon_contract.metadata import MAX_ROUTER_END_BYTES
from antiphon_router.core.failover import Attempt
from antiphon_router.core.values import Backend, Candidate, Replica
from antiphon_router.shell.record import failed_attempt, router_end

ATTEMPT = Attempt(1, Candidate(Backend("a", "p"), "m"), Replica("a", "h:1"))


def record(*messages: str) -> response_pb2.RouterEnd:
    attempts = []
    for number, message in enumerate(messages, 1):
        error = call_error(Reason.ERROR_REASON_RATE_LIMITED, message, native_body=b"b" * 900, native_type="t" * 100)
        for _ in range(10):
            error.rate_limits.add(name="requests")
        attempts.append(failed_attempt(ATTEMPT._replace(number=number), error, 1.5))
    data = router_end(attempts, ATTEMPT._replace(number=len(messages) + 1), 2.25)
    assert len(data) <= MAX_ROUTER_END_BYTES
    return response_pb2.RouterEnd.FromString(data)


def test_a_short_record_is_whole_but_for_native_data():
    end = record("short")
    assert end.attempts[0].error.message == "short"
    assert end.attempts[0].duration.ToTimedelta().total_seconds() == 1.5
    assert not end.attempts[0].error.native_body
    assert end.timing.total_duration.ToTimedelta().total_seconds() == 2.25
    assert end.final_attempt == 2


def test_long_messages_are_cut_before_attempts_are_dropped():
    end = record("x" * 900, "y" * 900)
    assert [len(a.error.message) for a in end.attempts] == [100, 100]
    assert not end.attempts[0].error.rate_limits


def test_attempts_are_dropped_when_nothing_else_helps():
    end = record(*["x" * 900] * 6)
    assert 0 < len(end.attempts) < 6
    assert end.attempts[-1].number == 6


def test_a_call_that_nobody_ended_has_no_final_attempt():
    end = response_pb2.RouterEnd.FromString(router_end([], None, 0.5))
    assert (end.final_attempt, end.backend) == (0, "")
