"""Embed and Rerank: one request, one upstream call, one response with its record."""

import asyncio

import grpc
import pytest

from antiphon.llm.v1 import embedding_pb2, options_pb2, rerank_pb2, response_pb2, usage_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure, Reason, call_error, failure
from antiphon_kit.server import serve
from antiphon_kit.settings import ServiceSettings

COMPLETED = response_pb2.ResponseEnd.OUTCOME_COMPLETED
DATA = b"\x00\x00\x80?"


def embedding(**fields):
    return embedding_pb2.EmbedRequest(
        model="m", inputs=[{"text": "hello there"}, {"tokens": {"ids": [1, 2]}}], **fields
    )


def reranking(**fields):
    documents = [{"text": "a"}, {"text": "b" * 40}]
    return rerank_pb2.RerankRequest(model="m", input={"query": "which", "documents": documents}, **fields)


async def vectors(job):
    return embedding_pb2.EmbedResponse(
        start={"model": "m-2026", "provider_response_id": "up-1", "create_time": {"seconds": 5}},
        sets=[{"encoding": "float32", "rows": 2, "dimensions": 1, "data": DATA * 2}],
        end={
            "usage": {"input_tokens": 4, "source": "SOURCE_PROVIDER", "native_json": "{}"},
            "warnings": [{"kind": "KIND_PARAM_DROPPED", "path": "params.truncate"}],
            "native_json": '{"a":1}',
        },
        native=b"{}",
    )


async def ordered(job):
    return rerank_pb2.RerankResponse(results=[{"index": 1, "score": 0.5}, {"index": 0, "score": 0.25}])


async def test_embed_is_completed_by_the_kit(versatile, dial):
    provider = versatile(respond=vectors)
    async with dial(provider, state_domain="acc") as caller:
        answer = await caller.embed(
            embedding(), antiphon_attempt_id="a-1", antiphon_model_native="native", antiphon_request_id="r"
        )
    response, [job] = answer.response, provider.turns
    assert (job.model, job.state_domain, job.request) == ("native", "acc", embedding())
    assert response.sets[0].data == DATA * 2
    assert response.native == b"{}"
    start, end = response.start, response.end
    assert start.response_id == end.response_id
    assert start.response_id.endswith(".a-1")
    assert (start.provider, start.model, start.state_domain) == ("scripted", "m-2026", "acc")
    assert (start.provider_response_id, start.create_time.seconds) == ("up-1", 5)
    assert (end.outcome, end.provider, end.model, end.event_count) == (COMPLETED, "scripted", "m-2026", 0)
    assert (end.usage.input_tokens, end.usage.source) == (4, usage_pb2.Usage.SOURCE_PROVIDER)
    assert [warning.path for warning in end.warnings] == ["params.truncate"]
    assert end.native_json == '{"a":1}'
    assert end.timing.HasField("total_duration")
    assert not end.timing.HasField("time_to_first_content")
    assert (answer.record.response_id, answer.record.native_json) == (end.response_id, "")
    assert answer.record.usage.input_tokens == 4


async def test_rerank_is_completed_by_the_kit_with_an_estimate(versatile, dial):
    async with dial(versatile(respond=ordered)) as caller:
        answer = await caller.rerank(reranking(), antiphon_request_id="mine")
    response = answer.response
    assert [(each.index, each.score) for each in response.results] == [(1, 0.5), (0, 0.25)]
    assert (response.start.provider, response.start.model, response.end.model) == ("scripted", "m", "m")
    assert response.start.HasField("create_time")
    # 2 queries of 5 bytes and 41 bytes of documents.
    assert response.end.usage.input_tokens == 13
    assert response.end.usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
    assert answer.headers[metadata.REQUEST_ID] == "mine"


async def test_the_estimate_of_an_embedding_counts_texts_and_tokens(versatile, dial):
    async def silent(job):
        return embedding_pb2.EmbedResponse()

    async with dial(versatile(respond=silent)) as caller:
        usage = (await caller.embed(embedding())).response.end.usage
    # 11 bytes and 2 tokens.
    assert (usage.input_tokens, usage.source) == (5, usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE)


