"""How a stream ends badly: before and after content, by cancel, by a bug; and what never crosses the wire."""

import asyncio
import time

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2, response_pb2, usage_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure, Reason, call_error

End = response_pb2.ResponseEnd
Usage = usage_pb2.Usage


async def forever(turn):
    await asyncio.Event().wait()


async def test_failure_before_content_is_a_bare_status(events, scripted, dial):
    error = call_error(
        Reason.ERROR_REASON_RATE_LIMITED, "slow down", retry_delay_s=1.5, http_status=429, native_code="rate_limit"
    )
    async with dial(scripted([[events.start()], [events.usage(5, 0)], CallFailure(error)])) as caller:
        answer = await caller.stream()
    assert answer.frames == []
    assert answer.headers.get(metadata.CONTRACT) is None
    assert (answer.code, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert (answer.error.provider, answer.error.model, answer.error.native_code) == ("scripted", "m", "rate_limit")
    assert answer.error.retry_delay.nanos == 500_000_000
    assert dict(answer.trailers)[metadata.PUSHBACK] == "-1"
    assert answer.record.outcome == End.OUTCOME_FAILED
    assert answer.record.event_count == 0
    assert answer.record.usage.source == Usage.SOURCE_PROVIDER_PARTIAL


async def test_a_refused_call_has_no_invented_usage(events, scripted, dial):
    error = call_error(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, "bad key", http_status=401)
    async with dial(scripted([CallFailure(error)])) as caller:
        answer = await caller.stream()
    assert not answer.record.HasField("usage")


@pytest.mark.parametrize("native", [True, False])
async def test_failure_after_content_is_an_end_alone_in_its_frame_and_a_status(events, scripted, dial, native):
    error = call_error(
        Reason.ERROR_REASON_PROVIDER_OVERLOADED,
        "busy",
        native_type="overloaded_error" if native else "",
        native_code="529" if native else "",
        http_status=529,
    )
    script = [[events.start(), events.part(), events.text("abcdefgh")], [events.usage(5, 2)], CallFailure(error)]
    async with dial(scripted(script)) as caller:
        answer = await caller.stream()
    assert [event.WhichOneof("kind") for event in answer.frames[-1].events] == ["end"]
    # A router sees it by one byte: field 1, a varint, field 2, a length, then the tag of `end`.
    assert answer.frames[-1].SerializeToString()[0] == 0x08
    assert "text_delta" in answer.kinds
    end = answer.events[-1].end
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE, "STREAM_INTERRUPTED")
    assert (end.outcome, end.error.reason) == (End.OUTCOME_FAILED, Reason.ERROR_REASON_STREAM_INTERRUPTED)
    assert (end.error.native_type, end.error.native_code) == (
        ("overloaded_error", "529") if native else ("PROVIDER_OVERLOADED", "PROVIDER_OVERLOADED")
    )
    assert not end.error.retry_other_backend
    assert end.usage.source == Usage.SOURCE_PROVIDER_PARTIAL
    assert end.event_count == answer.frames[-1].first_sequence == 5


async def test_an_answer_without_finish_reason_is_not_a_success(events, scripted, dial):
    async with dial(scripted([[events.start()]])) as caller:
        before = await caller.stream()
    async with dial(scripted([[events.start(), events.part(), events.text("a")]])) as caller:
        after = await caller.stream()
    async with dial(scripted([[events.start(), events.part(0), events.part(1), events.stop()]])) as caller:
        half = await caller.stream()
    assert (before.code, before.reason, before.frames) == (grpc.StatusCode.INTERNAL, "UPSTREAM_PROTOCOL", [])
    assert (after.reason, after.error.native_type) == ("STREAM_INTERRUPTED", "UPSTREAM_PROTOCOL")
    assert half.reason == "STREAM_INTERRUPTED"


@pytest.mark.parametrize("after_content", [False, True])
async def test_cancel_closes_the_upstream_at_once_and_is_recorded(events, scripted, dial, caplog, after_content):
    caplog.set_level("INFO")
    opening = [[events.start(), events.part(), events.text("a")]] if after_content else [[events.start()]]
    waiting = asyncio.Event()

    async def hang(turn):
        waiting.set()
        await asyncio.Event().wait()

    provider = scripted([*opening, hang])
    async with dial(provider) as caller:
        call = caller.open(antiphon_request_id="gone")
        await waiting.wait()
        began = time.monotonic()
        call.cancel()
        await asyncio.wait_for(provider.released.wait(), 1)
        assert time.monotonic() - began < 0.2
        assert provider.closed == ["CancelledError"]
        line = await logged(caplog, "gone")
    assert (line.outcome, line.code, line.reason) == ("CANCELLED", "CANCELLED", "CANCELLED")
    assert line.usage_source == "GATEWAY_ESTIMATE"


