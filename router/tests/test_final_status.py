"""Every final failure says typed what happened and that nobody is to send the call again by himself."""

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from antiphon.llm.v1 import chat_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, call_error

pytestmark = pytest.mark.timeout(30)

CUT = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut")
GENERATE = "/antiphon.llm.v1.ChatService/Generate"
PLAIN = chat_pb2.GenerateRequest(model="fake/m").SerializeToString()


def check(error: grpc.aio.AioRpcError | None, kit, *reasons) -> None:
    assert kit.error_of(error).reason in reasons
    assert dict(error.trailing_metadata())[metadata.PUSHBACK] == "-1"
    assert metadata.END in dict(error.trailing_metadata())


async def unary(suite, body=PLAIN, *, extra=(), limit_s=5.0):
    try:
        await suite.channel.unary_unary(GENERATE)(body, timeout=limit_s, metadata=tuple(extra))
    except grpc.aio.AioRpcError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        (Reason.ERROR_REASON_MODEL_NOT_FOUND, {"body": chat_pb2.GenerateRequest(model="nosuch").SerializeToString()}),
        (Reason.ERROR_REASON_INVALID_REQUEST, {"body": b"\xff"}),
        (Reason.ERROR_REASON_INVALID_REQUEST, {"extra": [(metadata.PRIORITY, "10")]}),
        (Reason.ERROR_REASON_INVALID_REQUEST, {"extra": [(metadata.REQUEST_ID, "x" * 129)]}),
        (Reason.ERROR_REASON_REQUEST_TOO_LARGE, {"body": PLAIN + b"\xa2\x06\x90\x4e" + b"x" * 10000}),
        (Reason.ERROR_REASON_DEADLINE_EXCEEDED, {"limit_s": 0.045}),
    ],
    ids=["model", "bytes", "priority", "request id", "size", "deadline"],
)
async def test_what_the_router_refuses(adapters, kit, reason, facts):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)], max_request_bytes=5000) as suite:
        error = await unary(suite, **facts)
    if reason == Reason.ERROR_REASON_DEADLINE_EXCEEDED:
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, "the client's own end of waiting may come first"
    else:
        check(error, kit, reason)


async def test_what_is_not_taken_in(adapters, kit):
    (a,) = await adapters()
    a.stream = kit.streams(kit.WHOLE[0], hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)], max_concurrency=1) as suite:
        call = suite.call()
        await call.read()
        check(await unary(suite), kit, Reason.ERROR_REASON_GATEWAY_OVERLOADED)
        call.cancel()


@pytest.mark.parametrize("native", [False, True])
async def test_what_fails_before_content(adapters, kit, native):
    (a,) = await adapters()
    a.unary = a.stream = kit.fails(Reason.ERROR_REASON_RATE_LIMITED)
    service = "NativeService/StreamNative" if native else "ChatService/StreamGenerate"
    async with kit.routing([kit.backend("a", a)]) as suite:
        _, error = await kit.rest_of(suite.channel.unary_stream(f"/antiphon.llm.v1.{service}")(PLAIN, timeout=5))
        check(error, kit, Reason.ERROR_REASON_RATE_LIMITED)
        # Now nobody takes calls.
        check(await unary(suite), kit, Reason.ERROR_REASON_RATE_LIMITED)


@pytest.mark.parametrize("word", ["fail", "restart", "hold"])
async def test_what_fails_after_content_whatever_was_asked_for(adapters, kit, word):
    (a,) = await adapters()
    a.stream = kit.streams(kit.WHOLE[0], kit.frame(4, {"end": {"outcome": "OUTCOME_FAILED", "error": CUT}}), then=CUT)
    route = kit.route("r", "a", after_content=["AFTER_CONTENT_RESTART", "AFTER_CONTENT_HOLD"])
    async with kit.routing([kit.backend("a", a)], [route]) as suite:
        _, _, error = await suite.stream("r", extra=[(metadata.AFTER_CONTENT, word)])
    check(error, kit, Reason.ERROR_REASON_STREAM_INTERRUPTED)
    assert len(a.received) == (1 if word == "fail" else 3)


