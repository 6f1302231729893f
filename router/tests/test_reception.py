"""What is taken in, over real connections: limits of the routes file and what a caller is told."""

import asyncio

import grpc
import pytest

from antiphon.config.v1 import suite_pb2
from antiphon.llm.v1 import response_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, end_trailer
from antiphon_router.shell.wire import used_tokens

pytestmark = pytest.mark.timeout(30)


async def refused(suite, kit, **how):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await suite.generate(**how)
    assert dict(raised.value.trailing_metadata())[metadata.PUSHBACK] == "-1"
    return kit.error_of(raised.value)


def costly_of(end, kit):
    async def costly(request, context):
        context.set_trailing_metadata((end_trailer(end),))
        return kit.ANSWER.SerializeToString()

    return costly


async def test_a_caller_may_make_so_many_requests_per_minute_and_no_other_caller_suffers(adapters, kit):
    (a,) = await adapters()
    limits = suite_pb2.Limits(
        trust_caller_metadata=True, callers=[suite_pb2.CallerLimit(caller="ci", requests_per_minute=2)]
    )
    async with kit.routing([kit.backend("a", a)], limits=limits) as suite:
        ci = ((metadata.CALLER, "ci"),)
        for _ in range(2):
            await suite.generate(extra=ci)
        error = await refused(suite, kit, extra=ci)
        _, _, streamed = await suite.stream(extra=ci)
        await suite.generate(extra=((metadata.CALLER, "web"),))
    assert error.reason == kit.error_of(streamed).reason == Reason.ERROR_REASON_GATEWAY_RATE_LIMITED
    assert 28 <= error.retry_delay.seconds <= 30
    assert len(a.received) == 3
    assert all(metadata.CALLER not in call.metadata for call in a.received)


async def test_tokens_are_those_of_the_terminal_record(adapters, kit):
    (a,) = await adapters()
    end = response_pb2.ResponseEnd()
    end.CopyFrom(kit.END)
    end.usage.input_tokens, end.usage.output_tokens = 100, 1900

    a.unary = costly_of(end, kit)
    limits = suite_pb2.Limits(default_caller=suite_pb2.CallerLimit(tokens_per_minute=1000))
    async with kit.routing([kit.backend("a", a)], limits=limits) as suite:
        await suite.generate()
        error = await refused(suite, kit)
    assert "1000 tokens per minute" in error.message
    assert error.retry_delay.seconds > 60, "it is in debt"


async def test_calls_at_once_are_bounded_and_a_place_is_free_again_however_a_call_ends(adapters, kit):
    (a,) = await adapters()
    hang = asyncio.Event()
    a.stream = kit.streams(hang=hang)
    limits = suite_pb2.Limits(max_in_flight=1)
    async with kit.routing([kit.backend("a", a)], limits=limits) as suite:
        running = suite.call()
        assert await running.read() is not grpc.aio.EOF
        error = await refused(suite, kit)
        assert error.reason == Reason.ERROR_REASON_GATEWAY_OVERLOADED
        assert error.HasField("retry_delay")
        running.cancel()
        await asyncio.wait_for(a.cancelled.wait(), 5)
        a.unary = kit.fails(Reason.ERROR_REASON_INVALID_REQUEST)
        for _ in range(3):
            error = await refused(suite, kit)
            assert error.reason == Reason.ERROR_REASON_INVALID_REQUEST


async def test_a_backend_is_left_alone_before_its_provider_has_to_limit_it(adapters, kit):
    a, b = await adapters(2)
    rows = [kit.backend("a", a, requests_per_minute=2), kit.backend("b", b, requests_per_minute=1)]
    async with kit.routing(rows, [kit.route("r", "a", "b")]) as suite:
        for _ in range(3):
            await suite.generate(model="r")
        error = await refused(suite, kit, model="r")
    assert (len(a.received), len(b.received)) == (2, 1)
    assert error.reason == Reason.ERROR_REASON_RATE_LIMITED
    assert 28 <= error.retry_delay.seconds <= 30, "whichever has room first"


async def test_tokens_of_a_backend_are_put_right_by_what_was_used(adapters, kit):
    a, b = await adapters(2)
    end = response_pb2.ResponseEnd()
    end.CopyFrom(kit.END)
    end.usage.input_tokens, end.usage.output_tokens = 100, 900
    a.unary = costly_of(end, kit)
    rows = [kit.backend("a", a, tokens_per_minute=500), kit.backend("b", b)]
    async with kit.routing(rows, [kit.route("r", "a", "b")]) as suite:
        for _ in range(3):
            await suite.generate(model="r")
    assert (len(a.received), len(b.received)) == (1, 2)


async def test_new_limits_are_taken_while_it_runs(adapters, kit):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        for _ in range(3):
            await suite.generate()
        loaded = suite.router.routes.loaded
        limited = suite_pb2.Suite()
        limited.CopyFrom(loaded.suite)
        limited.limits.default_caller.requests_per_minute = 1
        for _ in range(2):
            suite.router.routes.swap(type(loaded)(limited, loaded.catalog))
        await suite.generate()
        suite.router.routes.swap(type(loaded)(limited, loaded.catalog))
        error = await refused(suite, kit)
        assert error.reason == Reason.ERROR_REASON_GATEWAY_RATE_LIMITED, "unchanged limits forget nothing"
        suite.router.routes.swap(loaded)
        await suite.generate()


def test_what_a_record_says_of_usage():
    record = response_pb2.ResponseEnd()
    assert used_tokens(record.SerializeToString()) is None
    assert used_tokens(b"\xff") is None
    record.usage.output_tokens = 3
    assert used_tokens(record.SerializeToString()) == (0, 3)
