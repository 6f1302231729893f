import itertools
import json

import pytest

from antiphon_contract.errors import Reason, reason_name
from antiphon_wires.classification import TABLE, Row, classify, classify_in_stream
from antiphon_wires.error_body import Facts, clean, read_body

KEY = "sk-proj-abcdefghijklmnop"


def error(status, body=b"", headers=None, **kwargs):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return classify("openai", status, headers or {}, body, now_s=0.0, model="gpt", **kwargs)


def openai_error(code=None, message="m", kind="t", **more):
    return {"error": {"message": message, "type": kind, "code": code, "param": None, **more}}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, openai_error(), "INVALID_REQUEST"),
        (422, {"detail": [{"loc": ["body"], "msg": "bad"}]}, "INVALID_REQUEST"),
        (418, b"", "INVALID_REQUEST"),
        (400, openai_error("context_length_exceeded"), "CONTEXT_LENGTH_EXCEEDED"),
        (400, {"error": {"code": 400, "message": "m", "type": "exceed_context_size_error"}}, "CONTEXT_LENGTH_EXCEEDED"),
        (400, openai_error(message="This model's maximum context length is 8 tokens"), "CONTEXT_LENGTH_EXCEEDED"),
        (400, openai_error("unsupported_parameter"), "PARAM_UNSUPPORTED"),
        (400, openai_error("content_policy_violation"), "CONTENT_BLOCKED"),
        (400, openai_error("invalid_encrypted_content"), "OPAQUE_STATE_REJECTED"),
        (400, openai_error(message="The `reasoning_content` must be passed back"), "OPAQUE_STATE_REJECTED"),
        (400, openai_error(message="Your credit balance is too low"), "QUOTA_EXHAUSTED"),
        (400, openai_error(message="Incorrect API key provided"), "PROVIDER_CREDENTIALS"),
        (401, openai_error("invalid_api_key"), "PROVIDER_CREDENTIALS"),
        (403, b"<html>no</html>", "PROVIDER_CREDENTIALS"),
        (498, {"message": "invalid token"}, "PROVIDER_CREDENTIALS"),
        (402, {"error": {"message": "Insufficient Balance"}}, "QUOTA_EXHAUSTED"),
        (404, openai_error("model_not_found"), "MODEL_NOT_FOUND"),
        (403, openai_error("model_not_found"), "MODEL_NOT_FOUND"),
        (404, b"not found", "MODEL_NOT_FOUND"),
        (413, b"", "REQUEST_TOO_LARGE"),
        (409, b"", "CONFLICT"),
        (408, b"", "PROVIDER_ERROR"),
        (425, b"", "PROVIDER_ERROR"),
        (429, openai_error("rate_limit_exceeded"), "RATE_LIMITED"),
        (429, b"", "RATE_LIMITED"),
        (429, openai_error("insufficient_quota"), "QUOTA_EXHAUSTED"),
        (429, {"error": {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}},
         "QUOTA_EXHAUSTED"),
        (429, openai_error("engine_overloaded"), "PROVIDER_OVERLOADED"),
        (500, b"", "PROVIDER_ERROR"),
        (502, b"<html>Bad gateway</html>", "PROVIDER_ERROR"),
        (503, openai_error("server_is_overloaded"), "PROVIDER_OVERLOADED"),
        (503, b"", "PROVIDER_ERROR"),
        (529, b"", "PROVIDER_OVERLOADED"),
        (599, b"", "PROVIDER_ERROR"),
        (501, openai_error(kind="not_supported_error"), "OPERATION_UNSUPPORTED"),
        (308, b"", "UPSTREAM_PROTOCOL"),
    ],
)  # fmt: skip
def test_reasons(status, body, reason):
    found = error(status, body)
    assert reason_name(found.reason) == reason
    assert found.http_status == status
    assert found.provider == "openai"
    assert found.model == "gpt"


def test_no_input_has_two_rows_of_the_same_precedence():
    for one, other in itertools.combinations(TABLE, 2):
        same_status = not one.http or not other.http or one.http & other.http
        assert not (same_status and one.words & other.words), (one.id, other.id)
        assert not (same_status and set(one.phrases) & set(other.phrases)), (one.id, other.id)
        if not (one.words or one.phrases or other.words or other.phrases):
            assert not one.http & other.http, (one.id, other.id)
    assert len({row.id for row in TABLE}) == len(TABLE)
    assert all(row.words or row.phrases or row.http for row in TABLE)
    assert all(text == text.lower() for row in TABLE for text in (*row.words, *row.phrases))


