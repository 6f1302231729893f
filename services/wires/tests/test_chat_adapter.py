"""The adapter against a vendor by script: one call, the right bytes, typed failures, no leaks."""

import asyncio
import json
import logging
import time
from dataclasses import replace

import adapter_calls
import pytest
from adapter_calls import SSE, failure

from antiphon.llm.v1 import models_pb2
from antiphon_contract.errors import Reason, reason_name
from antiphon_kit import egress
from antiphon_kit.secrets import EnvSecret, FileSecret
from antiphon_kit.settings import ServiceSettings
from antiphon_wires import readiness
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import COMPATIBLE, OPENAI
from antiphon_wires.openai_chat.service import known_vendor

KEY = "sk-test-0123456789abcdef"
HEAD = {"id": "c1", "created": 1, "model": "gpt-6"}


def chunk(content=None, finish=None, **more):
    delta = {} if content is None else {"content": content}
    data = {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


ANSWER = chunk("Hel") + chunk("lo") + chunk(finish="stop", usage={"prompt_tokens": 1, "completion_tokens": 2})
DONE = b"data: [DONE]\n\n"


def turn(text="", model="gpt-6"):
    return adapter_calls.turn(text, model)


async def batches(provider, a_turn=None):
    return await adapter_calls.batches(provider, a_turn or turn())


async def fold(provider, a_turn=None):
    return await adapter_calls.fold(provider, a_turn or turn())


@pytest.fixture
async def provider(vendor):
    made = OpenAIChatAdapter(replace(OPENAI, base_url=vendor.url), EnvSecret({"K": KEY}, "K"))
    yield made
    await made.aclose()


# -- a call


async def test_one_call_with_key_and_body_and_a_folded_answer(vendor, provider):
    vendor.says(ANSWER + DONE, **SSE, X_Request_Id="req-9", X_Ratelimit_Remaining_Tokens="7")
    a_turn = turn("params { temperature: 0 top_k: 3 }")
    folded = await fold(provider, a_turn)
    assert folded.response().candidates[0].message.parts[0].text.text == "Hello"
    assert folded.usage.output_tokens == 2
    assert folded.start.provider_request_id == "req-9"
    assert folded.start.rate_limits[0].remaining == 7
    [received] = vendor.requests
    assert (received.method, received.path) == ("POST", "/v1/chat/completions")
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept"] == "text/event-stream"
    assert received.headers["user-agent"].startswith("AsyncOpenAI/Python")
    assert received.json["model"] == "gpt-6"
    assert received.json["temperature"] == 0
    assert None not in (a_turn.milestones.sent, a_turn.milestones.connected, a_turn.milestones.first_byte)
    assert a_turn.key.secret.reveal() == KEY


async def test_the_connection_is_used_again(vendor, provider):
    vendor.says(ANSWER + DONE, **SSE)
    for _ in range(3):
        await batches(provider)
    assert (len(vendor.requests), vendor.connections) == (3, 1)


async def test_one_batch_per_read(vendor, provider):
    go = asyncio.Event()

    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write(chunk("a") + chunk("b"))
        await writer.drain()
        await go.wait()
        writer.write(chunk("c") + chunk(finish="stop") + DONE)
        writer.close()

    vendor.reply = reply
    found = []
    async for batch in provider.generate(turn()):
        found.append([event.text_delta for event in batch if event.text_delta])
        go.set()
    assert found == [["a", "b"], ["c"]]


async def test_a_vendor_that_holds_the_line_after_its_last_word_does_not_delay_the_end(vendor, provider, monkeypatch):
    monkeypatch.setattr(egress, "_REST_S", 0.05)

    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write(ANSWER + DONE)
        await writer.drain()
        await vendor.hung_up.wait()

    vendor.reply = reply
    assert (await fold(provider)).usage.output_tokens == 2
    vendor.hung_up.set()


async def test_the_callers_headers_and_native_mode(vendor, provider):
    vendor.says(ANSWER + DONE, **SSE)
    asked = 'provider_headers { key: "openai" value { headers { name: "OpenAI-Beta" value: "x" } } }'
    found = await batches(provider, turn(f"options {{ {asked} native_mode: NATIVE_MODE_ATTACH }}"))
    assert vendor.requests[0].headers["openai-beta"] == "x"
    assert found[0][0].native.startswith(b'{"id": "c1"')
    await batches(provider)
    assert "openai-beta" not in vendor.requests[1].headers


async def test_closing_the_generator_closes_the_socket_at_once(vendor, provider):
    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chunk("a"))

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
    vendor.says(ANSWER + DONE, **SSE)
    provider = OpenAIChatAdapter(replace(OPENAI, base_url=vendor.url), FileSecret(file))
    await batches(provider)
    file.write_text("second!")
    clock[0] = 2.0
    await batches(provider)
    await provider.aclose()
    assert [r.headers["authorization"] for r in vendor.requests] == ["Bearer first", "Bearer second!"]


