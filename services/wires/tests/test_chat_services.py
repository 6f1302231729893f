"""The adapter's services beside chat, against a vendor by script."""

import asyncio
import base64
import contextlib
import gzip
import json
import struct
from dataclasses import replace

import pytest

from antiphon.llm.v1 import completion_pb2, embedding_pb2, native_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_contract.fold import Fold
from antiphon_kit.provider import (
    CompletionProvider,
    EmbeddingProvider,
    Job,
    NativeHead,
    NativeProvider,
    RerankProvider,
)
from antiphon_kit.secrets import EnvSecret
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import COMPATIBLE, OPENAI

KEY = "sk-test-0123456789abcdef"
SSE = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def provider(vendor):
    made = OpenAIChatAdapter(replace(OPENAI, base_url=vendor.url), EnvSecret({"K": KEY}, "K"))
    yield made
    await made.aclose()


async def reason_of(awaitable):
    with pytest.raises(CallFailure) as raised:
        await awaitable
    return reason_name(raised.value.error.reason)


async def collected(stream):
    async with contextlib.aclosing(stream) as pieces:
        return [piece async for piece in pieces]


def test_what_it_can_do(provider):
    assert isinstance(provider, EmbeddingProvider)
    assert isinstance(provider, CompletionProvider)
    assert isinstance(provider, NativeProvider)
    assert not isinstance(provider, RerankProvider)


# -- embeddings


def embedding(model="openai/e-1"):
    return Job(request=embedding_pb2.EmbedRequest(model=model, inputs=[{"text": "a"}]), model=model)


async def test_embeddings(vendor, provider):
    row = struct.pack("<2f", 0.5, 1.5)
    data = [{"index": 0, "embedding": base64.b64encode(row).decode()}]
    body = json.dumps({"data": data, "model": "e-1", "usage": {"prompt_tokens": 1}}).encode()
    vendor.says(body, **JSON, X_Request_Id="req-1", X_Ratelimit_Remaining_Tokens="7")
    job = embedding()
    response = await provider.embed(job)
    assert job.key is not None
    assert response.sets[0].data == row
    assert (response.start.provider_request_id, response.start.rate_limits[0].remaining) == ("req-1", 7)
    [received] = vendor.requests
    assert (received.method, received.path) == ("POST", "/v1/embeddings")
    assert received.json == {"model": "e-1", "input": ["a"], "encoding_format": "base64"}
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["accept"] == "application/json"
    assert job.milestones.first_byte is not None


async def test_a_refused_embedding_is_classified(vendor, provider):
    vendor.says(b'{"error": {"code": "insufficient_quota"}}', status=429, **JSON)
    assert await reason_of(provider.embed(embedding())) == "QUOTA_EXHAUSTED"


async def test_a_vendor_without_the_services(vendor):
    dialect = replace(COMPATIBLE, base_url=vendor.url, embedding_path=None, completion_path=None)
    made = OpenAIChatAdapter(dialect, None)
    assert await reason_of(made.embed(embedding())) == "OPERATION_UNSUPPORTED"
    with pytest.raises(CallFailure, match="does not complete texts"):
        made.complete(completion())
    await made.aclose()
    assert not vendor.requests


# -- completions


def completion():
    prompt = {"text": "def f():", "suffix": "return x"}
    return Job(request=completion_pb2.StreamCompleteRequest(model="d", prompt=prompt), model="d", max_output_tokens=5)


async def test_completions_at_the_dialects_place(vendor):
    chunks = [
        {"id": "c", "model": "d", "choices": [{"index": 0, "text": "x = 1"}]},
        {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}], "usage": {"completion_tokens": 3}},
    ]
    data = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    vendor.says(data, **SSE, X_Request_Id="req-2")
    dialect = replace(OPENAI, base_url=vendor.url.removesuffix("/v1"), completion_path="/beta/completions")
    made = OpenAIChatAdapter(dialect, EnvSecret({"K": KEY}, "K"))
    folded = Fold()
    for batch in await collected(made.complete(completion())):
        folded.feed_events(batch)
    await made.aclose()
    assert folded.response().candidates[0].message.parts[0].text.text == "x = 1"
    assert (folded.start.provider_request_id, folded.usage.output_tokens) == ("req-2", 3)
    [received] = vendor.requests
    assert received.path == "/beta/completions"
    assert (received.json["suffix"], received.json["max_tokens"]) == ("return x", 5)


# -- the tunnel


def native(path="/chat/completions", body=b"{}", headers=(), method="POST"):
    http = {"method": method, "path": path, "body": body, "headers": [{"name": n, "value": v} for n, v in headers]}
    return Job(request=native_pb2.StreamNativeRequest(request=http, dialect="openai/chat"), model="m")


