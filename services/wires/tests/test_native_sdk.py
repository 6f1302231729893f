"""The official SDK through the tunnel and without it: the same bytes out, the same bytes in, the same exceptions."""

import json
from dataclasses import replace

import grpc
import httpx
import openai
import pytest

from antiphon.llm.v1 import http_pb2, native_pb2
from antiphon_contract.errors import end_from_trailers
from antiphon_kit.secrets import EnvSecret
from antiphon_kit.server import serve
from antiphon_kit.settings import ServiceSettings
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import OPENAI

GATEWAYS_KEY = "sk-gateway-0123456789"
CALLERS_KEY = "sk-caller-0123456789"
MESSAGES = [{"role": "user", "content": "h\u00e9 \U0001f600"}]
CHUNK = {"id": "c1", "created": 1, "model": "gpt-6", "object": "chat.completion.chunk"}


class Body(httpx.AsyncByteStream):
    """The messages of a call as they come."""

    def __init__(self, first, call, ended):
        self._first = first
        self._call = call
        self._ended = ended

    async def __aiter__(self):
        yield self._first
        while (message := await self._call.read()) is not grpc.aio.EOF:
            yield message.body

    async def aclose(self):
        if self._call.done():
            self._ended.append(end_from_trailers(tuple(await self._call.trailing_metadata())))
        self._call.cancel()


class Tunnel(httpx.AsyncBaseTransport):
    """An SDK's transport by NativeService; `ended` are the records of the calls."""

    def __init__(self, channel):
        self._stream = channel.unary_stream(
            "/antiphon.llm.v1.NativeService/StreamNative",
            request_serializer=native_pb2.StreamNativeRequest.SerializeToString,
            response_deserializer=native_pb2.StreamNativeResponse.FromString,
        )
        self.ended = []

    async def handle_async_request(self, request):
        path = request.url.raw_path.decode().removeprefix("/v1")
        http = native_pb2.HttpRequest(method=request.method, path=path, body=await request.aread())
        http.headers.extend(
            http_pb2.HttpHeader(name=name.decode().lower(), value=value.decode("latin-1"))
            for name, value in request.headers.raw
        )
        call = self._stream(native_pb2.StreamNativeRequest(model="gpt-6", request=http, dialect="openai"), timeout=20)
        first = await call.read()
        headers = [(header.name, header.value) for header in first.headers]
        return httpx.Response(first.http_status, headers=headers, stream=Body(first.body, call, self.ended))


def sdk(url, transport=None):
    http = httpx.AsyncClient(transport=transport, trust_env=False)
    return openai.AsyncOpenAI(api_key=CALLERS_KEY, base_url=url, max_retries=0, http_client=http)


@pytest.fixture
async def both(vendor):
    """The SDK straight to the vendor, and through the tunnel; and the tunnel."""
    adapter = OpenAIChatAdapter(replace(OPENAI, base_url=vendor.url), EnvSecret({"K": GATEWAYS_KEY}, "K"))
    vendor.says(b'{"data": []}', Content_Type="application/json")
    async with (
        serve(adapter, ServiceSettings()) as service,
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        tunnel = Tunnel(channel)
        async with sdk(vendor.url) as direct, sdk(vendor.url, tunnel) as tunnelled:
            yield direct, tunnelled, tunnel


def posts(vendor):
    return [received for received in vendor.requests if received.method == "POST"]


def sse(*chunks):
    return (
        b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)
        + b": odd\n\ndata: [DONE]\n\n"
    )


async def test_a_stream(vendor, both):
    direct, tunnelled, tunnel = both
    deltas = [{"content": "h\u00e9"}, {"content": " \U0001f600"}, {}]
    body = sse(*({**CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas))
    vendor.says(body, Content_Type="text/event-stream", X_Request_Id="req-1")
    read, parsed = [], []
    for client in (direct, tunnelled):
        completions = client.chat.completions
        async with completions.with_streaming_response.create(model="gpt-6", messages=MESSAGES, stream=True) as raw:
            assert raw.headers["x-request-id"] == "req-1"
            read.append(b"".join([piece async for piece in raw.iter_bytes()]))
        stream = await completions.create(model="gpt-6", messages=MESSAGES, stream=True, temperature=0.1)
        parsed.append([chunk async for chunk in stream])
    assert read == [body, body]
    assert parsed[0] == parsed[1]
    assert parsed[0][1].choices[0].delta.content == " \U0001f600"
    first, second, third, fourth = posts(vendor)
    assert (first.body, second.body) == (third.body, fourth.body)
    assert first.path == third.path == "/v1/chat/completions"
    assert first.headers["authorization"] == f"Bearer {CALLERS_KEY}"
    assert third.headers["authorization"] == f"Bearer {GATEWAYS_KEY}"
    ours = {name for name in first.headers if name.startswith(("x-stainless", "user-agent", "accept", "content-type"))}
    ours -= {"accept-encoding"}
    assert {name: first.headers[name] for name in ours} == {name: third.headers[name] for name in ours}
    assert not any(end.HasField("usage") or end.HasField("error") for end in tunnel.ended)


async def test_a_whole_answer_and_the_list_of_models(vendor, both):
    direct, tunnelled, _ = both
    body = b'{ "id":"r1", "object":"response","output":[],"usage":{"input_tokens":3}, "new": 1.00 }'
    vendor.says(body, Content_Type="application/json")
    answers = [await client.responses.create(model="gpt-6", input="hi") for client in (direct, tunnelled)]
    assert answers[0] == answers[1]
    assert answers[1].usage.input_tokens == 3
    vendor.says(b'{"object": "list", "data": [{"id": "gpt-6"}]}', Content_Type="application/json")
    listed = [[model.id async for model in client.models.list()] for client in (direct, tunnelled)]
    assert listed == [["gpt-6"], ["gpt-6"]]


async def test_errors_are_the_vendors_own(vendor, both):
    direct, tunnelled, tunnel = both
    body = b'{"error": {"code": "rate_limit_exceeded", "message": "slow"}}'
    vendor.says(body, status=429, Content_Type="application/json", Retry_After="7")
    caught = []
    for client in (direct, tunnelled):
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(model="gpt-6", messages=MESSAGES)
        caught.append(raised.value)
    assert caught[0].body == caught[1].body
    assert caught[1].response.headers["retry-after"] == "7"
    assert caught[1].response.content == body
    assert [end.error.native_code for end in tunnel.ended] == ["rate_limit_exceeded"]


async def test_what_is_not_allowed_never_reaches_the_vendor(vendor, both):
    _, tunnelled, _ = both
    with pytest.raises(grpc.aio.AioRpcError, match="allow-list"):
        await tunnelled.files.list()
    assert not any("files" in received.path for received in vendor.requests)
