"""Every service is there, whatever the adapter can do."""

import grpc
import pytest
from grpc_health.v1 import health_pb2

from antiphon.llm.v1 import completion_pb2, embedding_pb2, native_pb2, rerank_pb2, response_pb2
from antiphon_kit import services

LACKING = [
    ("EmbeddingService/Embed", embedding_pb2.EmbedRequest()),
    ("RerankService/Rerank", rerank_pb2.RerankRequest()),
    ("CompletionService/Complete", completion_pb2.CompleteRequest()),
    ("CompletionService/StreamComplete", completion_pb2.StreamCompleteRequest()),
    ("NativeService/CallNative", native_pb2.CallNativeRequest()),
    ("NativeService/StreamNative", native_pb2.StreamNativeRequest()),
]


@pytest.mark.parametrize(("method", "request_"), LACKING)
async def test_what_the_adapter_lacks_is_refused_typed_and_recorded(scripted, dial, method, request_):
    async with dial(scripted()) as caller:
        path = f"/antiphon.llm.v1.{method}"
        answer = await caller.unary(path, request_, embedding_pb2.EmbedResponse, antiphon_attempt_id="a-1")
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNIMPLEMENTED, "OPERATION_UNSUPPORTED")
    assert answer.error.retry_other_backend
    assert method.partition("/")[2] in answer.message
    assert answer.record.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
    assert answer.record.response_id.endswith(".a-1")


@pytest.mark.parametrize(("method", "request_"), LACKING)
async def test_what_the_adapter_has_is_validated(versatile, dial, method, request_):
    async with dial(versatile()) as caller:
        path = f"/antiphon.llm.v1.{method}"
        for data in (request_, b"\xff\xff\xff"):
            answer = await caller.unary(path, data, embedding_pb2.EmbedResponse)
            assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert not caller.provider.turns


@pytest.mark.parametrize("name", ["", *services.NAMES])
async def test_health_reports_every_service(scripted, dial, until, name):
    async with dial(scripted()) as caller:
        check = caller.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        await until(lambda: caller.provider.probes > 1)
        status = (await check(health_pb2.HealthCheckRequest(service=name))).status
    assert status == health_pb2.HealthCheckResponse.SERVING


def test_health_knows_every_service_of_the_contract():
    assert {name.rpartition(".")[2] for name in services.NAMES} == {
        "ChatService",
        "ModelService",
        "EmbeddingService",
        "RerankService",
        "CompletionService",
        "NativeService",
    }