async def test_bytes_pass_unchanged_and_credentials_are_ours(vendor, provider):
    answer = b'data: {"x": "\xc3\xa9" }\r\n\r\n: \xff\x00 odd\n\ndata: [DONE]\n\n'
    packed = gzip.compress(answer)
    vendor.says(packed, **SSE, Content_Encoding="gzip", X_A="1", OpenAI_Organization="org-1")
    body = b'{"model" :"m",  "stream":true, "n":1.0}'
    headers = [
        ("x-b", "1"),
        ("x-b", "2"),
        ("user-agent", "Mine/1"),
        ("openai-project", "p"),
        ("x-q", "\u00c3\u00a9"),
    ]
    [head, *rest] = await collected(provider.stream_native(native(body=body, headers=headers)))
    assert b"".join(rest) == answer
    assert isinstance(head, NativeHead)
    assert (head.status, head.error) == (200, None)
    assert ("x-a", "1") in head.headers
    assert not any(name.startswith("openai-") for name, _ in head.headers)
    [received] = vendor.requests
    assert (received.method, received.path, received.body) == ("POST", "/v1/chat/completions", body)
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["user-agent"] == "Mine/1"
    assert received.headers["x-q"] == "\u00e9"
    assert received.headers["content-type"] == "application/json"
    assert "openai-project" not in received.headers


async def test_a_get_with_a_query_as_it_was_written(vendor, provider):
    vendor.says(b'{"data": []}', **JSON)
    path = "/models?include[]=a%2Fb&x=%c3%a9"
    [head, body] = await collected(provider.stream_native(native(path, b"", method="GET")))
    assert (head.status, body) == (200, b'{"data": []}')
    assert (vendor.requests[0].method, vendor.requests[0].path) == ("GET", f"/v1{path}")
    assert "content-length" not in vendor.requests[0].headers


async def test_a_refusal_is_a_head_with_its_meaning_and_the_whole_body(vendor, provider):
    body = b'{"error": {"code": "rate_limit_exceeded"}}' + b" " * 200_000
    vendor.says(body, status=429, **JSON, Retry_After="7", X_Request_Id="req-9")
    [head, *rest] = await collected(provider.stream_native(native()))
    assert b"".join(rest) == body
    assert (head.status, reason_name(head.error.reason)) == (429, "RATE_LIMITED")
    assert (head.error.retry_delay.seconds, head.error.provider_request_id) == (7, "req-9")
    assert (head.error.model, KEY in str(head.error)) == ("m", False)


async def test_a_refusal_in_one_piece(vendor, provider):
    vendor.says(b'{"error": {"code": "model_not_found"}}', status=404, **JSON)
    [head, body] = await collected(provider.stream_native(native()))
    assert (head.status, reason_name(head.error.reason), b"model_not" in body) == (404, "MODEL_NOT_FOUND", True)


async def test_a_redirect_is_not_followed(vendor, provider):
    vendor.says(b"", status=307, Location="http://127.0.0.1:9/")
    [head] = await collected(provider.stream_native(native()))
    assert (head.status, head.error) == (307, None)


async def test_a_cut_refusal_tells_its_status_first(vendor, provider):
    async def reply(_, writer):
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 99\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    vendor.reply = reply
    pieces = []

    async def read():
        async for piece in provider.stream_native(native()):
            pieces.append(piece)

    assert await reason_of(read()) == "PROVIDER_ERROR"
    assert (pieces[0].status, reason_name(pieces[0].error.reason), pieces[1:]) == (500, "PROVIDER_ERROR", [b"half"])


async def test_headers_that_no_text_can_carry(vendor, provider):
    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\nX-Odd: \xe9\r\n\r\n")

    vendor.reply = reply
    [head] = await collected(provider.stream_native(native()))
    assert ("x-odd", "\u00e9") in head.headers
    with pytest.raises(CallFailure, match=r"request.headers\[1\].value"):
        await collected(provider.stream_native(native(headers=[("a", "b"), ("x-odd", "\u00e9")])))


async def test_leaving_hangs_up(vendor, provider):
    async def reply(_, writer):
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")

    vendor.reply = reply
    async with contextlib.aclosing(provider.stream_native(native())) as pieces:
        assert (await anext(pieces)).status == 200
        assert await anext(pieces) == b"data: 1\n\n"
    async with asyncio.timeout(2):
        await vendor.hung_up.wait()


def test_the_allow_list(provider):
    rows = {(row.method, row.path): list(row.dialects) for row in provider.native_operations}
    assert rows == {
        ("POST", "/chat/completions"): ["openai/chat", "openai"],
        ("POST", "/responses"): ["openai/responses", "openai"],
        ("POST", "/embeddings"): ["openai/embeddings", "openai"],
        ("GET", "/models"): ["openai/models", "openai"],
    }


async def test_a_server_that_speaks_the_api_is_asked_by_either_name(vendor):
    made = OpenAIChatAdapter(replace(COMPATIBLE, name="vllm", base_url=vendor.url), None)
    assert list(made.native_operations[0].dialects) == ["vllm/chat", "vllm", "openai/chat", "openai"]
    vendor.says(b"{}", **JSON)
    await collected(made.stream_native(native()))
    await made.aclose()
    assert "authorization" not in vendor.requests[0].headers
