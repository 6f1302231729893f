"""The adapter beside chat: counting, models, readiness, the tunnel, settings, logs."""

import contextlib
import json
import logging

import pytest
from adapter_calls import JSON, SSE, failure
from anthropic_calls import ANSWER, KEY, batches, error_body, turn
from anthropic_speech import RECORDED

from antiphon.llm.v1 import http_pb2, models_pb2, native_pb2
from antiphon_contract.errors import Reason, reason_name
from antiphon_kit.provider import Job
from antiphon_kit.secrets import EnvSecret, FileSecret
from antiphon_kit.settings import ServiceSettings
from antiphon_provider_anthropic.adapter import AnthropicAdapter
from antiphon_provider_anthropic.settings import BASE_URL, configured
from antiphon_wires import readiness

# -- counting


async def test_the_vendor_counts(vendor, provider):
    vendor.says(b'{"input_tokens": 14}', **JSON)
    counted = await provider.count_tokens(turn("params { max_output_tokens: 5 }"))
    assert (counted.input_tokens, counted.estimated, counted.native_json) == (14, False, '{"input_tokens": 14}')
    [received] = vendor.requests
    assert received.path == "/v1/messages/count_tokens"
    assert received.headers["accept"] == "application/json"
    assert received.json.keys() == {"model", "messages"}


async def test_counts_that_fail(vendor, provider):
    vendor.says(error_body(message="prompt is too long: 3 tokens > 2"), 400)
    assert reason_name((await failure(provider.count_tokens(turn()))).reason) == "CONTEXT_LENGTH_EXCEEDED"
    for nonsense in (b"{}", b"[]", b"oops", b'{"input_tokens": "x"}'):
        vendor.says(nonsense, **JSON)
        assert reason_name((await failure(provider.count_tokens(turn()))).reason) == "UPSTREAM_PROTOCOL"


# -- models and readiness


def listing(*ids, more=False, **members):
    data = [{"id": one, "type": "model", **members} for one in ids]
    return json.dumps({"data": data, "has_more": more, "last_id": ids[-1] if ids else None}).encode()


async def test_all_pages_of_models(vendor, provider):
    pages = [listing("a", "b", more=True), listing("c", max_tokens=8)]

    async def reply(_, writer):
        body = pages[len(vendor.requests) - 1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    vendor.reply = reply
    models = await provider.list_models()
    assert [model.id for model in models] == ["anthropic/a", "anthropic/b", "anthropic/c"]
    assert models[0].support["params.top_k"] == models_pb2.SUPPORT_IGNORED
    assert [received.path for received in vendor.requests] == [
        "/v1/models?limit=1000", "/v1/models?after_id=b&limit=1000",
    ]  # fmt: skip
    assert vendor.requests[0].headers["authorization"] == f"Bearer {KEY}"
    # What was listed counts for the calls after it.
    vendor.reply = None
    vendor.says(ANSWER, **SSE)
    await batches(provider, turn(model="c"))
    await batches(provider, turn(model="d"))
    assert [received.json["max_tokens"] for received in vendor.requests[2:]] == [8, 64000]


async def test_a_vendor_that_never_ends_its_list(vendor, provider):
    vendor.says(listing("a", more=True), **JSON)
    assert len(await provider.list_models()) == len(vendor.requests) == 10


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"data": 5}', b'{"data": [5]}', b'{"data": [{}]}', b'{"data": [], "has_more": true}']
)
async def test_lists_that_cannot_be_read(vendor, provider, body):
    vendor.says(body, **JSON)
    assert reason_name((await failure(provider.list_models())).reason) == "UPSTREAM_PROTOCOL"


async def test_lists_that_are_refused_or_late(vendor, provider, monkeypatch):
    vendor.says(error_body("authentication_error", f"no {KEY}"), 401)
    error = await failure(provider.list_models())
    assert reason_name(error.reason) == "PROVIDER_CREDENTIALS"
    assert KEY not in str(error)

    async def reply(_, writer):
        await vendor.hung_up.wait()

    vendor.reply = reply
    slow = AnthropicAdapter(vendor.url, EnvSecret({"K": KEY}, "K"), connect_timeout_s=0.1)
    assert reason_name((await failure(slow.list_models())).reason) == "UPSTREAM_TIMEOUT"
    vendor.hung_up.set()
    await slow.aclose()