async def logged(caplog, request_id):
    async with asyncio.timeout(2):
        while True:
            lines = [r for r in caplog.records if r.message == "call" and r.request_id == request_id]
            if lines:
                assert len(lines) == 1
                return lines[0]
            await asyncio.sleep(0.005)


async def test_a_cancel_at_any_moment_frees_the_slot(events, scripted, dial, until):
    async def tick(turn):
        await asyncio.sleep(0.001)

    script = [[events.start()], tick, [events.part()], *([events.text("x" * 900)], tick) * 20, [events.stop()]]
    provider = scripted(script)
    async with dial(provider, max_concurrency=1) as caller:
        for step in range(40):
            call = caller.open()
            await asyncio.sleep(step * 0.0015)
            call.cancel()
            await until(lambda: len(provider.closed) == len(provider.turns))
        await asyncio.sleep(0.05)
        answer = await caller.stream()
    assert answer.code == grpc.StatusCode.OK
    assert len(provider.turns) > 10


async def test_a_cancelled_unary_call_is_recorded_too(events, scripted, dial, caplog, until):
    caplog.set_level("INFO")
    provider = scripted([[events.start(), events.part()], forever])
    async with dial(provider) as caller:
        answering = asyncio.create_task(caller.generate(antiphon_request_id="gone"))
        await until(lambda: provider.turns)
        answering.cancel()
        await asyncio.wait_for(provider.released.wait(), 1)
        assert (await logged(caplog, "gone")).outcome == "CANCELLED"


@pytest.mark.parametrize("after_content", [False, True])
async def test_cancelled_error_from_inside_does_not_hang_the_caller(events, scripted, dial, after_content):
    opening = [[events.start(), events.part()]] if after_content else []
    async with dial(scripted([*opening, asyncio.CancelledError()])) as caller:
        answer = await asyncio.wait_for(caller.stream(), 2)
        unary = await asyncio.wait_for(caller.generate(), 2)
    assert answer.code == grpc.StatusCode.UNAVAILABLE
    assert answer.reason == ("STREAM_INTERRUPTED" if after_content else "PROVIDER_ERROR")
    assert unary.reason == "PROVIDER_ERROR"


async def test_cancelled_error_in_the_handlers_own_task_does_not_hang_the_caller(scripted, dial):
    async def cancelled(turn):
        raise asyncio.CancelledError

    async with dial(scripted(counting=cancelled)) as caller:
        method = "/antiphon.llm.v1.ChatService/CountTokens"
        counting = caller.unary(method, caller.request(), chat_pb2.CountTokensResponse)
        answer = await asyncio.wait_for(counting, 2)
    assert answer.code == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("after_content", [False, True])
async def test_no_text_of_an_exception_crosses_the_wire(events, scripted, dial, caplog, after_content):
    opening = [[events.start(), events.part()]] if after_content else []
    async with dial(scripted([*opening, RuntimeError("canary sk-123")])) as caller:
        answers = [await caller.stream(antiphon_request_id="req-9"), await caller.generate(antiphon_request_id="req-9")]
    for answer in answers:
        assert b"canary" not in repr(answer).encode()
        assert all(b"canary" not in (v if isinstance(v, bytes) else v.encode()) for _, v in answer.trailers)
        assert "req-9" in answer.error.message
    if after_content:
        assert answers[0].error.native_code == "GATEWAY_INTERNAL"
    else:
        assert answers[0].reason == "GATEWAY_INTERNAL"
    assert len([r for r in caplog.records if r.message == "internal_error"]) == len(answers)


async def test_an_adapter_that_breaks_the_port_is_told_apart(events, scripted, dial):
    wrong = [
        [[events.text("a")]],
        [[events.start()], [events.start()]],
        [[events.start(), response_pb2.StreamEvent(end=End())]],
    ]
    for script in wrong:
        async with dial(scripted(script)) as caller:
            assert (await caller.stream()).reason == "GATEWAY_INTERNAL"


async def test_trailers_stay_within_their_budgets(events, scripted, dial):
    warnings = [
        response_pb2.StreamEvent(
            warning=response_pb2.Warning(path="params.x", message="w" * 500, native_json="n" * 2000)
        )
        for _ in range(100)
    ]
    error = call_error(Reason.ERROR_REASON_PROVIDER_ERROR, "m" * 3000, native_body=b"b" * 60_000, param="p" * 100)
    script = [[events.start(), *warnings, events.part(), events.text("a")], CallFailure(error)]
    async with dial(scripted(script)) as caller:
        answer = await caller.stream()
    sizes = {key: len(value) for key, value in answer.trailers}
    assert sizes[metadata.STATUS_DETAILS] <= metadata.MAX_STATUS_DETAILS_BYTES
    assert sizes[metadata.END] <= metadata.MAX_END_BYTES
    assert sum(sizes.values()) < 8192
    assert answer.events[-1].end.error.native_body == b"b" * 60_000
    assert len(answer.events[-1].end.warnings) == 100
