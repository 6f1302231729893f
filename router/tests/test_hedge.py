"""What a route may add before first content: a limit on it, and a second attempt beside a slow first one."""

import asyncio
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from antiphon.llm.v1 import chat_pb2, usage_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, call_error
from antiphon_router.shell.alarms import Alarms
from antiphon_router.shell.hedge import raced

pytestmark = pytest.mark.timeout(30)

SOON = {"hedge": {"delay": Duration(nanos=30_000_000), "max_percent": 100}}
NEVER = {"hedge": {"delay": Duration(seconds=20), "max_percent": 100}}


def hanging(kit, *frames):
    async def behaviour(request, context):
        for each in frames:
            await context.write(each)
        await asyncio.Event().wait()

    return behaviour


@pytest.fixture
async def two(adapters, kit):
    """The first of two adapters never gets to content."""
    a, b = await adapters(2)
    a.unary = hanging(kit)
    a.stream = hanging(kit, kit.KEEPALIVE)
    return a, b, [kit.backend("a", a), kit.backend("b", b)]


def check_record(end):
    [lost] = end.attempts
    assert (lost.number, lost.backend, end.final_attempt, end.backend) == (1, "a", 2, "b")
    assert (lost.error.reason, lost.error.native_code) == (Reason.ERROR_REASON_CANCELLED, "hedge")
    assert lost.usage.input_tokens >= 1
    assert not lost.usage.HasField("output_tokens")
    assert lost.usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE


async def test_the_faster_stream_wins_and_the_slower_is_cancelled_and_recorded(two, kit):
    a, b, rows = two
    async with kit.routing(rows, [kit.route("r", "a", "b", **SOON)]) as suite:
        frames, trailers, error = await suite.stream("r")
        await asyncio.wait_for(a.cancelled.wait(), 5)
        fleet = suite.router.roster.fleet
        await suite.until(lambda: not any(load.in_flight for load in fleet.loads.values()))
        assert not fleet.shared, "the loser is blamed for nothing"
    assert error is None
    assert frames[0] == kit.KEEPALIVE
    assert kit.kinds_in(frames[1:2]) == ["attempt"]
    assert frames[2:] == kit.WHOLE
    check_record(kit.router_end_of(trailers))
    assert b.received[0].metadata[metadata.ATTEMPT] == "2/3"


async def test_the_faster_unary_call_wins(two, kit):
    a, _, rows = two
    async with kit.routing(rows, [kit.route("r", "a", "b", **SOON)]) as suite:
        # The winner does not wait for the loser to end by itself.
        answer, trailers = await asyncio.wait_for(suite.generate("r", limit_s=60), 3)
        await asyncio.wait_for(a.cancelled.wait(), 5)
    assert answer == kit.ANSWER.SerializeToString()
    check_record(kit.router_end_of(trailers))


async def test_the_first_may_win_after_all(two, kit):
    a, b, rows = two
    b.unary = hanging(kit)

    async def late(request, context):
        await b.arrived.wait()
        return await kit.answers(request, context)

    a.unary = late
    async with kit.routing(rows, [kit.route("r", "a", "b", **SOON)]) as suite:
        answer, trailers = await suite.generate("r")
        await asyncio.wait_for(b.cancelled.wait(), 5)
    end = kit.router_end_of(trailers)
    assert answer == kit.ANSWER.SerializeToString()
    assert ([each.number for each in end.attempts], end.final_attempt, end.backend) == ([2], 1, "a")


async def test_a_fast_answer_needs_no_second(two, kit):
    a, b, rows = two
    a.unary, a.stream = kit.answers, kit.streams()
    async with kit.routing(rows, [kit.route("r", "a", "b", **NEVER)]) as suite:
        _, trailers = await suite.generate("r")
        frames, _, error = await suite.stream("r")
    assert (frames, error) == (kit.WHOLE, None)
    assert kit.router_end_of(trailers).final_attempt == 1
    assert not b.received


@pytest.mark.parametrize("bound", [{}, {"max_percent": 20}], ids=["default", "a fifth"])
async def test_hedges_are_a_bounded_share_of_the_calls(two, kit, bound):
    a, b, rows = two
    hedge = {"delay": Duration(nanos=1), **bound}

    async def late(request, context):
        await asyncio.sleep(0.05)
        return await kit.answers(request, context)

    a.unary = late
    async with kit.routing(rows, [kit.route("r", "a", "b", hedge=hedge)]) as suite:
        for _ in range(20):
            await suite.generate("r")
    assert len(b.received) == (4 if bound else 1)