@pytest.mark.parametrize(("call", "request_"), [("embed", embedding()), ("rerank", reranking())])
async def test_failures_of_the_adapter_are_statuses(versatile, dial, call, request_):
    async def fails(job):
        raise CallFailure(call_error(Reason.ERROR_REASON_RATE_LIMITED, "slow down", retry_delay_s=2, http_status=429))

    async def breaks(job):
        raise RuntimeError("secret text")

    async with dial(versatile(respond=fails)) as caller:
        limited = await getattr(caller, call)(request_)
    async with dial(versatile(respond=breaks)) as caller:
        broken = await getattr(caller, call)(request_)
    assert (limited.code, limited.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert (limited.error.provider, limited.error.model) == ("scripted", "m")
    assert not limited.record.HasField("usage")
    assert (broken.code, broken.reason) == (grpc.StatusCode.INTERNAL, "GATEWAY_INTERNAL")
    assert "secret" not in broken.message
    assert broken.record.usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE


async def test_an_adapter_that_writes_the_record_itself_is_a_bug(versatile, dial):
    async def meddles(job):
        return embedding_pb2.EmbedResponse(end={"response_id": "mine"})

    async with dial(versatile(respond=meddles)) as caller:
        assert (await caller.embed(embedding())).reason == "GATEWAY_INTERNAL"


async def hangs(job):
    job.milestones.mark_sent()
    await asyncio.Event().wait()


async def test_limits(versatile, dial):
    timeouts = options_pb2.Timeouts(first_event={"nanos": 50_000_000})
    async with dial(versatile(respond=hangs)) as caller:
        first = await caller.embed(embedding(options={"timeouts": timeouts}))
        late = await caller.embed(embedding(), deadline_s=0.2)
    async with dial(versatile(respond=hangs), total_timeout_s=0.05) as caller:
        total = await caller.embed(embedding())
    assert (first.reason, first.error.native_code) == ("UPSTREAM_TIMEOUT", "first_event")
    assert (total.reason, total.error.native_code) == ("UPSTREAM_TIMEOUT", "total")
    assert late.code == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_caller_who_leaves_ends_the_upstream_call(versatile, dial, until):
    provider = versatile(respond=hangs)
    async with dial(provider) as caller:
        method = "/antiphon.llm.v1.EmbeddingService/Embed"
        call = caller.channel.unary_unary(method)(embedding().SerializeToString())
        await until(lambda: provider.turns)
        call.cancel()
        async with asyncio.timeout(2):
            await provider.released.wait()


async def test_a_drain_out_of_time_ends_calls_typed(versatile, dial, until):
    provider = versatile(respond=hangs)
    async with dial(provider, drain_grace_s=0.5) as caller:
        pending = asyncio.create_task(caller.embed(embedding()))
        await until(lambda: provider.turns)
        await caller.service.drain()
        assert (await pending).reason == "GATEWAY_DRAINING"


async def test_a_cancelled_error_out_of_nowhere_is_an_error_like_any_other(versatile, dial):
    async def cancelled(job):
        raise asyncio.CancelledError

    async with dial(versatile(respond=cancelled)) as caller:
        assert (await caller.embed(embedding())).reason == "PROVIDER_ERROR"


async def test_admission_is_the_same(versatile, dial, until):
    provider = versatile(respond=hangs)
    async with dial(provider, max_concurrency=1) as caller:
        pending = asyncio.create_task(caller.embed(embedding()))
        await until(lambda: provider.turns)
        refused = await caller.rerank(reranking())
        pending.cancel()
    assert refused.reason == "GATEWAY_OVERLOADED"


async def test_too_large_a_request(versatile, dial):
    async with dial(versatile(), max_request_bytes=100) as caller:
        request = embedding_pb2.EmbedRequest(model="m", inputs=[{"text": "x" * 200}])
        assert (await caller.embed(request)).reason == "REQUEST_TOO_LARGE"


async def test_each_call_is_one_line_with_labels(versatile, dial, caplog):
    caplog.set_level("DEBUG")
    async with dial(versatile(respond=vectors)) as caller:
        await caller.embed(embedding(options={"labels": {"team": "a"}}))
    [line] = [record for record in caplog.records if record.message == "call"]
    assert (line.method, line.model) == ("/antiphon.llm.v1.EmbeddingService/Embed", "m-2026")
    assert (line.labels, line.input_tokens) == ({"team": "a"}, 4)
    assert "hello there" not in repr([vars(record) for record in caplog.records])


async def test_telemetry_knows_the_operation(versatile):
    seen = []

    class Span:
        def requested(self, request, model, *, stream, operation):
            seen.append((type(request).__name__, model, stream, operation))

        def finish(self, end, code):
            seen.append(code)

    class Spy:
        def start_call(self, method, invocation_metadata):
            return Span()

    async def responds(job):
        if isinstance(job.request, rerank_pb2.RerankRequest):
            raise failure(Reason.ERROR_REASON_PROVIDER_ERROR, "down")
        return embedding_pb2.EmbedResponse()

    async with (
        serve(versatile(respond=responds), ServiceSettings(), telemetry=Spy()) as service,
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        await channel.unary_unary("/antiphon.llm.v1.EmbeddingService/Embed")(embedding().SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/antiphon.llm.v1.RerankService/Rerank")(reranking().SerializeToString())
    assert seen == [
        ("EmbedRequest", "m", False, "embeddings"),
        grpc.StatusCode.OK,
        ("RerankRequest", "m", False, "rerank"),
        grpc.StatusCode.UNAVAILABLE,
    ]