async def test_a_server_without_a_key_gets_none_and_nobody_elses_account(vendor, monkeypatch):
    for name, value in (
        ("OPENAI_API_KEY", "sk-foreign"), ("OPENAI_ORG_ID", "org-foreign"), ("OPENAI_PROJECT_ID", "p-foreign"),
        ("OPENAI_CUSTOM_HEADERS", "X-Own: foreign\nAuthorization: Bearer foreign"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    vendor.says(ANSWER + DONE, **SSE)
    provider = OpenAIChatAdapter(replace(COMPATIBLE, name="ollama", base_url=vendor.url), None)
    await batches(provider)
    vendor.says(b'{"data": []}')
    await provider.ready()
    await provider.aclose()
    assert len(vendor.requests) == 2
    for received in vendor.requests:
        assert "authorization" not in received.headers
        assert "foreign" not in str(received.headers)


async def test_account_headers_of_the_environment_are_openais(vendor, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    vendor.says(ANSWER + DONE, **SSE)
    provider = OpenAIChatAdapter(replace(OPENAI, base_url=vendor.url), EnvSecret({"K": KEY}, "K"))
    await batches(provider)
    await provider.aclose()
    assert vendor.requests[0].headers["openai-organization"] == "org-1"


# -- failures


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "INVALID_REQUEST"), (401, "PROVIDER_CREDENTIALS"), (404, "MODEL_NOT_FOUND"), (429, "RATE_LIMITED"),
     (503, "PROVIDER_ERROR"), (302, "UPSTREAM_PROTOCOL")],
)  # fmt: skip
async def test_http_errors_are_typed_and_called_once(vendor, provider, status, reason):
    body = json.dumps({"error": {"message": f"no, {KEY}", "type": "t", "code": "c"}}).encode()
    vendor.says(body, status, X_Request_Id="req-1", Location="http://127.0.0.1:1/")
    error = await failure(batches(provider))
    assert reason_name(error.reason) == reason
    assert (error.http_status, error.provider, error.model) == (status, "openai", "gpt-6")
    assert (error.native_code, error.provider_request_id) == ("c", "req-1")
    assert KEY not in str(error)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"<html>hello</html>", "text/html; charset=utf-8", "UPSTREAM_PROTOCOL"),
        (b'{"id": "c", "choices": []}', "application/json", "UPSTREAM_PROTOCOL"),
        (b'{"error": {"message": "m", "code": "insufficient_quota"}}', "application/json", "QUOTA_EXHAUSTED"),
        (b"oops", "application/json", "UPSTREAM_PROTOCOL"),
        (b"", "text/event-stream", "PROVIDER_ERROR"),
    ],
)
async def test_a_200_that_is_no_stream(vendor, provider, body, kind, reason):
    vendor.says(body, Content_Type=kind)
    assert reason_name((await failure(batches(provider))).reason) == reason