async def test_what_a_provider_keeps_is_never_asked_for_twice(two, kit):
    a, b, rows = two

    async def late(request, context):
        await asyncio.sleep(0.1)
        return await kit.answers(request, context)

    a.unary = late
    request = chat_pb2.GenerateRequest(model="r", params={"store": True})
    async with kit.routing(rows, [kit.route("r", "a", "b", **SOON)]) as suite:
        await suite.generate(body=request.SerializeToString())
    assert not b.received


async def test_a_vendors_own_bytes_are_never_sent_twice(two, kit):
    a, b, rows = two

    async def late(request, context):
        await asyncio.sleep(0.1)
        await context.write(b"x")

    a.stream = late
    async with kit.routing(rows, [kit.route("r", "a", "b", **SOON)]) as suite:
        body = chat_pb2.StreamGenerateRequest(model="r").SerializeToString()
        call = suite.channel.unary_stream("/antiphon.llm.v1.NativeService/StreamNative")(body, timeout=5)
        assert await kit.rest_of(call) == ([b"x"], None)
    assert not b.received


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_cancel_reaches_both(two, kit, kind):
    a, b, rows = two
    b.unary, b.stream = a.unary, a.stream
    async with kit.routing(rows, [kit.route("r", "a", "b", **SOON)]) as suite:
        body = chat_pb2.GenerateRequest(model="r").SerializeToString()
        unary = suite.channel.unary_unary("/antiphon.llm.v1.ChatService/Generate")
        call = unary(body, timeout=5) if kind == "unary" else suite.call("r")
        await asyncio.wait_for(b.arrived.wait(), 5)
        call.cancel()
        await asyncio.wait_for(a.cancelled.wait(), 5)
        await asyncio.wait_for(b.cancelled.wait(), 5)
        fleet = suite.router.roster.fleet
        await suite.until(lambda: not any(load.in_flight for load in fleet.loads.values()))


async def test_if_one_fails_the_other_goes_on(two, kit):
    a, b, rows = two

    async def broken(request, context):
        await b.arrived.wait()
        await kit.fails(Reason.ERROR_REASON_PROVIDER_OVERLOADED)(request, context)

    async def late(request, context):
        await asyncio.sleep(0.1)
        await kit.streams()(request, context)

    a.stream, b.stream = broken, late
    async with kit.routing(rows, [kit.route("r", "a", "b", **SOON)]) as suite:
        frames, trailers, error = await suite.stream("r")
    assert error is None
    assert frames[1:] == kit.WHOLE
    end = kit.router_end_of(trailers)
    assert [each.error.reason for each in end.attempts] == [Reason.ERROR_REASON_PROVIDER_OVERLOADED]
    assert (end.final_attempt, len(a.received), len(b.received)) == (2, 1, 1)


async def test_if_both_fail_the_call_goes_on_elsewhere_under_the_next_number(two, adapters, kit):
    a, b, rows = two
    (c,) = await adapters()

    async def broken(request, context):
        await b.arrived.wait()
        await kit.fails(Reason.ERROR_REASON_PROVIDER_OVERLOADED)(request, context)

    a.stream = b.stream = broken
    routes = [kit.route("r", "a", "b", "c", **SOON)]
    async with kit.routing([*rows, kit.backend("c", c)], routes) as suite:
        frames, trailers, error = await suite.stream("r")
    assert error is None
    assert frames[-3:] == kit.WHOLE
    end = kit.router_end_of(trailers)
    assert ([each.number for each in end.attempts], end.final_attempt, end.backend) == ([1, 2], 3, "c")


async def test_numbers_go_on_after_a_lost_race_when_the_answer_begins_anew(two, adapters, kit):
    _, b, rows = two
    (c,) = await adapters()
    cut = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut")
    b.stream = kit.streams(kit.WHOLE[0], kit.frame(4, {"end": {"outcome": "OUTCOME_FAILED", "error": cut}}), then=cut)
    route = kit.route("r", "a", "b", "c", after_content=["AFTER_CONTENT_RESTART"], **SOON)
    async with kit.routing([*rows, kit.backend("c", c)], [route]) as suite:
        frames, trailers, error = await suite.stream("r", extra=[(metadata.AFTER_CONTENT, "restart")], limit_s=20)
    assert error is None
    end = kit.router_end_of(trailers)
    [restart] = [event.restart for event in kit.events_in(frames) if event.HasField("restart")]
    assert (restart.voided_attempt, restart.next_attempt, end.final_attempt, end.restarts) == (2, 3, 3, 1)
    assert [each.number for each in end.attempts] == [1, 2]


