"""The whole service in this process: vectors and scores over gRPC, each with its record."""

import grpc
import pytest

from antiphon.llm.v1 import (
    embedding_pb2,
    embedding_pb2_grpc,
    rerank_pb2,
    rerank_pb2_grpc,
    response_pb2,
    usage_pb2,
)
from antiphon_contract.errors import end_from_trailers, from_trailers, reason_name
from antiphon_kit.secrets import EnvSecret
from antiphon_kit.server import serving
from antiphon_kit.settings import ServiceSettings
from antiphon_provider_cohere.adapter import CohereAdapter

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def channel(vendor):
    provider = CohereAdapter(EnvSecret({"K": "co-test-0123456789"}, "K"), base_url=vendor.url)
    vendor.says(b'{"models": []}', **JSON)
    async with (
        serving(provider, ServiceSettings(listen="127.0.0.1:0")) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


async def test_embed(vendor, channel):
    request = embedding_pb2.EmbedRequest(model="cohere/embed-v4.0")
    request.inputs.add().text = "a"
    request.params.input_type = "document"
    vendor.says(
        b'{"id": "e1", "embeddings": {"float": [[0.5]]}, "meta": {"billed_units": {"input_tokens": 3.0}}}', **JSON
    )
    answer = await embedding_pb2_grpc.EmbeddingServiceStub(channel).Embed(request, timeout=5)
    assert answer.sets[0].data == b"\x00\x00\x00?"
    assert answer.start.provider_response_id == "e1"
    assert (answer.end.outcome, answer.end.provider) == (response_pb2.ResponseEnd.OUTCOME_COMPLETED, "cohere")
    assert (answer.end.usage.input_tokens, answer.end.usage.source) == (3, usage_pb2.Usage.SOURCE_PROVIDER)
    assert vendor.requests[-1].json["model"] == "embed-v4.0"


async def test_rerank_and_its_failure(vendor, channel):
    request = rerank_pb2.RerankRequest(model="rerank-v4.0")
    request.input.query = "q"
    request.input.documents.add().text = "a"
    stub = rerank_pb2_grpc.RerankServiceStub(channel)
    vendor.says(
        b'{"results": [{"index": 0, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 1}}}', **JSON
    )
    answer = await stub.Rerank(request, timeout=5)
    assert answer.results[0].score == 0.9
    assert answer.end.usage.billed_units["search_units"] == 1.0
    vendor.says(b'{"message": "limited to 1000 API calls / month"}', status=429)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Rerank(request, timeout=5)
    trailers = tuple(raised.value.trailing_metadata())
    assert reason_name(from_trailers(trailers).reason) == "QUOTA_EXHAUSTED"
    assert end_from_trailers(trailers).outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
