"""The adapter against a vendor by script: one call, the right bytes, typed failures, no leaks."""

import asyncio
import time

import pytest
from adapter_calls import JSON, SSE, failure
from anthropic_calls import ANSWER, KEY, batches, error_body, fold, turn
from anthropic_speech import RECORDED, begin, delta, end, event, said, start

from antiphon_contract.errors import reason_name
from antiphon_kit import egress
from antiphon_kit.secrets import EnvSecret, FileSecret
from antiphon_provider_anthropic.adapter import AnthropicAdapter

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


# -- a call


async def test_one_call_with_key_and_body_and_a_folded_answer(vendor, provider):
    limits = {"Anthropic_Ratelimit_Tokens_Remaining": "7", "Anthropic_Ratelimit_Tokens_Reset": "2026-11-25T00:00:00Z"}
    vendor.says(ANSWER, **SSE, Request_Id="req-9", **limits)
    a_turn = turn("params { temperature: 0 }")
    folded = await fold(provider, a_turn)
    [answer] = folded.response().candidates
    assert answer.message.parts[0].text.text == "Hello"
    assert (folded.usage.input_tokens, folded.usage.output_tokens) == (3, 9)
    assert folded.start.provider_request_id == "req-9"
    assert [(limit.name, limit.remaining) for limit in folded.start.rate_limits] == [("tokens", 7)]
    [received] = vendor.requests
    assert (received.method, received.path) == ("POST", "/v1/messages")
    # As anthropic 2.x sends them: https://platform.claude.com/docs/en/api/migration-2026-10-21 (2026-11).
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["anthropic-version"] == "2026-10-21"
    assert "x-api-key" not in received.headers
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept"] == "text/event-stream"
    assert received.headers["user-agent"].startswith("AsyncAnthropic/Python")
    assert received.json["model"] == "claude-opus-5-5"
    assert "temperature" not in received.json
    assert None not in (a_turn.milestones.sent, a_turn.milestones.connected, a_turn.milestones.first_byte)
    assert a_turn.key.secret.reveal() == KEY


async def test_the_listed_name_of_a_model_is_understood(vendor, provider):
    vendor.says(ANSWER, **SSE)
    a_turn = turn(model="anthropic/claude-x")
    a_turn.request.model = a_turn.model
    await batches(provider, a_turn)
    await batches(provider, turn(model="anthropic/claude-x"))
    assert [received.json["model"] for received in vendor.requests] == ["claude-x", "anthropic/claude-x"]


async def test_the_connection_is_used_again(vendor, provider):
    vendor.says(ANSWER, **SSE)
    for _ in range(3):
        await batches(provider)
    assert (len(vendor.requests), vendor.connections) == (3, 1)


async def test_one_batch_per_read(vendor, provider):
    go = asyncio.Event()

    async def reply(_, writer):
        writer.write(HEAD + begin() + start(0, type="text", text="") + delta(0, "text", text="a"))
        await writer.drain()
        await go.wait()
        writer.write(delta(0, "text", text="b") + delta(0, "text", text="c") + end())
        writer.close()

    vendor.reply = reply
    found = []
    async for batch in provider.generate(turn()):
        found.append([event.text_delta for event in batch if event.text_delta])
        go.set()
    assert found == [["a"], ["bc"]]


async def test_a_vendor_that_holds_the_line_after_its_last_word_does_not_delay_the_end(vendor, provider, monkeypatch):
    monkeypatch.setattr(egress, "_REST_S", 0.05)

    async def reply(_, writer):
        writer.write(HEAD + ANSWER)
        await writer.drain()
        await vendor.hung_up.wait()

    vendor.reply = reply
    assert (await fold(provider)).usage.output_tokens == 9
    vendor.hung_up.set()


async def test_the_callers_headers_and_native_mode(vendor, provider):
    vendor.says(ANSWER, **SSE)
    asked = 'provider_headers { key: "anthropic" value { headers { name: "Anthropic-Beta" value: "x" } } }'
    found = await batches(provider, turn(f"options {{ {asked} native_mode: NATIVE_MODE_ATTACH }}"))
    assert vendor.requests[0].headers["anthropic-beta"] == "x"
    assert found[0][0].native.startswith(b'{"type":"message_start"')
    await batches(provider)
    assert "anthropic-beta" not in vendor.requests[1].headers


async def test_own_thinking_goes_back_byte_for_byte(vendor, provider):
    vendor.says(RECORDED, **SSE)
    first = await fold(provider)
    a_turn = turn()
    a_turn.request.prompt.messages.add(role=4).parts.extend(first.response().candidates[0].message.parts)
    await batches(provider, a_turn)
    assert b'"thinking":"Let me see. \xc3\xbc\xf0\x9f\x98\x80","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"' in (
        vendor.requests[1].body
    )
    a_turn.state_domain = "another"
    await batches(provider, a_turn)
    assert b"EqQBCgIYAhIM1gbcDa9GJwZA2b3h" not in vendor.requests[2].body


