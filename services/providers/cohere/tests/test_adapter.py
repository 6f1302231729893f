"""The adapter against a vendor by script: one call, the right bytes, typed failures, no leaks."""

import asyncio
import json
import logging
import time

import adapter_calls
import pytest
from adapter_calls import JSON, SSE, failure
from cohere_recording import RAG, end, opened, said, start
from google.protobuf import text_format

from antiphon.llm.v1 import embedding_pb2, native_pb2, rerank_pb2
from antiphon_contract.errors import reason_name
from antiphon_kit import egress
from antiphon_kit.provider import EmbeddingProvider, Job, NativeHead, NativeProvider, RerankProvider
from antiphon_kit.secrets import EnvSecret, FileSecret
from antiphon_provider_cohere import adapter
from antiphon_provider_cohere.adapter import CohereAdapter

KEY = "co-test-0123456789abcdef"
HELLO = start() + opened() + said("Hel") + said("lo") + end()
OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def turn(text="", model="command-a"):
    return adapter_calls.turn(text, model)


async def batches(provider, a_turn=None):
    return await adapter_calls.batches(provider, a_turn or turn())


async def fold(provider, a_turn=None):
    return await adapter_calls.fold(provider, a_turn or turn())


def embed_job(text='inputs { text: "a" } params { input_type: "query" }'):
    return Job(request=text_format.Parse(text, embedding_pb2.EmbedRequest()), model="embed-v4.0")


def rerank_job():
    request = text_format.Parse('input { query: "q" documents { text: "a" } }', rerank_pb2.RerankRequest())
    return Job(request=request, model="rerank-v4.0")


@pytest.fixture
async def provider(vendor):
    made = CohereAdapter(EnvSecret({"K": KEY}, "K"), base_url=vendor.url)
    yield made
    await made.aclose()


# -- chat


async def test_one_call_with_key_and_body_and_a_folded_answer(vendor, provider):
    vendor.says(HELLO, **SSE, X_Debug_Trace_Id="d-9", X_Trial_Endpoint_Call_Remaining="7")
    a_turn = turn("params { temperature: 0 min_p: 0.1 }")
    folded = await fold(provider, a_turn)
    assert folded.response().candidates[0].message.parts[0].text.text == "Hello"
    assert folded.usage.output_tokens == 27
    assert folded.start.provider_request_id == "d-9"
    assert folded.start.rate_limits[0].remaining == 7
    [received] = vendor.requests
    assert (received.method, received.path) == ("POST", "/v2/chat")
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept"] == "text/event-stream"
    assert received.headers["user-agent"].startswith("cohere/")
    assert (received.json["model"], received.json["stream"]) == ("command-a", True)
    assert None not in (a_turn.milestones.sent, a_turn.milestones.connected, a_turn.milestones.first_byte)
    assert a_turn.key.secret.reveal() == KEY


async def test_the_connection_is_used_again(vendor, provider):
    vendor.says(HELLO, **SSE)
    for _ in range(3):
        await batches(provider)
    assert (len(vendor.requests), vendor.connections) == (3, 1)


async def test_one_batch_per_read(vendor, provider):
    go = asyncio.Event()

    async def reply(_, writer):
        writer.write(OPEN + start() + said("a") + said("b"))
        await writer.drain()
        await go.wait()
        writer.write(said("c") + end())
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
        writer.write(OPEN + HELLO)
        await writer.drain()
        await vendor.hung_up.wait()

    vendor.reply = reply
    assert (await fold(provider)).usage.output_tokens == 27
    vendor.hung_up.set()


async def test_the_callers_headers_and_native_mode(vendor, provider):
    vendor.says(HELLO, **SSE)
    asked = 'provider_headers { key: "cohere" value { headers { name: "X-Client-Name" value: "x" } } }'
    found = await batches(provider, turn(f"options {{ {asked} native_mode: NATIVE_MODE_ATTACH }}"))
    assert vendor.requests[0].headers["x-client-name"] == "x"
    assert b"message-start" in found[0][0].native
    await batches(provider)
    assert "x-client-name" not in vendor.requests[1].headers