async def test_a_tunnel_that_is_cut_after_content(adapters, kit):
    (a,) = await adapters()
    a.stream = kit.streams(b"bytes", then=CUT)
    async with kit.routing([kit.backend("a", a)]) as suite:
        call = suite.channel.unary_stream("/antiphon.llm.v1.NativeService/StreamNative")(PLAIN, timeout=5)
        frames, error = await kit.rest_of(call)
    assert frames == [b"bytes"]
    check(error, kit, Reason.ERROR_REASON_STREAM_INTERRUPTED)


async def test_two_attempts_at_once_that_both_fail(adapters, kit):
    a, b = await adapters(2)

    async def together(request, context):
        await a.arrived.wait()
        await b.arrived.wait()
        return await kit.fails(Reason.ERROR_REASON_PROVIDER_OVERLOADED)(request, context)

    a.unary = b.unary = together
    hedge = {"delay": Duration(nanos=1_000_000), "max_percent": 100}
    async with kit.routing(
        [kit.backend("a", a), kit.backend("b", b)], [kit.route("r", "a", "b", hedge=hedge)]
    ) as suite:
        error = await unary(suite, chat_pb2.GenerateRequest(model="r").SerializeToString())
    check(error, kit, Reason.ERROR_REASON_PROVIDER_OVERLOADED)
    end = kit.router_end_of(dict(error.trailing_metadata()))
    assert {end.final_attempt, *(each.number for each in end.attempts)} == {1, 2}


@pytest.mark.parametrize("committed", [False, True])
async def test_what_a_drain_ends(adapters, kit, committed):
    (a,) = await adapters()
    a.stream = kit.streams(kit.WHOLE[0] if committed else kit.KEEPALIVE, hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)], drain_grace_s=0.1) as suite:
        call = suite.call()
        await call.read()
        drain = asyncio.create_task(suite.router.public.drain())
        _, error = await kit.rest_of(call)
        await drain
    check(error, kit, Reason.ERROR_REASON_STREAM_INTERRUPTED, Reason.ERROR_REASON_GATEWAY_DRAINING)


async def test_a_bug(adapters, kit, monkeypatch):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        monkeypatch.setattr(suite.router.roster, "begin", lambda *_: 1 / 0)
        check(await unary(suite), kit, Reason.ERROR_REASON_GATEWAY_INTERNAL)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_too_long_for_one_model_goes_to_the_larger_one(adapters, kit, stream):
    a, b, larger = await adapters(3)
    for each in (a, b):
        each.unary = each.stream = kit.fails(Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED, http_status=400)
    rows = [kit.backend("a", a), kit.backend("b", b), kit.backend("larger", larger)]
    with_larger, without = kit.route("r", "a", "b", "larger"), kit.route("s", "a", "b")
    with_larger.targets[2].long_context = True
    async with kit.routing(rows, [with_larger, without]) as suite:
        if stream:
            frames, trailers, error = await suite.stream("r")
            assert (frames[1:], error) == (kit.WHOLE, None)
        else:
            _, trailers = await suite.generate("r")
        refused = await unary(suite, chat_pb2.GenerateRequest(model="s").SerializeToString())
        assert not suite.router.roster.fleet.shared, "a caller's request blames nobody"
    end = kit.router_end_of(trailers)
    assert [each.error.reason for each in end.attempts] == [Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED]
    assert (end.backend, len(b.received), len(larger.received)) == ("larger", 0, 1)
    check(refused, kit, Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED)


@pytest.mark.parametrize(("others", "most"), [(0, "1/1"), (1, "1/3")])
async def test_a_tunnel_is_told_whether_it_is_the_last(adapters, kit, others, most):
    many = await adapters(2 + others)
    rows = [kit.backend("a", many[0], many[1]), *(kit.backend("b", each) for each in many[2:])]
    async with kit.routing(rows, [kit.route("r", *(row.id for row in rows))]) as suite:
        body = chat_pb2.GenerateRequest(model="r").SerializeToString()
        await suite.channel.unary_unary("/antiphon.llm.v1.NativeService/CallNative")(body, timeout=5)
        [first] = [received for each in many for received in each.received]
        if others:
            await many[2].serving(False)
            await suite.until(lambda: not suite.router.roster.takes_calls("b"))
            await suite.channel.unary_unary("/antiphon.llm.v1.NativeService/CallNative")(body, timeout=5)
            assert [r.metadata[metadata.ATTEMPT] for each in many[:2] for r in each.received].count("1/1") == 1
    assert first.metadata[metadata.ATTEMPT] == most
