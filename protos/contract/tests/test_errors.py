from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract import errors, metadata
from antiphon_contract.errors import Reason

REASONS = [reason for reason in Reason.values() if reason != Reason.ERROR_REASON_UNSPECIFIED]


@pytest.mark.parametrize("reason", REASONS, ids=errors.reason_name)
def test_every_reason_has_a_rule_and_survives_the_trailers(reason):
    error = errors.call_error(reason, "what happened; what to do", provider="openai", http_status=429, native_code="x")
    status = errors.to_status(error)
    assert status.code is errors.RULES[reason].code
    assert status.code is not grpc.StatusCode.OK
    assert dict(status.trailing_metadata)[metadata.PUSHBACK] == "-1"
    assert errors.from_trailers(status.trailing_metadata) == error


def test_details_are_call_error_then_error_info_then_retry_info():
    error = errors.call_error(Reason.ERROR_REASON_RATE_LIMITED, "slow down", retry_delay_s=1.5, provider="openai")
    packed = status_pb2.Status.FromString(dict(errors.to_status(error).trailing_metadata)[metadata.STATUS_DETAILS])
    kinds = [error_pb2.CallError, error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo]
    assert [any_.Is(kind.DESCRIPTOR) for any_, kind in zip(packed.details, kinds, strict=True)] == [True] * 3
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert packed.details[1].Unpack(info)
    assert packed.details[2].Unpack(retry)
    assert (info.reason, info.domain, dict(info.metadata)) == ("RATE_LIMITED", "antiphon.llm", {"provider": "openai"})
    assert retry.retry_delay.ToTimedelta() == timedelta(seconds=1.5)


def test_without_a_delay_there_is_no_retry_info():
    error = errors.call_error(Reason.ERROR_REASON_QUOTA_EXHAUSTED, "no credit left")
    packed = status_pb2.Status.FromString(dict(errors.to_status(error).trailing_metadata)[metadata.STATUS_DETAILS])
    assert len(packed.details) == 2


@pytest.mark.parametrize(("given_s", "kept_s"), [(-5, 0), (0, 0), (12.25, 12.25), (1e9, 3600)])
def test_delays_are_kept_between_now_and_an_hour(given_s, kept_s):
    error = errors.call_error(Reason.ERROR_REASON_RATE_LIMITED, "m", retry_delay_s=given_s)
    assert error.retry_delay.ToTimedelta().total_seconds() == kept_s


@pytest.mark.parametrize("message", ["m" * 9000, "🙂" * 9000, "short"], ids=["ascii", "wide", "short"])
@pytest.mark.parametrize("native", [0, 200, 4000])
@pytest.mark.parametrize("body", [0, 500, 70_000])
@pytest.mark.parametrize(
    "outcome", [response_pb2.ResponseEnd.OUTCOME_FAILED, response_pb2.ResponseEnd.OUTCOME_COMPLETED]
)
def test_trailers_of_any_error_keep_within_their_budget(message, native, body, outcome):
    error = errors.call_error(
        Reason.ERROR_REASON_PROVIDER_ERROR,
        message,
        native_type="t" * native,
        native_code="c" * native,
        native_body=b"b" * body,
    )
    error.rate_limits.extend([error_pb2.RateLimit(name="n" * 100)] * (native // 100))
    end = response_pb2.ResponseEnd(outcome=outcome, native_json="j" * native)
    if outcome == response_pb2.ResponseEnd.OUTCOME_FAILED:
        end.error.CopyFrom(error)
    if native:
        end.usage.native_json = "u" * native
    for _ in range(native // 40):
        end.warnings.add(path="params.top_k", message=message[:512], native_json="w" * native)
    status = errors.to_status(error, errors.end_trailer(end))
    sizes = {key: len(value) for key, value in status.trailing_metadata}
    assert sizes[metadata.STATUS_DETAILS] <= metadata.MAX_STATUS_DETAILS_BYTES
    assert sizes[metadata.END] <= metadata.MAX_END_BYTES
    assert len(status.details.encode()) <= 512
    assert errors.from_trailers(status.trailing_metadata).reason == error.reason
    assert errors.end_from_trailers(status.trailing_metadata).outcome == outcome


@given(st.text(max_size=600), st.integers(min_value=0, max_value=700))
def test_a_cut_text_is_a_prefix_that_fits(text, max_bytes):
    whole = text.encode("utf-8", "replace").decode()
    kept = errors.cut(whole, max_bytes)
    assert whole.startswith(kept)
    assert len(kept.encode()) <= max_bytes or kept == whole
    assert len(kept.encode()) > max_bytes - 4 or kept == whole


def test_the_record_travels_without_native_data_but_with_all_else():
    end = response_pb2.ResponseEnd(
        outcome=response_pb2.ResponseEnd.OUTCOME_COMPLETED, response_id="i.a", native_json="{}", event_count=7
    )
    end.usage.input_tokens, end.usage.native_json = 3, '{"prompt_tokens":3}'
    sent = errors.end_from_trailers([errors.end_trailer(end)])
    assert not sent.HasField("error")
    assert (sent.native_json, sent.usage.native_json) == ("", "")
    assert (sent.usage.input_tokens, sent.response_id, sent.event_count) == (3, "i.a", 7)


def test_a_record_of_endless_names_is_cut_too():
    end = response_pb2.ResponseEnd(model="m" * 9000, service_tier="t" * 9000, event_count=7)
    key, packed = errors.end_trailer(end)
    assert len(packed) <= metadata.MAX_END_BYTES
    sent = errors.end_from_trailers([(key, packed)])
    assert (sent.model, sent.event_count) == ("m" * 256, 7)


def test_details_of_others_are_passed_over():
    status = status_pb2.Status(code=14)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="OTHER"))
    assert errors.from_trailers([(metadata.STATUS_DETAILS, status.SerializeToString())]) is None


@pytest.mark.parametrize(
    "trailers",
    [(), (("x", "y"),), ((metadata.STATUS_DETAILS, b"\xff\xff"),), ((metadata.STATUS_DETAILS, b""),)],
    ids=["none", "foreign", "garbage", "empty"],
)
def test_trailers_without_a_call_error_read_as_none(trailers):
    assert errors.from_trailers(trailers) is None
    assert errors.end_from_trailers([(metadata.END, b"\xff\xff")]) is None
    assert errors.end_from_trailers(trailers) is None


def test_a_reason_from_the_future_has_no_name_here():
    assert errors.reason_name(Reason.ERROR_REASON_RATE_LIMITED) == "RATE_LIMITED"
    assert errors.reason_name(999) == "UNSPECIFIED"


def test_a_failure_reads_well_in_a_log():
    raised = errors.failure(Reason.ERROR_REASON_INVALID_REQUEST, "`model` is empty; name one", param="model")
    assert str(raised) == "INVALID_REQUEST: `model` is empty; name one"
    assert raised.error.param == "model"
