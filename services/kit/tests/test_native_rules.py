"""What passes through the tunnel and what does not."""

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import http_pb2, native_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_kit.native_rules import check_native, passed_on, returned
from antiphon_kit.provider import NativeOperation

OPERATIONS = (
    NativeOperation("POST", "/v1/chat", ["x/chat", "x"]),
    NativeOperation("POST", "/v1/files", ["x/files"]),
    NativeOperation("GET", "/v1/files", ["x/files", "x/list"]),
)
POST = 'request { method: "POST" path: "/v1/chat" } dialect: "x" '


def parse(text):
    return text_format.Parse(text, native_pb2.StreamNativeRequest())


@pytest.mark.parametrize(
    "text",
    [
        POST,
        'request { method: "POST" path: "/v1/chat" } dialect: "x/chat"',
        'request { method: "GET" path: "/v1/files?limit=2&include[]=a%20b" } dialect: "x/list"',
        'request { method: "POST" path: "/v1/chat" headers { name: "x-a" value: "\\303\\251 \\t" } } dialect: "x"',
        POST + "options { native_mode: NATIVE_MODE_ATTACH }",
    ],
)
def test_good_requests_pass(text):
    check_native(parse(text), "", OPERATIONS)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("", "request.path"),
        ('request { method: "POST" path: "/v1/other" } dialect: "x"', "request.path"),
        ('request { method: "POST" path: "/v1/chat/" } dialect: "x"', "request.path"),
        ('request { method: "POST" path: "/v1/files/../chat" } dialect: "x"', "request.path"),
        ('request { method: "POST" path: "v1/chat" } dialect: "x"', "request.path"),
        ('request { method: "POST" path: "//v1/chat" } dialect: "x"', "request.path"),
        ('request { method: "POST" path: "/v1/chat#a" } dialect: "x"', "request.path"),
        ('request { method: "POST" path: "/v1/chat?a b" } dialect: "x"', "request.path"),
        ('request { method: "POST" path: "/v1/chat?a\\r\\nb" } dialect: "x"', "request.path"),
        ('request { method: "DELETE" path: "/v1/chat" } dialect: "x"', "request.method"),
        ('request { method: "post" path: "/v1/chat" } dialect: "x"', "request.method"),
        ('request { method: "POST" path: "/v1/chat" }', "dialect"),
        ('request { method: "POST" path: "/v1/files" } dialect: "x/list"', "dialect"),
        ('request { method: "POST" path: "/v1/chat" headers { name: "X" } } dialect: "x"', "request.headers[0].name"),
        ('request { method: "POST" path: "/v1/chat" headers { name: "" } } dialect: "x"', "request.headers[0].name"),
        (
            'request { method: "POST" path: "/v1/chat" headers { name: "a" } headers { name: "b" value: "1\\r\\nc" } }'
            ' dialect: "x"',
            "request.headers[1].value",
        ),
        (
            'request { method: "POST" path: "/v1/chat" headers { name: "a" value: "\\342\\202\\254" } } dialect: "x"',
            "request.headers[0].value",
        ),
        (POST + 'options { provider_json { key: "x" value: "{}" } }', "options.provider_json"),
        (POST + "options { timeouts { per_attempt {} } }", "options.timeouts.per_attempt"),
    ],
)
def test_bad_requests_name_the_field(text, param):
    with pytest.raises(CallFailure) as raised:
        check_native(parse(text), "", OPERATIONS)
    error = raised.value.error
    assert (reason_name(error.reason), error.param) == ("INVALID_REQUEST", param)


def test_remedies_name_what_is_allowed():
    with pytest.raises(CallFailure, match=r"POST /v1/chat, POST /v1/files, GET /v1/files"):
        check_native(parse(""), "", OPERATIONS)
    with pytest.raises(CallFailure, match="use one of: none"):
        check_native(parse(""), "", ())
    with pytest.raises(CallFailure, match="use POST, GET"):
        check_native(parse('request { method: "PUT" path: "/v1/files" } dialect: "x"'), "", OPERATIONS)


def test_a_model_may_be_long_but_not_too_long():
    with pytest.raises(CallFailure, match="model"):
        check_native(parse(POST), "m" * 257, OPERATIONS)


def fields(*pairs):
    return [http_pb2.HttpHeader(name=name, value=value) for name, value in pairs]


def pairs(headers):
    return [(header.name, header.value) for header in headers]


def test_credentials_and_hop_by_hop_fields_of_the_caller_stay_here():
    kept = [("x-a", "1"), ("x-a", "2"), ("content-type", "application/json"), ("content-encoding", "gzip")]
    dropped = [
        *[(name, "s") for name in ("authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key")],
        *[("host", "h"), ("content-length", "3"), ("accept-encoding", "zstd"), ("expect", "100-continue")],
        *[("connection", "close, X-Mine"), ("x-mine", "1"), ("transfer-encoding", "chunked"), ("te", "trailers")],
        *[("proxy-authorization", "s"), ("x-amz-security-token", "s"), ("upgrade", "h2c")],
    ]
    assert pairs(passed_on(fields(*kept, *dropped))) == kept


def test_codings_cookies_and_hop_by_hop_fields_of_the_vendor_stay_here():
    given = [("X-Request-Id", "r"), ("Content-Encoding", "gzip"), ("Content-Length", "3"), ("Set-Cookie", "s")]
    given += [("Connection", "x-secret"), ("X-Secret", "1"), ("Keep-Alive", "5"), ("retry-after", "1"), ("x-a", "1")]
    assert pairs(returned([*given, ("X-A", "2")])) == [
        ("x-request-id", "r"),
        ("retry-after", "1"),
        ("x-a", "1"),
        ("x-a", "2"),
    ]