async def test_closing_the_generator_closes_the_socket_at_once(vendor, provider):
    async def reply(_, writer):
        writer.write(HEAD + begin() + said(0, "a"))

    vendor.reply = reply
    answer = provider.generate(turn())
    await anext(answer)
    started = time.monotonic()
    await answer.aclose()
    await vendor.hung_up.wait()
    assert time.monotonic() - started < 0.2


async def test_a_new_key_in_the_file_is_used_by_the_next_call(vendor, tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("first")
    clock = [0.0]
    monkeypatch.setattr("antiphon_kit.secrets.time.monotonic", lambda: clock[0])
    vendor.says(ANSWER, **SSE)
    provider = AnthropicAdapter(vendor.url, FileSecret(file))
    await batches(provider)
    file.write_text("second!")
    clock[0] = 2.0
    await batches(provider)
    await provider.aclose()
    assert [r.headers["authorization"] for r in vendor.requests] == ["Bearer first", "Bearer second!"]


async def test_the_environments_own_credentials_are_not_used(vendor, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-foreign")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "foreign")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Own: mine")
    vendor.says(ANSWER, **SSE)
    provider = AnthropicAdapter(vendor.url, EnvSecret({"K": KEY}, "K"))
    await batches(provider)
    vendor.says(b'{"data": []}', **JSON)
    await provider.ready()
    await provider.aclose()
    for received in vendor.requests:
        assert received.headers["authorization"] == f"Bearer {KEY}"
        assert received.headers["x-own"] == "mine"


# -- failures


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [(400, "invalid_request_error", "INVALID_REQUEST"), (401, "authentication_error", "PROVIDER_CREDENTIALS"),
     (402, "billing_error", "QUOTA_EXHAUSTED"), (404, "not_found_error", "MODEL_NOT_FOUND"),
     (413, "request_too_large", "REQUEST_TOO_LARGE"), (429, "rate_limit_error", "RATE_LIMITED"),
     (500, "api_error", "PROVIDER_ERROR"), (529, "overloaded_error", "PROVIDER_OVERLOADED"),
     (302, "", "UPSTREAM_PROTOCOL")],
)  # fmt: skip
async def test_http_errors_are_typed_and_called_once(vendor, provider, status, kind, reason):
    vendor.says(error_body(kind, f"no, {KEY}"), status, Request_Id="req-1", Location="http://127.0.0.1:1/")
    error = await failure(batches(provider))
    assert reason_name(error.reason) == reason
    assert (error.http_status, error.provider, error.model) == (status, "anthropic", "claude-opus-5-5")
    assert (error.native_type, error.provider_request_id) == (kind, "req-1")
    assert KEY not in str(error)
    assert len(vendor.requests) == 1


async def test_a_spend_limit_is_no_rate_limit(vendor, provider):
    body = error_body("rate_limit_error", "spent", error_code="enforced_spend_limit_reached")
    vendor.says(body, 429, Retry_After="7")
    error = await failure(batches(provider))
    assert reason_name(error.reason) == "QUOTA_EXHAUSTED"
    assert not error.HasField("retry_delay")


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"<html>hello</html>", "text/html; charset=utf-8", "UPSTREAM_PROTOCOL"),
        (b'{"id": "msg_1", "content": []}', "application/json", "UPSTREAM_PROTOCOL"),
        (error_body("overloaded_error"), "application/json", "PROVIDER_OVERLOADED"),
        (b"oops", "application/json", "UPSTREAM_PROTOCOL"),
        (b"", "text/event-stream", "PROVIDER_ERROR"),
    ],
)
async def test_a_200_that_is_no_stream(vendor, provider, body, kind, reason):
    vendor.says(body, Content_Type=kind)
    assert reason_name((await failure(batches(provider))).reason) == reason


async def test_a_stream_without_a_type_is_read(vendor, provider):
    vendor.says(ANSWER)
    assert (await fold(provider)).usage.output_tokens == 9


async def test_an_error_within_the_stream_comes_after_the_text(vendor, provider):
    overloaded = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    vendor.says(begin() + said(0, "a") + overloaded, **SSE)
    answer = provider.generate(turn())
    assert [one.text_delta for one in await anext(answer) if one.text_delta] == ["a"]
    assert reason_name((await failure(anext(answer))).reason) == "PROVIDER_OVERLOADED"


@pytest.mark.parametrize(
    ("told", "reason"), [(end().partition(b"event: message_stop")[0], None), (b"", "PROVIDER_ERROR")]
)
async def test_a_cut_takes_nothing_away_from_an_answer_that_told_why_it_stopped(vendor, provider, told, reason):
    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99999\r\n\r\n")
        writer.write(begin() + said(0, "a") + told)
        writer.close()

    vendor.reply = reply
    if reason is None:
        assert (await fold(provider)).response().candidates[0].end.native_reason == "end_turn"
    else:
        assert reason_name((await failure(batches(provider))).reason) == reason


async def test_nobody_listens():
    provider = AnthropicAdapter("http://127.0.0.1:1", EnvSecret({"K": KEY}, "K"), connect_timeout_s=0.5)
    assert reason_name((await failure(batches(provider))).reason) == "UPSTREAM_UNREACHABLE"
    assert reason_name((await failure(provider.ready())).reason) == "UPSTREAM_UNREACHABLE"
    await provider.aclose()
