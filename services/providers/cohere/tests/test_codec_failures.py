"""Streams that fail, and what Cohere's refusals mean."""

import json

import pytest
from cohere_recording import closed, end, event, opened, said, start

from antiphon.llm.v1 import response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_provider_cohere.codec import ERRORS, ChatStream, rate_limits, read_failure, request_id
from antiphon_wires import classification


def failed(*pieces):
    """(events before it, the error)."""
    stream = ChatStream(model="command-a", request_id="req-1")
    found = [one for piece in pieces for one in stream.feed(piece)]
    with pytest.raises(CallFailure) as raised:
        stream.close()
    return found, raised.value.error


def reason(*pieces):
    error = failed(*pieces)[1]
    return reason_name(error.reason), error.native_code or error.native_type


# -- streams


def test_a_finish_of_error_is_a_failure_and_the_usage_before_it_counts():
    found, error = failed(start(), opened(), said("half"), end("ERROR", error="boom"))
    assert reason_name(error.reason) == "PROVIDER_ERROR"
    assert (error.native_type, error.provider, error.model) == ("ERROR", "cohere", "command-a")
    assert error.provider_request_id == "req-1"
    assert [one.text_delta for one in found if one.text_delta] == ["half"]
    assert found[-1].usage.output_tokens == 27
    assert not any(one.HasField("candidate_end") for one in found)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("", "PROVIDER_ERROR"),
        ("the model is overloaded", "PROVIDER_OVERLOADED"),
        ("too many tokens: total number of tokens", "CONTEXT_LENGTH_EXCEEDED"),
    ],
)
def test_what_an_error_in_the_end_means(message, wanted):
    assert reason(start(), end("ERROR", error=message)) == (wanted, "ERROR")


def test_an_error_without_a_finish_reason():
    assert reason(start(), end(None, error="boom")) == ("PROVIDER_ERROR", "ERROR")
    assert reason(start(), end(None)) == ("UPSTREAM_PROTOCOL", "message_end_without_finish_reason")
    assert reason(start(), event("message-end")) == ("UPSTREAM_PROTOCOL", "message_end_without_finish_reason")
    assert reason(start(), end(["x"])) == ("UPSTREAM_PROTOCOL", "message_end_without_finish_reason")


def test_a_timeout_before_content_may_be_tried_elsewhere():
    error = failed(start(), opened(), end("TIMEOUT"))[1]
    assert (reason_name(error.reason), error.retry_other_backend) == ("PROVIDER_OVERLOADED", True)
    stream = ChatStream()
    found = stream.feed(start() + said("half") + end("TIMEOUT"))
    stream.check()
    assert found[-1].candidate_end.reason == response_pb2.FINISH_REASON_OVERLOADED


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([b"data: {oops\n\n"], ("UPSTREAM_PROTOCOL", "bad_json")),
        ([b"data: [1, 2]\n\n"], ("UPSTREAM_PROTOCOL", "bad_event")),
        ([b"data: " + b"[" * 100_000 + b"\n\n"], ("UPSTREAM_PROTOCOL", "bad_json")),
        ([start(), said("x")], ("PROVIDER_ERROR", "eof_without_finish_reason")),
        ([start(), said("x"), b"data: [DONE]\n\n"], ("UPSTREAM_PROTOCOL", "done_without_finish_reason")),
        ([b"data: [DONE]\n\n"], ("UPSTREAM_PROTOCOL", "done_without_finish_reason")),
        ([], ("PROVIDER_ERROR", "eof_without_finish_reason")),
        ([start(), said("x"), end()[:-9]], ("PROVIDER_ERROR", "eof_without_finish_reason")),
        ([b"data: {oops"], ("UPSTREAM_PROTOCOL", "bad_json")),
        ([start(), said("x"), end("ERROR", error="x")[:-2]], ("PROVIDER_ERROR", "ERROR")),
        ([start(), said("x"), closed()], ("PROVIDER_ERROR", "eof_without_finish_reason")),
        ([b'event: error\ndata: {"message": "the model is overloaded"}\n\n'], ("PROVIDER_OVERLOADED", "error")),
        ([b'data: {"message": "boom"}\n\n'], ("PROVIDER_ERROR", "error")),
        ([b'data: {"error": {"type": "overloaded_error"}}\n\n'], ("PROVIDER_OVERLOADED", "overloaded_error")),
        ([b'data: {"type": "error", "message": "x"}\n\n'], ("PROVIDER_ERROR", "error")),
    ],
)
def test_streams_that_are_no_answer(pieces, wanted):
    assert reason(*pieces) == wanted


