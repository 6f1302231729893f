"""A call that is over leaves nothing that waits for the garbage collector: its memory is back at once."""

import asyncio
import contextlib
import gc
import time

import grpc
import pytest

from antiphon_contract.errors import Reason, call_error
from antiphon_router.shell.call import Call
from antiphon_router.shell.replica_call import ReplicaCall

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def collector_off():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def assert_none_left():
    until = time.monotonic() + 5.0
    while count := sum(isinstance(each, Call | ReplicaCall) for each in gc.get_objects()):
        assert time.monotonic() < until, f"{count} objects of calls that are over"
        await asyncio.sleep(0.02)


async def refused(kit, suite, a, method):
    # Without its end, or the stream would be whole before it fails.
    a.unary = a.stream = kit.streams(kit.WHOLE[0], then=call_error(Reason.ERROR_REASON_INVALID_REQUEST, "no"))
    await (kit.rest_of(suite.call()) if method == "stream" else suite.generate())


async def late(kit, suite, a, method):
    a.unary = a.stream = kit.streams(kit.WHOLE[0], hang=asyncio.Event())
    await (kit.rest_of(suite.call(limit_s=0.3)) if method == "stream" else suite.generate(limit_s=0.3))


async def left(kit, suite, a, method):
    a.unary = a.stream = kit.streams(hang=asyncio.Event())
    if method == "stream":
        call = suite.call()
        await call.read()
        call.cancel()
    else:
        task = asyncio.create_task(suite.generate())
        await asyncio.wait_for(a.arrived.wait(), 5)
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("method", ["unary", "stream"])
@pytest.mark.parametrize("how", [refused, late, left])
async def test_a_call_that_ends_badly_is_let_go_of_at_once(adapters, kit, collector_off, how, method):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        with contextlib.suppress(grpc.aio.AioRpcError):
            await how(kit, suite, a, method)
        assert a.received
        await assert_none_left()