async def test_a_stream_without_a_type_is_read(vendor, provider):
    vendor.says(ANSWER + DONE)
    assert (await fold(provider)).usage.output_tokens == 2


async def test_an_error_within_the_stream_comes_after_the_text(vendor, provider):
    vendor.says(chunk("a") + b'data: {"error": {"message": "m", "code": "server_is_overloaded"}}\n\n', **SSE)
    answer = provider.generate(turn())
    assert (await anext(answer))[-1].text_delta == "a"
    error = await failure(anext(answer))
    assert error.reason == Reason.ERROR_REASON_PROVIDER_OVERLOADED


async def test_the_end_of_the_body_may_be_the_last_word(vendor, provider):
    vendor.says(b": hello\n\n" + ANSWER, **SSE)
    assert (await fold(provider)).response().candidates[0].end.native_reason == "stop"


async def test_a_cut_is_a_failure(vendor, provider):
    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n" + chunk("a"))
        writer.close()

    vendor.reply = reply
    assert reason_name((await failure(batches(provider))).reason) == "PROVIDER_ERROR"


async def test_a_cut_after_the_finish_reason_loses_nothing(vendor, provider):
    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n" + ANSWER)
        writer.close()

    vendor.reply = reply
    assert (await fold(provider)).usage.output_tokens == 2


async def test_an_id_as_listed_is_a_model(vendor, provider):
    vendor.says(ANSWER + DONE, **SSE)
    a_turn = turn('model: "openai/gpt-6"', model="openai/gpt-6")
    await batches(provider, a_turn)
    routed = turn('model: "openai/openai/odd"', model="openai/odd")
    await batches(provider, routed)
    assert [received.json["model"] for received in vendor.requests] == ["gpt-6", "openai/odd"]


async def test_nobody_there(unused_tcp_port):
    dialect = replace(OPENAI, base_url=f"http://127.0.0.1:{unused_tcp_port}/v1")
    provider = OpenAIChatAdapter(dialect, EnvSecret({"K": KEY}, "K"))
    assert reason_name((await failure(batches(provider))).reason) == "UPSTREAM_UNREACHABLE"
    assert reason_name((await failure(provider.ready())).reason) == "UPSTREAM_UNREACHABLE"
    await provider.aclose()


async def test_nothing_is_sent_for_a_request_that_cannot_be(vendor, provider):
    error = await failure(batches(provider, turn('params { output_format { grammar { syntax: "x" } } }')))
    assert reason_name(error.reason) == "PARAM_UNSUPPORTED"
    assert vendor.requests == []


async def test_without_a_key_nothing_is_sent(vendor):
    provider = OpenAIChatAdapter(replace(OPENAI, base_url=vendor.url), EnvSecret({}, "OPENAI_API_KEY"))
    for attempt in (batches(provider), provider.ready(), provider.list_models()):
        assert reason_name((await failure(attempt)).reason) == "PROVIDER_CREDENTIALS"
    await provider.aclose()
    assert vendor.requests == []


async def test_no_secret_in_logs(vendor, provider, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    vendor.says(b'{"error": {"message": "Incorrect API key provided"}}', 401)
    await failure(batches(provider))
    await failure(provider.ready())
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("openai")]


# -- beside the calls

MODELS = (
    b'{"object": "list", "data": [{"id": "gpt-6", "created": 1700000000, "owned_by": "openai",  "x": 1e400},'
    b' {"id": "old", "shutdown_date": "2027-04-01"}]}'
)