async def test_readiness_is_asked_once_a_minute(vendor, provider, monkeypatch):
    vendor.says(listing("a"), **JSON)
    for _ in range(2):
        await provider.ready()
    assert len(vendor.requests) == 1
    monkeypatch.setattr(readiness, "READY_FOR_S", 0.0)
    provider._readiness = readiness.Readiness()
    for _ in range(2):
        await provider.ready()
    assert len(vendor.requests) == 3


@pytest.mark.parametrize(("status", "ready"), [(404, True), (405, True), (429, True), (401, False), (529, False)])
async def test_who_answers_is_reached(vendor, provider, status, ready):
    vendor.says(b"{}", status)
    if ready:
        await provider.ready()
    else:
        assert (await failure(provider.ready())).http_status == status


async def test_no_key_is_not_ready(vendor):
    provider = AnthropicAdapter(vendor.url, FileSecret("/nonexistent/key"))
    assert (await failure(provider.ready())).reason == Reason.ERROR_REASON_PROVIDER_CREDENTIALS
    await provider.aclose()


# -- the tunnel


async def test_the_tunnel_changes_no_byte(vendor, provider):
    vendor.says(RECORDED, **SSE, Request_Id="r", Anthropic_Organization_Id="org")
    http = native_pb2.HttpRequest(method="POST", path="/v1/messages?beta=true", body=b'{"a" : 1}')
    http.headers.extend(
        http_pb2.HttpHeader(name=name, value=value)
        for name, value in (("anthropic-version", "2023-06-01"), ("anthropic-workspace-id", "w"))
    )
    job = Job(request=native_pb2.StreamNativeRequest(request=http, dialect="anthropic/messages"), model="m")
    async with contextlib.aclosing(provider.stream_native(job)) as pieces:
        [answered, *body] = [piece async for piece in pieces]
    assert (answered.status, b"".join(body)) == (200, RECORDED)
    assert "anthropic-organization-id" not in dict(answered.headers)
    [received] = vendor.requests
    assert (received.path, received.body) == ("/v1/messages?beta=true", b'{"a" : 1}')
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-workspace-id" not in received.headers
    assert {row.path for row in provider.native_operations} == {
        "/v1/messages", "/v1/messages/count_tokens", "/v1/models",
    }  # fmt: skip


# -- settings and logs


async def test_settings(vendor, tmp_path):
    (tmp_path / "key").write_text("from-file")
    env = {"ANTHROPIC_API_KEY": "from-env", "ANTHROPIC_API_KEY_FILE": str(tmp_path / "key")}
    vendor.says(ANSWER, **SSE)
    for one in (
        {**env, "ANTHROPIC_BASE_URL": vendor.url + "/"},
        {"ANTHROPIC_API_KEY": "e", "ANTHROPIC_BASE_URL": vendor.url},
    ):
        provider = configured(one)(ServiceSettings())
        await batches(provider)
        await provider.aclose()
    assert [received.headers["authorization"] for received in vendor.requests] == ["Bearer from-file", "Bearer e"]
    plain = configured({"ANTHROPIC_API_KEY": "e"})(ServiceSettings())
    assert plain._vendor.messages_url == f"{BASE_URL}/v1/messages" == "https://api.anthropic.com/v1/messages"
    await plain.aclose()


async def test_nothing_of_a_call_is_logged(vendor, provider, caplog, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_LOG", "debug")
    caplog.set_level(logging.DEBUG)
    vendor.says(ANSWER, **SSE)
    await batches(provider)
    vendor.says(listing("a"), **JSON)
    await provider.list_models()
    assert KEY not in caplog.text
    assert "Hello" not in caplog.text
