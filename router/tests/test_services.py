"""The services beside chat: unary bytes through, completions as chat, the tunnel by a commit rule of its own."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2

from antiphon.llm.v1 import completion_pb2, embedding_pb2, native_pb2, rerank_pb2, response_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, call_error, end_from_trailers, end_trailer, to_status

pytestmark = pytest.mark.timeout(30)

PACKAGE = "/antiphon.llm.v1."
UNKNOWN_FIELD = b"\xfa\x7f\x03abc"
HEAD = native_pb2.StreamNativeResponse(
    http_status=200, headers=[{"name": "a", "value": "b"}], body=b"\xff{"
).SerializeToString()
# No frame of events begins like this, and it is none.
BODY = native_pb2.StreamNativeResponse(body=b"\xff\xfe data").SerializeToString()
UNARY = [
    ("EmbeddingService/Embed", embedding_pb2.EmbedRequest(model="fake/m", inputs=[{"text": "a"}])),
    ("RerankService/Rerank", rerank_pb2.RerankRequest(model="fake/m")),
    ("CompletionService/Complete", completion_pb2.CompleteRequest(model="fake/m")),
    ("NativeService/CallNative", native_pb2.CallNativeRequest(model="fake/m", request={"body": b"\xff\x00"})),
]


async def unary(suite, method, request, extra=()):
    call = suite.channel.unary_unary(PACKAGE + method)(request, timeout=5.0, metadata=tuple(extra))
    return await call, dict(await call.trailing_metadata())


async def streamed(suite, method, request):
    call = suite.channel.unary_stream(PACKAGE + method)(request.SerializeToString(), timeout=5.0)
    messages, error = [], None
    try:
        async for message in call:
            messages.append(message)
    except grpc.aio.AioRpcError as raised:
        error = raised
    return messages, dict(await call.trailing_metadata()), error


async def tunnelled(suite):
    return await streamed(suite, "NativeService/StreamNative", native_pb2.StreamNativeRequest(model="fake/m"))


@pytest.mark.parametrize(("method", "request_"), UNARY)
async def test_unary_bytes_pass_unchanged_both_ways(adapters, kit, method, request_):
    (a,) = await adapters()
    answer = b"\xff not even a message"

    async def answers(request, context):
        context.set_trailing_metadata((end_trailer(kit.END),))
        return answer

    a.unary = answers
    body = request_.SerializeToString() + UNKNOWN_FIELD
    async with kit.routing([kit.backend("a", a)]) as suite:
        got, trailers = await unary(suite, method, body, extra=[(metadata.REQUEST_ID, "mine")])
    assert got == answer
    [received] = a.received
    assert (received.method, received.body) == (PACKAGE + method, body)
    assert received.metadata[metadata.MODEL_NATIVE] == "m"
    # A second attempt might follow on some failures; but what the last one of a tunnel ends in is passed on.
    assert received.metadata[metadata.ATTEMPT] == ("1/1" if "Native" in method else "1/3")
    assert trailers[metadata.END] == kit.END.SerializeToString()
    assert (trailers[metadata.BACKEND], trailers[metadata.REQUEST_ID]) == ("a", "mine")


@pytest.mark.parametrize(("method", "request_"), UNARY)
async def test_unary_calls_fail_over(adapters, kit, method, request_):
    a, b = await adapters(2)
    behaviours = iter([kit.fails(Reason.ERROR_REASON_OPERATION_UNSUPPORTED), kit.answers])

    async def next_one(request, context):
        return await next(behaviours)(request, context)

    a.unary = b.unary = next_one
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:
        await unary(suite, method, request_.SerializeToString())
    assert (len(a.received), len(b.received)) == (1, 1)


async def test_completions_stream_as_chat_does(adapters, kit):
    (a,) = await adapters()
    request = completion_pb2.StreamCompleteRequest(model="fake/m")
    async with kit.routing([kit.backend("a", a)]) as suite:
        frames, trailers, error = await streamed(suite, "CompletionService/StreamComplete", request)
        cut = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut")
        a.stream = kit.streams(kit.WHOLE[0], then=cut)
        closed, _, broken = await streamed(suite, "CompletionService/StreamComplete", request)
    assert (frames, error) == (kit.WHOLE, None)
    assert trailers[metadata.BACKEND] == "a"
    # The adapter died without `end`: the router adds one.
    end = completion_pb2.StreamCompleteResponse.FromString(closed[-1]).events[0].end
    assert end.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
    assert broken.code() == grpc.StatusCode.UNAVAILABLE


async def test_the_tunnel_passes_messages_undecoded(adapters, kit):
    (a,) = await adapters()
    a.stream = kit.streams(HEAD, BODY, b"", BODY)
    async with kit.routing([kit.backend("a", a)]) as suite:
        messages, trailers, error = await tunnelled(suite)
    assert (messages, error) == ([HEAD, BODY, b"", BODY], None)
    assert trailers[metadata.END] == kit.END.SerializeToString()
    assert kit.router_end_of(trailers).timing.HasField("time_to_first_content")
    assert a.received[0].method == PACKAGE + "NativeService/StreamNative"


async def test_the_tunnel_fails_over_before_its_first_message(adapters, kit):
    a, b = await adapters(2)
    behaviours = iter([kit.fails(Reason.ERROR_REASON_RATE_LIMITED, http_status=429), kit.streams(HEAD, BODY)])

    async def next_one(request, context):
        await next(behaviours)(request, context)

    a.stream = b.stream = next_one
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:
        messages, trailers, error = await tunnelled(suite)
    # No message tells of the attempt: bodies are the vendor's alone. The trailers do.
    assert (messages, error) == ([HEAD, BODY], None)
    [attempt] = kit.router_end_of(trailers).attempts
    assert attempt.error.reason == Reason.ERROR_REASON_RATE_LIMITED
    assert (len(a.received), len(b.received)) == (1, 1)


async def test_after_its_first_message_the_tunnel_is_bound(adapters, kit):
    a, b = await adapters(2)
    end = response_pb2.ResponseEnd(outcome="OUTCOME_FAILED", response_id="i.9")

    async def cut(request, context):
        await context.write(HEAD)
        error = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut", native_type="reset")
        await context.abort_with_status(to_status(error, end_trailer(end)))

    for adapter in (a, b):
        adapter.stream = cut
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:
        messages, trailers, error = await tunnelled(suite)
    assert messages == [HEAD]
    typed = kit.error_of(error)
    assert (typed.reason, typed.native_type) == (Reason.ERROR_REASON_STREAM_INTERRUPTED, "reset")
    assert end_from_trailers(tuple(trailers.items())).response_id == "i.9"
    assert len(a.received) + len(b.received) == 1


async def test_a_dead_replica_in_the_middle_is_an_interruption(adapters, kit):
    (a,) = await adapters()
    a.stream = kit.streams(HEAD, hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)]) as suite:
        request = native_pb2.StreamNativeRequest(model="fake/m").SerializeToString()
        call = suite.channel.unary_stream(PACKAGE + "NativeService/StreamNative")(request, timeout=5.0)
        assert await call.read() == HEAD
        await a.kill()
        rest, error = await kit.rest_of(call)
    assert rest == []
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED


async def test_a_tunnel_without_a_message_is_no_answer(adapters, kit):
    (a,) = await adapters()

    async def silent(request, context):
        context.set_trailing_metadata((end_trailer(kit.END),))

    a.stream = silent
    async with kit.routing([kit.backend("a", a)]) as suite:
        messages, _, error = await tunnelled(suite)
    assert messages == []
    assert kit.error_of(error).reason == Reason.ERROR_REASON_UPSTREAM_PROTOCOL


async def test_a_router_that_stops_cuts_tunnels_typed(adapters, kit):
    (a,) = await adapters()
    a.stream = kit.streams(HEAD, hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)], drain_grace_s=0.5) as suite:
        request = native_pb2.StreamNativeRequest(model="fake/m").SerializeToString()
        call = suite.channel.unary_stream(PACKAGE + "NativeService/StreamNative")(request, timeout=5.0)
        assert await call.read() == HEAD
        await suite.router.public.drain()
        rest, error = await kit.rest_of(call)
    assert rest == []
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED


@pytest.mark.parametrize(
    "service", ["ChatService", "EmbeddingService", "RerankService", "CompletionService", "NativeService"]
)
async def test_public_health_names_every_service(adapters, kit, service):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        await suite.until(suite.router.roster.any_takes_calls)
        data = await suite.channel.unary_unary("/grpc.health.v1.Health/Check")(
            health_pb2.HealthCheckRequest(service=f"antiphon.llm.v1.{service}").SerializeToString()
        )
    assert health_pb2.HealthCheckResponse.FromString(data).status == health_pb2.HealthCheckResponse.SERVING