async def test_a_drain_ends_both_with_a_typed_error(two, kit):
    _, b, rows = two
    b.stream = hanging(kit)
    async with kit.routing(rows, [kit.route("r", "a", "b", **SOON)], drain_grace_s=0.2) as suite:
        call = suite.call("r")
        await asyncio.wait_for(b.arrived.wait(), 5)
        drain = asyncio.create_task(suite.router.public.drain())
        _, error = await kit.rest_of(call)
        await drain
    assert kit.error_of(error).reason == Reason.ERROR_REASON_GATEWAY_DRAINING


LIMIT = {"first_content_timeout": Duration(nanos=60_000_000)}


async def test_a_slow_first_content_is_a_failure_and_the_next_is_asked(two, kit):
    a, _, rows = two
    async with kit.routing(rows, [kit.route("r", "a", "b", **LIMIT)]) as suite:
        frames, trailers, error = await suite.stream("r")
        await asyncio.wait_for(a.cancelled.wait(), 5)
    assert error is None
    assert frames[-3:] == kit.WHOLE
    [attempt] = kit.router_end_of(trailers).attempts
    assert (attempt.error.reason, attempt.backend) == (Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "a")
    assert "first_content_timeout" in attempt.error.message


async def test_the_limit_is_for_first_content_only(two, kit):
    a, b, rows = two

    async def slow(request, context):
        await context.write(kit.WHOLE[0])
        await asyncio.sleep(0.15)
        for each in kit.WHOLE[1:]:
            await context.write(each)

    a.stream = slow
    async with kit.routing(rows, [kit.route("r", "a", "b", **LIMIT)]) as suite:
        frames, _, error = await suite.stream("r")
    assert (frames, error) == (kit.WHOLE, None)
    assert not b.received


async def test_of_a_unary_call_only_the_adapter_sees_the_first_content(two, kit):
    a, b, rows = two

    async def slow(request, context):
        await asyncio.sleep(0.15)
        return await kit.answers(request, context)

    a.unary = slow
    async with kit.routing(rows, [kit.route("r", "a", "b", **LIMIT)]) as suite:
        await suite.generate("r")
        await suite.generate("fake/m", extra=[(metadata.FIRST_CONTENT, "1"), (metadata.PROVIDER, "fake")])
    first, second = [*a.received, *b.received]
    assert first.metadata[metadata.FIRST_CONTENT] == "60"
    assert metadata.FIRST_CONTENT not in second.metadata


async def test_at_the_last_backend_a_slow_first_content_is_told(two, kit):
    a, _, _ = two
    async with kit.routing([kit.backend("a", a)], [kit.route("r", "a", **LIMIT)]) as suite:
        frames, _, error = await suite.stream("r")
    assert frames in ([], [kit.KEEPALIVE])
    assert kit.error_of(error).reason == Reason.ERROR_REASON_UPSTREAM_TIMEOUT
    assert error.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("late", ["content", "none"])
async def test_what_was_opened_is_let_go_when_the_caller_leaves_while_the_loser_is_closed(late):
    first, second = SimpleNamespace(size=1), SimpleNamespace(size=1)
    second_runs, first_may, closing, let_go = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    dropped, closed = [], []

    async def open_(running):
        if running is first:
            await first_may.wait()
            return "first's"
        second_runs.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            closing.set()
            await let_go.wait()
            if late == "none":
                raise
        return "second's"

    call = SimpleNamespace(
        hedge_delay_s=lambda running: 0.01,
        hedge=lambda running, request: second,
        lost=lambda running, winner: None,
        close_attempt=closed.append,
    )
    race = asyncio.create_task(raced(call, first, open_, dropped.append, request=b"", alarms=Alarms()))
    await second_runs.wait()
    first_may.set()
    await closing.wait()
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    let_go.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert sorted(dropped) == ["first's", "second's"][: 2 if late == "content" else 1]
    assert closed == [second]
