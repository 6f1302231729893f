"""A forwarded call beside the same call by grpc.aio: what it gives, raises and leaves behind."""

import asyncio
import contextlib
import time

import grpc
import pytest
from grpc._cython.cygrpc import ExecuteBatchError

from antiphon_router.shell.replica_call import ReplicaCall

pytestmark = pytest.mark.timeout(30)

UNARY, STREAM = "/t.Test/Unary", "/t.Test/Stream"
SENT = (("a", "1"), ("b-bin", b"\x00\x01"))
LIMIT_S = 20.0


class Server(grpc.GenericRpcHandler):
    """Answers by `say`, as stream or as one message, and remembers how calls ended."""

    def __init__(self):
        self.seen = []
        self.came, self.cancelled = asyncio.Event(), asyncio.Event()

        async def say(request, context):
            self.seen.append((request, dict(context.invocation_metadata()), context.time_remaining()))
            self.came.set()
            try:
                return await self.say(request, context)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

        self.unary = grpc.unary_unary_rpc_method_handler(say)
        self.stream = grpc.unary_stream_rpc_method_handler(say)
        self.methods = {UNARY: self.unary, STREAM: self.stream}

    def service(self, details):
        return self.methods.get(details.method)


@pytest.fixture
async def server():
    handler, server = Server(), grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        handler.channel = channel
        yield handler
    await server.stop(None)


async def whole(request, context):
    context.set_trailing_metadata((("end-bin", b"\x08\x01"), ("told", "yes")))
    return b"<" + request + b">"


async def frames(request, context):
    context.set_trailing_metadata((("told", "yes"),))
    for number in range(3):
        await context.write(b"%d" % number)


async def refusal(request, context):
    context.set_trailing_metadata((("why-bin", b"\x01"),))
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too much")


async def never(request, context):
    await asyncio.Event().wait()


async def test_a_unary_call_gives_message_and_trailers_and_sends_what_it_is_given(server):
    server.say = whole
    call = ReplicaCall(server.channel, UNARY, LIMIT_S)
    message, trailers = await call.unary(b"hi", SENT)
    call.close()
    assert (message, dict(trailers)) == (b"<hi>", {"end-bin": b"\x08\x01", "told": "yes"})
    [(request, metadata, left_s)] = server.seen
    assert (request, metadata["a"], metadata["b-bin"]) == (b"hi", "1", b"\x00\x01")
    assert LIMIT_S - 5.0 < left_s <= LIMIT_S


async def test_a_stream_gives_every_message_and_then_its_trailers(server):
    server.say = frames
    call = ReplicaCall(server.channel, STREAM, LIMIT_S)
    await call.begin(b"", SENT)
    first = await anext(call)
    rest = []

    async def take(message):
        rest.append(message)

    await call.each(take)
    assert (first, rest, dict(await call.trailers())) == (b"0", [b"1", b"2"], {"told": "yes"})
    with pytest.raises(StopAsyncIteration):
        await anext(call)
    call.close()


async def answered(call, how):
    if how == "unary":
        return await call.unary(b"", ())
    await call.begin(b"", ())
    if how == "each":
        return await call.each(None)
    return [message async for message in call]


async def failed(call, how):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await answered(call, how)
    call.close()
    return raised.value


@pytest.mark.parametrize("how", ["unary", "each", "iteration"])
async def test_a_failure_tells_what_grpc_aio_tells(server, how):
    server.say = refusal
    method = UNARY if how == "unary" else STREAM
    mine = await failed(ReplicaCall(server.channel, method, LIMIT_S), how)
    with pytest.raises(grpc.aio.AioRpcError) as theirs:
        await server.channel.unary_unary(UNARY)(b"")
    assert (mine.code(), mine.details()) == (theirs.value.code(), theirs.value.details())
    assert tuple(mine.trailing_metadata()) == tuple(theirs.value.trailing_metadata()) == (("why-bin", b"\x01"),)


@pytest.mark.parametrize("how", ["unary", "iteration"])
async def test_the_deadline_is_kept(server, how):
    server.say = never
    started = time.monotonic()
    error = await failed(ReplicaCall(server.channel, UNARY if how == "unary" else STREAM, 0.2), how)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 5.0


async def test_an_answer_without_a_message_is_a_failure(server):
    async def nothing(request, context):
        return None

    server.say = nothing
    server.methods[UNARY] = server.stream
    error = await failed(ReplicaCall(server.channel, UNARY, LIMIT_S), "unary")
    assert error.code() is not grpc.StatusCode.OK


@pytest.mark.parametrize("method", [UNARY, STREAM])
async def test_a_cancelled_task_cancels_the_call_at_the_replica(server, method):
    server.say = never
    call = ReplicaCall(server.channel, method, LIMIT_S)
    task = asyncio.create_task(call.unary(b"", ()) if method == UNARY else call.begin(b"", ()))
    await server.came.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    call.close()
    async with asyncio.timeout(5.0):
        await server.cancelled.wait()


