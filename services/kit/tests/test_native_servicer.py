"""CallNative and StreamNative: bytes unchanged, statuses as data, back-pressure, cuts."""

import asyncio

import grpc
import pytest

from antiphon.llm.v1 import native_pb2, response_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error, failure
from antiphon_kit import native_sinks
from antiphon_kit.native_sinks import BodySink
from antiphon_kit.provider import NativeHead

OK = grpc.StatusCode.OK
FAILED = response_pb2.ResponseEnd.OUTCOME_FAILED
BODY = bytes(range(256)) * 3


def asked(**fields):
    http = {"method": "POST", "path": "/chat", "body": BODY, "headers": [{"name": "authorization", "value": "s"}]}
    http["headers"].append({"name": "x-a", "value": "1"})
    return native_pb2.StreamNativeRequest(model="m", request=http, dialect="scripted", **fields)


def head(status=200, *headers, reason=None):
    error = None if reason is None else call_error(reason, "as the vendor says", http_status=status)
    return NativeHead(status, headers, error)


def pairs(message):
    return [(header.name, header.value) for header in message.headers]


async def test_bytes_and_headers_pass(versatile, dial):
    pieces = [head(201, ("X-B", "1"), ("Content-Length", "9"), ("x-b", "2")), BODY, BODY]
    provider = versatile(pieces=pieces)
    async with dial(provider) as caller:
        whole = await caller.native(asked(), antiphon_model_native="n", antiphon_request_id="r")
        stream = await caller.collect(caller.natives(asked()))
    assert (whole.response.http_status, whole.response.body) == (201, BODY * 2)
    assert pairs(whole.response) == [("x-b", "1"), ("x-b", "2")]
    assert "".join(str(frame.http_status) for frame in stream.frames[:1]) == "201"
    assert not any(frame.http_status or frame.headers for frame in stream.frames[1:])
    assert pairs(stream.frames[0]) == [("x-b", "1"), ("x-b", "2")]
    assert b"".join(frame.body for frame in stream.frames) == BODY * 2
    job = provider.turns[0]
    assert (job.model, job.request.request.body) == ("n", BODY)
    assert pairs(job.request.request) == [("x-a", "1")]
    for record in (whole.record, stream.record):
        assert record.outcome == response_pb2.ResponseEnd.OUTCOME_COMPLETED
        assert not record.HasField("usage")
        assert record.timing.HasField("total_duration")
    assert (whole.record.model, whole.record.provider) == ("n", "scripted")


async def test_an_empty_body_is_an_answer(versatile, dial):
    async with dial(versatile(pieces=[head(204, ("x-b", "1"))])) as caller:
        whole = await caller.native(asked())
        stream = await caller.collect(caller.natives(asked()))
    assert (whole.code, whole.response.http_status, whole.response.body) == (OK, 204, b"")
    [message] = stream.frames
    assert (message.http_status, message.body, pairs(message)) == (204, b"", [("x-b", "1")])


@pytest.mark.parametrize("attempt", [{}, {"antiphon_attempt": "3/3"}, {"antiphon_attempt": "nonsense"}])
async def test_a_refusal_is_data_with_a_failed_record(versatile, dial, attempt, caplog):
    caplog.set_level("INFO")
    pieces = [head(429, reason=Reason.ERROR_REASON_RATE_LIMITED), b"no"]
    metadata = tuple((key.replace("_", "-"), value) for key, value in attempt.items())
    async with dial(versatile(pieces=pieces)) as caller:
        whole = await caller.native(asked(), **attempt)
        stream = await caller.collect(caller.natives(asked(), metadata=metadata))
    assert whole.code == stream.code == OK
    assert (whole.response.http_status, whole.response.body) == (429, b"no")
    assert (stream.frames[0].http_status, stream.frames[0].body) == (429, b"no")
    for record in (whole.record, stream.record):
        assert (record.outcome, record.error.reason) == (FAILED, Reason.ERROR_REASON_RATE_LIMITED)
        assert not record.HasField("usage")
    assert [(line.code, line.reason) for line in caplog.records if line.message == "call"] == [
        ("OK", "RATE_LIMITED")
    ] * 2


async def test_while_another_attempt_is_left_what_it_may_cure_is_a_status(versatile, dial):
    async with dial(versatile(pieces=[head(429, reason=Reason.ERROR_REASON_RATE_LIMITED), b"no"])) as caller:
        whole = await caller.native(asked(), antiphon_attempt="1/3")
        stream = await caller.collect(caller.natives(asked(), metadata=(("antiphon-attempt", "2/3"),)))
    for answer in (whole, stream):
        assert (answer.reason, answer.error.http_status) == ("RATE_LIMITED", 429)
        assert answer.record.outcome == FAILED
    assert not stream.frames
    async with dial(versatile(pieces=[head(400, reason=Reason.ERROR_REASON_INVALID_REQUEST), b"no"])) as caller:
        incurable = await caller.native(asked(), antiphon_attempt="1/3")
    assert (incurable.code, incurable.response.http_status) == (OK, 400)