async def test_a_listed_name_is_the_vendors_without_the_provider(vendor, provider):
    vendor.says(HELLO, **SSE)
    a_turn = turn('model: "cohere/command-a"', model="cohere/command-a")
    await batches(provider, a_turn)
    # A router's word is taken as it is.
    await batches(provider, turn('model: "alias"', model="cohere/own"))
    assert [received.json["model"] for received in vendor.requests] == ["command-a", "cohere/own"]


async def test_closing_the_generator_closes_the_socket_at_once(vendor, provider):
    async def reply(_, writer):
        writer.write(OPEN + start() + said("a"))

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
    vendor.says(HELLO, **SSE)
    provider = CohereAdapter(FileSecret(file), base_url=vendor.url)
    await batches(provider)
    file.write_text("second!")
    clock[0] = 2.0
    await batches(provider)
    vendor.says(b'{"models": []}', **JSON)
    await provider.list_models()
    await provider.aclose()
    keys = [received.headers["authorization"] for received in vendor.requests]
    assert keys == ["Bearer first", "Bearer second!", "Bearer second!"]


async def test_nothing_of_the_environment_gets_in(vendor, provider, monkeypatch):
    for name in ("CO_API_KEY", "CO_API_URL", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    vendor.says(b'{"models": []}', **JSON)
    made = CohereAdapter(EnvSecret({"K": KEY}, "K"), base_url=vendor.url)
    await made.ready()
    await made.aclose()
    assert vendor.requests[0].headers["authorization"] == f"Bearer {KEY}"


# -- failures


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "INVALID_REQUEST"), (401, "PROVIDER_CREDENTIALS"), (404, "MODEL_NOT_FOUND"), (429, "RATE_LIMITED"),
     (498, "PROVIDER_CREDENTIALS"), (503, "PROVIDER_ERROR"), (302, "UPSTREAM_PROTOCOL")],
)  # fmt: skip
async def test_http_errors_are_typed_and_called_once(vendor, provider, status, reason):
    body = json.dumps({"id": "x", "message": f"no, {KEY}"}).encode()
    vendor.says(body, status=status, X_Debug_Trace_Id="d-1", Location="http://127.0.0.1:1/")
    for call in (batches(provider), provider.embed(embed_job()), provider.rerank(rerank_job())):
        error = await failure(call)
        assert reason_name(error.reason) == reason
        assert (error.http_status, error.provider, error.provider_request_id) == (status, "cohere", "d-1")
        assert KEY not in str(error)
    assert len(vendor.requests) == 3


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"<html>hello</html>", "text/html; charset=utf-8", "UPSTREAM_PROTOCOL"),
        (b'{"id": "c", "results": []}', "application/json", "UPSTREAM_PROTOCOL"),
        (b'{"message": "the model is overloaded"}', "application/json", "PROVIDER_OVERLOADED"),
        (b"oops", "application/json", "UPSTREAM_PROTOCOL"),
        (b"", "text/event-stream", "PROVIDER_ERROR"),
    ],
)
async def test_a_200_that_is_no_stream(vendor, provider, body, kind, reason):
    vendor.says(body, Content_Type=kind)
    assert reason_name((await failure(batches(provider))).reason) == reason


async def test_a_stream_without_a_type_is_read(vendor, provider):
    vendor.says(RAG)
    assert (await fold(provider)).usage.output_tokens == 27


async def test_an_error_within_the_stream_comes_after_the_text(vendor, provider):
    vendor.says(start() + said("a") + end("ERROR", error="the model is overloaded"), **SSE)
    answer = provider.generate(turn())
    assert "a" in [event.text_delta for event in await anext(answer)]
    assert reason_name((await failure(anext(answer))).reason) == "PROVIDER_OVERLOADED"


async def test_the_end_of_the_body_may_be_the_last_word(vendor, provider):
    vendor.says(HELLO[:-2], **SSE)
    assert (await fold(provider)).response().candidates[0].end.native_reason == "COMPLETE"


async def test_a_cut_is_a_failure(vendor, provider):
    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n" + said("a"))
        writer.close()

    vendor.reply = reply
    assert reason_name((await failure(batches(provider))).reason) == "PROVIDER_ERROR"