@pytest.mark.parametrize("method", [UNARY, STREAM])
async def test_who_waits_for_a_call_that_is_closed_is_told_so(server, method):
    server.say = never
    call = ReplicaCall(server.channel, method, LIMIT_S)

    async def wait():
        if method == UNARY:
            await call.unary(b"", ())
        await call.begin(b"", ())
        await anext(call)

    task = asyncio.create_task(wait())
    await server.came.wait()
    call.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 0


@pytest.mark.parametrize("say", [whole, refusal])
async def test_its_end_is_told_once(server, say):
    server.say = say
    ended = []
    call = ReplicaCall(server.channel, UNARY, LIMIT_S, ended.append)
    with contextlib.suppress(grpc.aio.AioRpcError):
        await call.unary(b"", ())
    assert not ended
    call.close()
    call.close()
    assert ended == [call]


async def test_an_unreachable_replica_is_a_failure_and_no_exception_of_another_kind():
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        error = await failed(ReplicaCall(channel, UNARY, LIMIT_S), "unary")
    assert error.code() is grpc.StatusCode.UNAVAILABLE


class FakeCall:
    """A call of gRPC whose operations end once it was cancelled, by `error` if given, and tell how far they came."""

    def __init__(self, error=None):
        self.loop = asyncio.get_running_loop()
        self.waited, self.status, self.ended = self.loop.create_future(), self.loop.create_future(), []
        self.error = error
        self.cancels = 0
        self._channel = self

    def call(self, *_):
        return self

    async def _operation(self, *_):
        try:
            await self.waited
        finally:
            self.ended.append("waited")
        await self.status
        self.ended.append("status")
        return grpc.aio.EOF

    unary_unary = initiate_unary_stream = receive_serialized_message = _operation

    def done(self):
        return self.cancels > 0

    is_locally_cancelled = done

    def cancel(self, _):
        self.cancels += 1
        if not self.waited.done():
            self.waited.set_exception(self.error) if self.error else self.waited.set_result(None)
        self.status.set_result(None)


OPERATIONS = {
    "unary": lambda call: call.unary(b"", ()),
    "begin": lambda call: call.begin(b"", ()),
    "iteration": anext,
    "undisturbed": lambda call: call.undisturbed(call.each(None)),
}


async def cancelled(fake, how, *, woken):
    call = ReplicaCall(fake, UNARY, LIMIT_S)

    async def wait():
        await OPERATIONS[how](call)

    task = asyncio.create_task(wait())
    for _ in range(3):
        await asyncio.sleep(0)
    if woken:
        fake.waited.set_result(None)
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("woken", [False, True])
@pytest.mark.parametrize("how", OPERATIONS)
async def test_no_operation_of_a_cancelled_call_is_cut_short(how, woken):
    fake = FakeCall()
    await cancelled(fake, how, woken=woken)
    assert fake.ended == ["waited", "status"]


@pytest.mark.parametrize("how", OPERATIONS)
async def test_a_cancel_is_told_as_such_where_the_operation_fails_by_it(how):
    fake = FakeCall(OSError("of the operation"))
    await cancelled(fake, how, woken=False)
    assert fake.ended == ["waited"]


@pytest.mark.parametrize("how", sorted({*OPERATIONS} - {"undisturbed"}))
async def test_an_operation_that_failed_by_a_cancel_goes_on_to_free_what_it_has(how):
    fake = FakeCall(ExecuteBatchError("failed"))
    await cancelled(fake, how, woken=False)
    assert fake.ended == ["waited", "status"]


async def test_an_operation_that_failed_has_but_ended():
    fake = FakeCall()
    task = asyncio.create_task(ReplicaCall(fake, UNARY, LIMIT_S).begin(b"", ()))
    await asyncio.sleep(0)
    fake.waited.set_exception(ExecuteBatchError("failed"))
    fake.status.set_result(None)
    await task
    assert fake.ended == ["waited", "status"]


async def test_work_that_fails_as_an_operation_does_has_failed():
    async def work():
        await asyncio.sleep(0)
        raise ExecuteBatchError("a write")

    with pytest.raises(ExecuteBatchError, match="a write"):
        await ReplicaCall(FakeCall(), UNARY, LIMIT_S).undisturbed(work())


async def test_an_operation_whose_future_is_cancelled_comes_to_its_end():
    fake = FakeCall()
    task = asyncio.create_task(ReplicaCall(fake, UNARY, LIMIT_S).begin(b"", ()))
    await asyncio.sleep(0)
    fake.waited.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fake.ended == ["waited"]


@pytest.mark.parametrize("how", OPERATIONS)
async def test_what_an_operation_of_grpc_raises_is_raised(how):
    fake = FakeCall()
    task = asyncio.create_task(OPERATIONS[how](ReplicaCall(fake, UNARY, LIMIT_S)))
    await asyncio.sleep(0)
    fake.waited.set_exception(OSError("of the operation"))
    with pytest.raises(OSError, match="of the operation"):
        await task


async def test_nothing_is_passed_on_after_a_call_was_closed(server):
    server.say = frames
    call = ReplicaCall(server.channel, STREAM, LIMIT_S)
    await call.begin(b"", SENT)
    taken = []

    async def take(message):
        taken.append(message)
        call.close()

    with pytest.raises(asyncio.CancelledError):
        await call.each(take)
    assert taken == [b"0"]