@pytest.mark.parametrize("depth", [400, 700, 900, 990, 5000])
@pytest.mark.parametrize("text", ["", "\\ud83d"])
def test_nothing_is_nested_too_deeply_to_be_an_answer_or_a_failure(depth, text):
    deep = b'data: {"type":"content-delta","x":' + b"[" * depth + b"]" * depth + b',"delta":{"message":{"content":'
    deep += b'{"text":"a' + text.encode() + b'"}}}}\n\n'
    stream = ChatStream()
    found = stream.feed(start() + deep + end())
    if not found or not found[-1].HasField("candidate_end"):
        with pytest.raises(CallFailure, match="UPSTREAM_PROTOCOL"):
            stream.check()


def test_no_text_of_a_failure_reaches_the_caller():
    error = failed(start(), end("ERROR", error="Authorization: Bearer sk-secret0123456789"))[1]
    assert "secret" not in str(error)


def test_an_event_that_outgrows_its_bound():
    assert reason(start(), b"data: " + b"x" * (9 << 20))[0] == "UPSTREAM_PROTOCOL"


# -- refusals


def classify(status, message, **headers):
    body = json.dumps({"id": "x", "message": message}).encode()
    return classification.classify("cohere", status, headers, body, now_s=0.0, model="m", extra=ERRORS)


@pytest.mark.parametrize(
    ("status", "message", "wanted"),
    [
        (400, "invalid request: list of documents must not be empty", "INVALID_REQUEST"),
        (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081", "CONTEXT_LENGTH_EXCEEDED"),
        (400, "too many tokens: max tokens must be less than or equal to 4096", "INVALID_REQUEST"),
        (400, "invalid request: response_format is not supported with RAG.", "PARAM_UNSUPPORTED"),
        (401, "invalid api token", "PROVIDER_CREDENTIALS"),
        (402, "please add or update your payment method", "QUOTA_EXHAUSTED"),
        (403, "billing limit reached", "QUOTA_EXHAUSTED"),
        (403, "no access", "PROVIDER_CREDENTIALS"),
        (404, "model 'x' not found", "MODEL_NOT_FOUND"),
        (422, "field 'messages' is required", "INVALID_REQUEST"),
        (429, "You are using a Trial key, which is limited to 1000 API calls / month", "QUOTA_EXHAUSTED"),
        (429, "You are using a Trial key, which is limited to 40 API calls / minute", "RATE_LIMITED"),
        (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", "RATE_LIMITED"),
        (498, "invalid token", "PROVIDER_CREDENTIALS"),
        (499, "request cancelled", "PROVIDER_ERROR"),
        (500, "internal server error", "PROVIDER_ERROR"),
        (501, "not implemented", "OPERATION_UNSUPPORTED"),
        (503, "the model is overloaded", "PROVIDER_OVERLOADED"),
        (503, "no healthy upstream", "PROVIDER_ERROR"),
        (504, "gateway timeout", "PROVIDER_ERROR"),
    ],
)
def test_refusals(status, message, wanted):
    """https://docs.cohere.com/reference/errors (2026-11)."""
    assert reason_name(classify(status, message).reason) == wanted


def test_waiting():
    spent = classify(429, "limited to 1000 API calls / month", **{"retry-after": "7"})
    assert not spent.HasField("retry_delay")
    reset = classify(429, "slow down", **{"x-ratelimit-reset": "1700000060"})
    assert reset.retry_delay.seconds == 3600, "an hour is the longest"
    assert classify(429, "slow down").retry_delay.seconds == 1


def test_rows_have_ids_of_their_own():
    ids = [row.id for row in (*ERRORS, *classification.TABLE)]
    assert len(set(ids)) == len(ids)


def test_the_word_stands_for_the_type():
    assert read_failure("ERROR", "x", model="m").native_type == "ERROR"


# -- headers


def test_limits_of_trial_keys():
    told = {
        "x-trial-endpoint-call-limit": "20", "x-trial-endpoint-call-remaining": "19",
        "x-endpoint-monthly-call-limit": "1000", "x-other": "1",
    }  # fmt: skip
    first, month = rate_limits(told, 0.0)
    assert (first.name, first.limit, first.remaining) == ("requests", 20, 19)
    assert (month.name, month.limit, month.HasField("remaining")) == ("requests_per_month", 1000, False)
    assert rate_limits({"x-trial-endpoint-call-limit": "many"}, 0.0) == []


def test_request_ids():
    assert request_id({"x-debug-trace-id": "d1", "x-request-id": "r1"}) == "d1"
    assert request_id({"x-request-id": "r1"}) == "r1"
    assert request_id({}) == ""
    assert "sk-canary" not in request_id({"x-debug-trace-id": "sk-canary-0123456789"})
