"""The router's record keeps to its budget."""

from antiphon.llm.v1 import response_pb2, usage_pb2
from antiphon_contract.errors import Reason, call_error
from antiphon_contract.metadata import MAX_ROUTER_END_BYTES
from antiphon_router.core.failover import Attempt
from antiphon_router.core.values import Backend, Candidate, Replica
from antiphon_router.shell.record import failed_attempt, lost_attempt, router_end
from antiphon_router.shell.wire import estimated_usage

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


def used(**facts) -> response_pb2.ResponseEnd:
    end = response_pb2.ResponseEnd(response_id="i.1", **facts)
    end.usage.input_tokens = 12
    end.usage.native_json = "{}"
    end.usage.source = usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL
    return end


def test_a_failed_attempt_tells_what_its_adapter_said_that_it_cost():
    error = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut")
    end = used(cost={"currency": "USD", "amount_pico": 5})
    attempt = failed_attempt(ATTEMPT, error, 1.5, end.SerializeToString())
    assert (attempt.response_id, attempt.cost.amount_pico, attempt.usage.input_tokens) == ("i.1", 5, 12)
    assert not attempt.usage.native_json
    unknown = failed_attempt(ATTEMPT, error, 1.5, response_pb2.ResponseEnd(usage={"source": 3}).SerializeToString())
    assert not unknown.HasField("usage")
    assert not unknown.HasField("cost")
    assert not failed_attempt(ATTEMPT, error, 1.5, b"\xff\xff").HasField("usage")


def test_an_attempt_that_lost_a_race_has_an_estimate_flagged_as_such():
    lost = lost_attempt(ATTEMPT, ATTEMPT._replace(number=2), 0.5, estimated_usage(400))
    assert (lost.error.reason, lost.error.attempt) == (Reason.ERROR_REASON_CANCELLED, 1)
    assert "attempt 2" in lost.error.message
    assert (lost.usage.input_tokens, lost.usage.source) == (100, usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE)


def test_a_record_of_voided_and_lost_attempts_keeps_its_budget_and_its_tokens():
    error = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "x" * 900)
    end = used()
    for number in range(20):
        end.usage.by_modality.add(modality=f"modality {number}", input_tokens=1)
    voided = failed_attempt(ATTEMPT, error, 1.5, end.SerializeToString())
    lost = lost_attempt(ATTEMPT._replace(number=2), ATTEMPT, 0.5, estimated_usage(400))
    data = router_end([voided, lost, voided], ATTEMPT._replace(number=4), 2.0, 0.5, restarts=2)
    assert len(data) <= MAX_ROUTER_END_BYTES
    record = response_pb2.RouterEnd.FromString(data)
    assert [each.usage.input_tokens for each in record.attempts] == [12, 100, 12]
    assert record.attempts[0].usage.source == usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL
    assert (record.restarts, record.final_attempt) == (2, 4)