def test_the_four_meanings_of_429():
    by_key = error(429, b"", {"retry-after": "7"})
    assert by_key.retry_delay.seconds == 7
    assert by_key.retry_same_backend
    by_pool = error(429, b"", {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"})
    assert by_pool.retry_delay.seconds == 360
    assert by_pool.rate_limits[0].name == "tokens"
    unknown = error(429)
    assert unknown.retry_delay.seconds == 1
    quota = error(429, openai_error("insufficient_quota"), {"retry-after": "7"})
    assert not quota.HasField("retry_delay")
    assert not quota.retry_same_backend


def test_a_delay_of_another_error_is_kept_and_none_is_invented():
    assert error(503, b"", {"retry-after-ms": "250"}).retry_delay.ToMilliseconds() == 250
    assert not error(503).HasField("retry_delay")


def test_the_vendor_may_forbid_a_retry():
    assert error(500).retry_same_backend
    assert not error(500, b"", {"x-should-retry": "false"}).retry_same_backend


def test_the_callers_fault_is_told_in_the_vendors_words_without_secrets():
    text = f"bad\nvalue {KEY} see https://u:p@x.test/a?token=1 " + "long " * 200
    found = error(400, openai_error("c", text, param="messages[0]"), {"x-request-id": "req-1"})
    assert found.message.startswith("openai refused the request (HTTP 400): bad value [redacted] see https://x.test/a ")
    assert len(found.message) < 600
    assert (found.native_type, found.native_code, found.param, found.provider_request_id) == (
        "t", "c", "messages[0]", "req-1"
    )  # fmt: skip
    assert KEY.encode() not in found.native_body
    assert b"token=1" not in found.native_body


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_other_faults_are_not(status):
    found = error(status, openai_error("c", f"Incorrect key {KEY}"))
    assert "Incorrect" not in found.message
    assert found.native_body == b""
    assert KEY not in str(found)


def test_a_body_of_a_mebibyte():
    body = json.dumps(openai_error("insufficient_quota", "x" * 100)).encode()[:-1] + b" " * (1 << 20) + b"}"
    found = error(429, body)
    assert reason_name(found.reason) == "QUOTA_EXHAUSTED"
    assert found.native_code == "insufficient_quota"
    huge = error(400, json.dumps(openai_error("c", "word " * (1 << 18))).encode())
    assert len(huge.native_body) <= 65536
    assert reason_name(error(500, b'{"error": "' + b"x" * (1 << 20)).reason) == "PROVIDER_ERROR"


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"error": "text"}, ("text", "", "")),
        ({"error": {"message": "m", "type": "t", "code": 7}}, ("m", "t", "7")),
        ([{"error": {"message": "m", "status": "UNAVAILABLE", "code": 503}}], ("m", "UNAVAILABLE", "503")),
        ({"message": "m"}, ("m", "", "")),
        ({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}, ("m", "BadRequestError", "400")),
        ({"detail": "d"}, ("d", "", "")),
        ({"detail": [1]}, ("[1]", "", "")),
        ({"error": {"message": None, "type": True}}, ("", "", "")),
        ([], ("", "", "")),
        ("text", ("", "", "")),
    ],
)
def test_shapes_of_bodies(body, facts):
    found = read_body(json.dumps(body).encode())
    assert (found.message, found.type, found.code) == facts


def test_details_of_a_body():
    body = {
        "error": {"message": "m", "details": [1, {"retryDelay": "30s"}, {"error_code": "x_y"}]},
        "request_id": "req-2",
    }
    found = read_body(json.dumps(body).encode())
    assert (found.retry_hint, found.request_id, found.words) == ("30s", "req-2", frozenset({"x_y"}))
    assert read_body(b"<html>") == Facts()
    assert read_body(b'{"cut": ') == Facts()


def test_the_key_that_was_sent_never_gets_out_whatever_it_looks_like():
    found = error(400, openai_error("c", "the key hunter2 has no access", param="hunter2"), hide="hunter2")
    assert "the key [redacted] has no access" in found.message
    assert "hunter2" not in str(found)


def test_rows_of_a_vendor_come_first():
    row = Row("own", Reason.ERROR_REASON_CONFLICT, frozenset({429}))
    assert error(429, openai_error("insufficient_quota"), extra=[row]).reason == Reason.ERROR_REASON_CONFLICT


def test_an_error_within_a_stream():
    found = classify_in_stream("x", b'{"error": {"message": "m", "type": "overloaded_error"}}')
    assert reason_name(found.reason) == "PROVIDER_OVERLOADED"
    assert (found.http_status, found.message) == (200, "x is overloaded (within its answer)")
    found = classify_in_stream("x", b'{"error": {"message": "m", "code": 429}}')
    assert (reason_name(found.reason), found.http_status) == ("RATE_LIMITED", 429)
    assert reason_name(classify_in_stream("x", b"oops").reason) == "PROVIDER_ERROR"


@pytest.mark.parametrize(
    "text", [KEY, "Bearer abc.def", "AIzaSyA1234567890", "a" * 40, "https://x.test/?key=1", "https://u:p@x.test"]
)
def test_clean(text):
    cleaned = clean(f"<{text}>")
    assert text not in cleaned
    assert cleaned.startswith("<")


@pytest.mark.parametrize(
    "text", ["", "req_1", "3fa85f64-5717-4562-b3fc-2c963f66afa6", "0af7651916cd43dd8448eb211c80319c"]
)
def test_clean_leaves_ids_alone(text):
    assert clean(text) == text
    assert clean("0" * 36, 8) == "0" * 8
    assert clean("0" * 40) == "[redacted]"
    assert clean(f"a\nb\x7f{text}") == f"a b {text}".strip()