async def test_a_failure_before_the_first_byte_is_bare(versatile, dial):
    down = failure(Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, "down")
    for pieces in ([down], [head(), down]):
        async with dial(versatile(pieces=pieces)) as caller:
            whole = await caller.native(asked())
            stream = await caller.collect(caller.natives(asked()))
        assert whole.reason == stream.reason == "UPSTREAM_UNREACHABLE"
        assert not stream.frames


async def test_a_cut_body_is_told(versatile, dial):
    written = asyncio.Event()

    async def wait(job):
        await written.wait()

    broken = failure(Reason.ERROR_REASON_PROVIDER_ERROR, "reset")
    provider = versatile(pieces=[head(), b"ab", wait, b"cd", broken])
    async with dial(provider) as caller:
        call = caller.natives(asked())
        first = await call.read()
        written.set()
        answer = await caller.collect(call)
    assert first.body + b"".join(frame.body for frame in answer.frames) == b"abcd"
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE, "STREAM_INTERRUPTED")
    assert answer.error.native_type == "PROVIDER_ERROR"
    assert answer.record.outcome == FAILED


async def test_an_end_after_everything_was_written_adds_nothing(versatile, dial):
    written = asyncio.Event()

    async def wait(job):
        await written.wait()

    async with dial(versatile(pieces=[head(), b"ab", wait])) as caller:
        call = caller.natives(asked())
        first = await call.read()
        written.set()
        answer = await caller.collect(call)
    assert (first.http_status, first.body) == (200, b"ab")
    assert (answer.code, answer.frames) == (OK, [])


@pytest.mark.parametrize("pieces", [[b"body first"], [head(), head()], []])
async def test_an_adapter_that_breaks_the_rules_is_an_error(versatile, dial, pieces):
    async with dial(versatile(pieces=pieces)) as caller:
        whole = await caller.native(asked())
    assert whole.reason in ("GATEWAY_INTERNAL", "UPSTREAM_PROTOCOL")


async def test_what_is_not_on_the_list_never_reaches_the_adapter(versatile, dial):
    provider = versatile(pieces=[head()])
    request = asked()
    request.request.path = "/elsewhere"
    async with dial(provider) as caller:
        answer = await caller.native(request)
        stream = await caller.collect(caller.natives(request))
    assert answer.error.param == stream.error.param == "request.path"
    assert not provider.turns


async def test_a_caller_who_does_not_read_stops_the_vendor(versatile, dial, until):
    sent = []
    # More than gRPC's own windows, which grow with the speed of the connection, can take.
    piece, pieces = b"x" * 65536, 1024

    async def sending(job):
        sent.append(len(piece))

    steps = [step for _ in range(pieces) for step in (sending, piece)]
    async with dial(versatile(pieces=[head(), *steps])) as caller:
        call = caller.natives(asked())
        first = await call.read()
        before = -1
        # gRPC's own windows fill first; then nothing moves any more.
        while before != len(sent):
            before = len(sent)
            await asyncio.sleep(0.1)
        stopped = len(sent)
        answer = await caller.collect(call)
    assert stopped < pieces
    assert len(first.body) + sum(len(frame.body) for frame in answer.frames) == pieces * len(piece)


async def test_leaving_ends_the_exchange(versatile, dial):
    async def hang(job):
        await asyncio.Event().wait()

    provider = versatile(pieces=[head(), b"a", hang])
    async with dial(provider) as caller:
        call = caller.natives(asked())
        await call.read()
        call.cancel()
        async with asyncio.timeout(2):
            await provider.released.wait()


async def test_a_silent_vendor_may_be_writing_a_long_answer(versatile, dial):
    async def hang(job):
        job.milestones.mark_sent()
        await asyncio.Event().wait()

    async with dial(versatile(pieces=[hang]), first_event_timeout_s=0.05, total_timeout_s=0.3) as caller:
        whole = await caller.native(asked())
        stream = await caller.collect(caller.natives(asked()))
        impatient = await caller.native(asked(options={"timeouts": {"first_event": {"nanos": 50_000_000}}}))
    assert (whole.reason, whole.error.native_code) == ("UPSTREAM_TIMEOUT", "total")
    assert stream.error.native_code == impatient.error.native_code == "first_event"


async def test_a_body_too_long_for_one_message_says_so():
    sink = BodySink(curable=False, max_bytes=3)
    sink.put(head(), 0, content=False)
    sink.put(b"abc", 3, content=True)
    with pytest.raises(CallFailure, match="StreamNative") as raised:
        sink.put(b"d", 1, content=True)
    assert not raised.value.error.retry_same_backend
    assert not raised.value.error.retry_other_backend
    assert native_sinks.MAX_BODY_BYTES < 64 * 1024 * 1024