async def test_models(vendor, provider):
    vendor.says(MODELS, Content_Type="application/json")
    first, old = await provider.list_models()
    assert (first.id, first.provider, first.native_id) == ("openai/gpt-6", "openai", "gpt-6")
    assert first.create_time.seconds == 1700000000
    assert first.native_json == '{"id": "gpt-6", "created": 1700000000, "owned_by": "openai",  "x": 1e400}'
    assert first.support["params.top_k"] == models_pb2.SUPPORT_IGNORED
    assert old.lifecycle == models_pb2.Model.LIFECYCLE_DEPRECATED
    assert old.retire_time.ToJsonString() == "2027-04-01T00:00:00Z"
    assert vendor.requests[0].path == "/v1/models"
    assert vendor.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("body", [b"[]", b"x", b'{"data": 1}', b'{"data": [1]}', b'{"data": [{}]}'])
async def test_a_list_of_models_that_is_none(vendor, provider, body):
    vendor.says(body, Content_Type="application/json")
    assert reason_name((await failure(provider.list_models())).reason) == "UPSTREAM_PROTOCOL"


async def test_a_date_that_is_none_spoils_no_list(vendor, provider):
    dates = ("soon", "2027-04-01T00:00:00+02:00", "")
    listed = ",".join(f'{{"id": "m{number}", "shutdown_date": "{date}"}}' for number, date in enumerate(dates))
    vendor.says(f'{{"data": [{listed}]}}'.encode(), Content_Type="application/json")
    odd, offset, empty = await provider.list_models()
    assert {model.lifecycle for model in (odd, offset, empty)} == {models_pb2.Model.LIFECYCLE_DEPRECATED}
    assert offset.retire_time.ToJsonString() == "2027-03-31T22:00:00Z"
    assert not odd.HasField("retire_time")
    assert not empty.HasField("retire_time")
    assert "soon" in odd.native_json


async def test_readiness_asks_at_most_once_a_minute_while_all_is_well(vendor, provider, monkeypatch):
    vendor.says(MODELS)
    for _ in range(3):
        await provider.ready()
    assert len(vendor.requests) == 1
    monkeypatch.setattr(readiness, "READY_FOR_S", 0.0)
    provider._readiness = readiness.Readiness()
    for _ in range(2):
        await provider.ready()
    assert len(vendor.requests) == 3


@pytest.mark.parametrize(("status", "reason"), [(401, "PROVIDER_CREDENTIALS"), (500, "PROVIDER_ERROR")])
async def test_not_ready(vendor, provider, status, reason):
    vendor.says(b"", status)
    for _ in range(2):
        assert reason_name((await failure(provider.ready())).reason) == reason
    assert len(vendor.requests) == 2


@pytest.mark.parametrize("status", [404, 405, 429])
async def test_reachable_is_enough_to_be_ready(vendor, provider, status):
    vendor.says(b"", status)
    await provider.ready()


async def test_a_vendor_that_does_not_answer_the_probe(vendor):
    async def reply(_, writer):
        await vendor.hung_up.wait()

    vendor.reply = reply
    dialect = replace(OPENAI, base_url=vendor.url)
    provider = OpenAIChatAdapter(dialect, EnvSecret({"K": KEY}, "K"), connect_timeout_s=0.05)
    assert reason_name((await failure(provider.ready())).reason) == "UPSTREAM_TIMEOUT"
    await provider.aclose()
    vendor.hung_up.set()


async def test_tokens_are_not_counted(provider):
    assert reason_name((await failure(provider.count_tokens(turn()))).reason) == "OPERATION_UNSUPPORTED"


async def test_a_known_vendor_is_configured_by_its_name(vendor, tmp_path):
    vendor.says(ANSWER + DONE, **SSE)
    file = tmp_path / "key"
    file.write_text("from-file")
    env = {"OPENAI_BASE_URL": vendor.url + "/", "OPENAI_API_KEY": KEY}
    for more in ({}, {"OPENAI_API_KEY_FILE": str(file)}):
        provider = known_vendor(OPENAI, env | more)(ServiceSettings())
        await batches(provider)
        await provider.aclose()
    assert [r.headers["authorization"] for r in vendor.requests] == [f"Bearer {KEY}", "Bearer from-file"]
    assert vendor.requests[0].path == "/v1/chat/completions"
