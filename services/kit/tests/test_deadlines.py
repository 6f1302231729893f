"""Every time limit fires on missing progress, and on nothing else."""

import asyncio
import time

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2, options_pb2, response_pb2, usage_pb2
from antiphon_kit.deadlines import Limits, Watchdog
from antiphon_kit.provider import Milestones

SHORT_S = 0.15


def limits(request, **values):
    for name, seconds in values.items():
        getattr(request.options.timeouts, name).FromMilliseconds(int(seconds * 1000))
    return request


def repeated(event):
    async def play(turn):
        await asyncio.sleep(0.03)

    return [[event], play] * 200


async def timed(answering):
    began = time.monotonic()
    answer = await asyncio.wait_for(answering, 5)
    return answer, time.monotonic() - began


def calls(caplog):
    return [record for record in caplog.records if record.message == "call"]


async def forever(turn):
    await asyncio.Event().wait()


async def test_first_event(events, scripted, dial):
    provider = scripted([[events.start()], forever])
    async with dial(provider) as caller:
        answer, elapsed_s = await timed(caller.stream(limits(caller.request(), first_event=SHORT_S)))
        assert provider.closed == ["CancelledError"]
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT")
    assert (answer.error.native_code, answer.error.retry_other_backend) == ("first_event", True)
    assert "first_event" in answer.error.message
    assert SHORT_S <= elapsed_s < SHORT_S + 0.5
    assert answer.record.usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE


@pytest.mark.parametrize("unary", [False, True])
async def test_a_router_may_narrow_the_first_event_and_a_caller_cannot_widen_that(scripted, dial, unary):
    told = {"antiphon-first-content-ms": "150"}
    async with dial(scripted([forever]), total_timeout_s=3) as caller:
        ask = caller.generate if unary else caller.stream
        answer, elapsed_s = await timed(ask(limits(caller.request(), first_event=2.5), **told))
    assert (answer.reason, answer.error.native_code) == ("UPSTREAM_TIMEOUT", "first_event")
    assert elapsed_s < 1.5


@pytest.mark.parametrize("told", ["0", "-1", "1.5", "3600001", "soon"])
async def test_a_routers_limit_that_is_no_number_is_refused(scripted, dial, told):
    async with dial(scripted([forever])) as caller:
        answer = await caller.stream(**{"antiphon-first-content-ms": told})
    assert answer.error.param == "antiphon-first-content-ms"


@pytest.mark.parametrize("noise", ["usage", "warning"])
async def test_an_upstream_that_only_keeps_alive_is_stalled_before_content(events, scripted, dial, noise):
    event = events.usage(5, 0)
    if noise == "warning":
        event = response_pb2.StreamEvent(warning=response_pb2.Warning(message="still here"))
    async with dial(scripted([[events.start()], *repeated(event)])) as caller:
        answer, elapsed_s = await timed(caller.stream(limits(caller.request(), first_event=SHORT_S, between_events=9)))
    assert answer.error.native_code == "first_event"
    assert elapsed_s < 1


@pytest.mark.parametrize("noise", ["empty delta", "same usage", "native", "empty batch"])
async def test_what_is_no_progress_does_not_hold_off_the_stall_limit(events, scripted, dial, noise):
    event = {
        "empty delta": events.text(""),
        "same usage": events.usage(5, 1),
        "native": response_pb2.StreamEvent(native_event=response_pb2.NativeEvent(data=b"{}")),
        "empty batch": None,
    }[noise]
    script = repeated(event)
    if event is None:
        script = [[] if isinstance(step, list) else step for step in script]
    async with dial(scripted([[events.start(), events.part(), events.usage(5, 1)], *script])) as caller:
        answer, elapsed_s = await timed(caller.stream(limits(caller.request(), between_events=SHORT_S)))
    assert (answer.reason, answer.error.native_type) == ("STREAM_INTERRUPTED", "UPSTREAM_TIMEOUT")
    assert answer.error.native_code == "between_events"
    assert elapsed_s < 1