async def test_nobody_there(unused_tcp_port):
    provider = CohereAdapter(EnvSecret({"K": KEY}, "K"), base_url=f"http://127.0.0.1:{unused_tcp_port}")
    for call in (batches(provider), provider.embed(embed_job()), provider.ready()):
        assert reason_name((await failure(call)).reason) == "UPSTREAM_UNREACHABLE"
    await provider.aclose()


async def test_nothing_is_sent_for_a_request_that_cannot_be(vendor, provider):
    error = await failure(batches(provider, turn('params { output_format { grammar { syntax: "x" } } }')))
    assert reason_name(error.reason) == "PARAM_UNSUPPORTED"
    assert reason_name((await failure(provider.embed(embed_job('inputs { text: "a" }')))).reason) == "INVALID_REQUEST"
    assert vendor.requests == []


async def test_without_a_key_nothing_is_sent(vendor):
    provider = CohereAdapter(EnvSecret({}, "COHERE_API_KEY"), base_url=vendor.url)
    for attempt in (batches(provider), provider.embed(embed_job()), provider.ready(), provider.list_models()):
        assert reason_name((await failure(attempt)).reason) == "PROVIDER_CREDENTIALS"
    await provider.aclose()
    assert vendor.requests == []


async def test_no_secret_in_logs(vendor, provider, caplog):
    caplog.set_level(logging.DEBUG)
    vendor.says(f'{{"message": "invalid api token {KEY}"}}'.encode(), status=401)
    await failure(batches(provider))
    await failure(provider.ready())
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith(("httpx", "cohere"))]


# -- embeddings and rerank


async def test_the_ports_are_seen(provider):
    assert isinstance(provider, EmbeddingProvider)
    assert isinstance(provider, RerankProvider)
    assert isinstance(provider, NativeProvider)


async def test_embed(vendor, provider):
    vendor.says(b'{"id": "e1", "embeddings": {"float": [[0.5, -1]]}}', **JSON, X_Debug_Trace_Id="d-2")
    job = embed_job()
    answer = await provider.embed(job)
    assert (answer.sets[0].rows, answer.sets[0].dimensions) == (1, 2)
    assert answer.start.provider_request_id == "d-2"
    [received] = vendor.requests
    assert (received.path, received.headers["accept"]) == ("/v2/embed", "application/json")
    assert job.milestones.first_byte is not None


async def test_rerank(vendor, provider):
    vendor.says(b'{"results": [{"index": 0, "relevance_score": 0.5}]}', **JSON)
    answer = await provider.rerank(rerank_job())
    assert (answer.results[0].index, answer.results[0].score) == (0, 0.5)
    assert vendor.requests[0].path == "/v2/rerank"


async def test_an_answer_without_end_is_not_read_into_memory(vendor, provider, monkeypatch):
    monkeypatch.setattr(adapter, "MAX_ANSWER_BYTES", 1000)
    vendor.says(b"x" * 2000, **JSON)
    assert reason_name((await failure(provider.embed(embed_job()))).reason) == "UPSTREAM_PROTOCOL"


# -- the vendor's own API


async def test_the_tunnel_leaves_bytes_alone(vendor, provider):
    vendor.says(b'{"tokens":  [1]}', **JSON)
    request = native_pb2.StreamNativeRequest(dialect="cohere")
    request.request.method, request.request.path, request.request.body = "POST", "/v1/tokenize", b'{"text":  "a"}'
    head, *rest = [piece async for piece in provider.stream_native(Job(request=request, model=""))]
    assert isinstance(head, NativeHead)
    assert (head.status, head.error, b"".join(rest)) == (200, None, b'{"tokens":  [1]}')
    [received] = vendor.requests
    assert (received.path, received.body) == ("/v1/tokenize", b'{"text":  "a"}')
    assert received.headers["authorization"] == f"Bearer {KEY}"
    vendor.says(f'{{"message": "invalid api token {KEY}"}}'.encode(), status=401)
    head, *_ = [piece async for piece in provider.stream_native(Job(request=request, model="m"))]
    assert (head.status, reason_name(head.error.reason)) == (401, "PROVIDER_CREDENTIALS")
    assert KEY not in str(head.error)
    assert {operation.path for operation in provider.native_operations} >= {"/v2/chat", "/v2/embed", "/v2/rerank"}