@pytest.mark.parametrize("progress", ["text", "reasoning", "tool", "usage"])
async def test_progress_holds_off_the_stall_limit(events, scripted, dial, progress):
    async def pause(turn):
        await asyncio.sleep(0.03)

    def event(index):
        return {
            "text": response_pb2.StreamEvent(text_delta="a"),
            "reasoning": response_pb2.StreamEvent(reasoning_delta="a"),
            "tool": response_pb2.StreamEvent(tool_input_delta="a"),
            "usage": events.usage(5, index + 1),
        }[progress]

    steps = [step for index in range(16) for step in ([event(index)], pause)]
    async with dial(scripted([[events.start(), events.part()], *steps, [events.stop()]])) as caller:
        answer = await caller.stream(limits(caller.request(), between_events=0.4))
    assert answer.code == grpc.StatusCode.OK


async def test_time_in_which_the_caller_does_not_read_is_no_stall(events, scripted, dial):
    big = [events.text("x" * 100_000)]
    async with dial(scripted([[events.start(), events.part()], *[big] * 800, [events.stop()]])) as caller:
        call = caller.open(limits(caller.request(), between_events=SHORT_S))
        await call.read()
        await asyncio.sleep(4 * SHORT_S)
        answer = await caller.collect(call)
    assert answer.code == grpc.StatusCode.OK


async def test_per_attempt(events, scripted, dial):
    script = [[events.start(), events.part()], *repeated(events.text("a"))]
    async with dial(scripted(script)) as caller:
        answer, elapsed_s = await timed(caller.stream(limits(caller.request(), per_attempt=SHORT_S)))
        unary = await caller.generate(limits(caller.request(), per_attempt=SHORT_S))
    assert (answer.reason, answer.error.native_code) == ("STREAM_INTERRUPTED", "per_attempt")
    assert elapsed_s < 1
    assert (unary.reason, unary.error.native_code) == ("UPSTREAM_TIMEOUT", "per_attempt")


async def test_total_limit_of_the_operator(events, scripted, dial):
    async with dial(scripted([[events.start()], forever]), total_timeout_s=SHORT_S) as caller:
        answer, _ = await timed(caller.stream())
    assert (answer.reason, answer.error.native_code) == ("UPSTREAM_TIMEOUT", "total")
    assert "LLM_TIMEOUT" in answer.error.message


@pytest.mark.parametrize("held", [1, 2])
async def test_deadline_of_the_caller(events, scripted, dial, caplog, held):
    caplog.set_level("INFO")
    provider = scripted([[events.start(), events.part()][:held], forever])
    async with dial(provider) as caller:
        answer, elapsed_s = await timed(caller.stream(deadline_s=0.3))
        await asyncio.wait_for(provider.released.wait(), 0.5)
    assert answer.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0.2 < elapsed_s < 1
    assert [(line.outcome, line.reason) for line in calls(caplog)] == [("CANCELLED", "DEADLINE_EXCEEDED")]


async def test_counting_is_limited_too(scripted, dial):
    async def counting(turn):
        await asyncio.Event().wait()

    async with dial(scripted(counting=counting)) as caller:
        request = limits(caller.request(), per_attempt=SHORT_S)
        method = "/antiphon.llm.v1.ChatService/CountTokens"
        answer, _ = await timed(caller.unary(method, request, chat_pb2.CountTokensResponse))
    assert answer.reason == "UPSTREAM_TIMEOUT"


async def test_first_event_counts_from_sending_the_upstream_request():
    fired = asyncio.get_running_loop().create_future()
    milestones = Milestones()
    began = time.monotonic()
    watchdog = Watchdog(Limits(first_event_s=0.1, between_events_s=9, total_s=9), milestones, fired.set_result)
    await asyncio.sleep(0.06)
    milestones.mark_sent()
    error = await asyncio.wait_for(fired, 2)
    assert error.native_code == "first_event"
    assert time.monotonic() - began >= 0.155
    watchdog.stop()


async def test_a_stopped_watchdog_never_fires():
    fired = []
    watchdog = Watchdog(Limits(first_event_s=0.02, between_events_s=9, total_s=9), Milestones(), fired.append)
    watchdog.stop()
    watchdog.stop()
    await asyncio.sleep(0.05)
    assert fired == []


def test_callers_limits_replace_the_defaults():
    timeouts = options_pb2.Timeouts()
    timeouts.first_event.FromMilliseconds(1500)
    limits = Limits(first_event_s=60, between_events_s=30, total_s=600).narrowed(timeouts, 12.0)
    assert limits == Limits(first_event_s=1.5, between_events_s=30, total_s=600, per_attempt_s=None, deadline_s=12.0)
