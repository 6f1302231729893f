"""Unary calls and streams through a real router to scripted adapters."""

import asyncio
import time

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2, response_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, call_error, end_from_trailers
from antiphon_contract.fold import Fold

pytestmark = pytest.mark.timeout(30)

UNKNOWN_FIELD = b"\xfa\x7f\x03abc"


def ends_in(frames: list[bytes]) -> list[response_pb2.ResponseEnd]:
    parsed = [chat_pb2.StreamGenerateResponse.FromString(each) for each in frames]
    return [event.end for each in parsed for event in each.events if event.HasField("end")]


def sequences_in(frames: list[bytes]) -> list[int]:
    parsed = [chat_pb2.StreamGenerateResponse.FromString(each) for each in frames]
    return [f.first_sequence + i for f in parsed if f.first_sequence for i in range(len(f.events))]


async def test_bytes_pass_unchanged_both_ways_unknown_fields_included(adapters, kit):
    (a,) = await adapters()
    answer = kit.ANSWER.SerializeToString() + UNKNOWN_FIELD

    async def unary(request, context):
        context.set_trailing_metadata(((metadata.END, kit.END.SerializeToString() + UNKNOWN_FIELD),))
        return answer

    a.unary = unary
    body = chat_pb2.GenerateRequest(model="fake/m").SerializeToString() + UNKNOWN_FIELD
    async with kit.routing([kit.backend("a", a)]) as suite:
        got, trailers = await suite.generate(body=body)
        a.stream = kit.streams(*[each + UNKNOWN_FIELD for each in kit.WHOLE])
        frames, _, error = await suite.stream()
        counted, _ = await suite.generate(method="CountTokens")
    assert got == answer
    assert a.received[0].body == body
    assert trailers[metadata.END] == kit.END.SerializeToString() + UNKNOWN_FIELD
    assert (frames, error) == ([each + UNKNOWN_FIELD for each in kit.WHOLE], None)
    assert (counted, a.received[2].method) == (answer, "/antiphon.llm.v1.ChatService/CountTokens")


async def test_an_answer_carries_backend_request_id_and_records(adapters, kit):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        _, trailers = await suite.generate(extra=[(metadata.REQUEST_ID, "mine-1")])
        _, streamed, _ = await suite.stream()
    assert trailers[metadata.BACKEND] == streamed[metadata.BACKEND] == "a"
    assert trailers[metadata.REQUEST_ID] == "mine-1"
    assert (kit.router_end_of(trailers).final_attempt, kit.router_end_of(trailers).backend) == (1, "a")
    assert not kit.router_end_of(trailers).attempts
    assert kit.router_end_of(streamed).timing.HasField("time_to_first_content")


async def test_adapters_get_what_the_router_says_and_nothing_that_a_client_smuggles(adapters, kit):
    (a,) = await adapters()
    sent = [
        (metadata.MODEL, "fake/right"),
        (metadata.MODEL_NATIVE, "smuggled"),
        (metadata.ATTEMPT, "9/9"),
        (metadata.ATTEMPT_ID, "smuggled"),
        (metadata.REQUEST_ID, "mine/2"),
        (metadata.PROVIDER, "fake"),
        ("authorization", "Bearer secret"),
        ("x-anything", "else"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]
    async with kit.routing([kit.backend("a", a)]) as suite:
        await suite.generate("wrong", extra=sent)
    got = a.received[0].metadata
    assert got[metadata.MODEL_NATIVE] == "right"
    assert got[metadata.ATTEMPT] == "1/3"
    assert "smuggled" not in got[metadata.ATTEMPT_ID]
    assert got[metadata.REQUEST_ID] == "mine/2"
    assert got["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c")
    assert set(got) - {"user-agent"} == {
        metadata.MODEL_NATIVE, metadata.ATTEMPT, metadata.ATTEMPT_ID, metadata.REQUEST_ID, "traceparent",
    }  # fmt: skip


async def test_a_unary_call_fails_over_and_the_attempt_is_recorded(adapters, kit):
    a, b = await adapters(2)
    a.unary = b.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_ERROR, http_status=500)
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:

        async def second(request, context):
            if len(a.received) + len(b.received) == 1:
                return await kit.fails(Reason.ERROR_REASON_PROVIDER_ERROR, http_status=500)(request, context)
            return await kit.answers(request, context)

        a.unary = b.unary = second
        answer, trailers = await suite.generate()
    end = kit.router_end_of(trailers)
    assert answer == kit.ANSWER.SerializeToString()
    assert {len(a.received), len(b.received)} == {1}, "another backend, not the same again"
    assert [(t.number, t.error.reason) for t in end.attempts] == [(1, Reason.ERROR_REASON_PROVIDER_ERROR)]
    assert end.final_attempt == 2
    assert {end.attempts[0].backend, end.backend} == {"a", "b"}
    assert {each.metadata[metadata.ATTEMPT] for each in (*a.received, *b.received)} == {"1/3", "2/3"}
    assert len({each.metadata[metadata.ATTEMPT_ID] for each in (*a.received, *b.received)}) == 2


async def test_a_stream_fails_over_before_content_and_says_so_first(adapters, kit):
    a, b = await adapters(2)

    async def second(request, context):
        if len(a.received) + len(b.received) == 1:
            await context.write(kit.KEEPALIVE)
            await kit.fails(Reason.ERROR_REASON_PROVIDER_OVERLOADED)(request, context)
        await kit.streams()(request, context)

    a.stream = b.stream = second
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:
        frames, trailers, error = await suite.stream()
    assert error is None
    assert frames[0] == kit.KEEPALIVE
    assert frames[2:] == kit.WHOLE
    announced = chat_pb2.StreamGenerateResponse.FromString(frames[1])
    assert announced.first_sequence == 0
    assert [e.attempt.error.reason for e in announced.events] == [Reason.ERROR_REASON_PROVIDER_OVERLOADED]
    assert kit.router_end_of(trailers).final_attempt == 2
    fold = Fold()
    for each in frames:
        fold.feed(chat_pb2.StreamGenerateResponse.FromString(each))
    assert fold.response().candidates[0].message.parts[0].text.text == "Hello"


async def test_after_content_a_failure_is_passed_on_and_nobody_else_is_asked(adapters, kit):
    a, b = await adapters(2)
    error = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut", native_code="PROVIDER_ERROR")
    failed_end = {"end": {"outcome": "OUTCOME_FAILED", "error": error, "event_count": 4}}
    script = [kit.WHOLE[0], kit.frame(4, failed_end)]
    a.stream = b.stream = kit.streams(*script, then=error)
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:
        frames, trailers, raised = await suite.stream()
    assert frames == script, "the adapter's own end, and no second one"
    assert len(a.received) + len(b.received) == 1
    told = kit.error_of(raised)
    assert told.reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert told.backend in ("a", "b")
    assert kit.router_end_of(trailers).final_attempt == 1


@pytest.mark.parametrize("keepalive", [False, True])
async def test_a_replica_that_dies_after_content_leaves_exactly_one_end(adapters, kit, keepalive):
    (a,) = await adapters()
    usage = {"usage": {"input_tokens": 7, "output_tokens": 2}}
    script = [kit.WHOLE[0], kit.frame(4, {"text_delta": "lo"}, usage)] + [kit.KEEPALIVE] * keepalive
    a.stream = kit.streams(*script, hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)]) as suite:
        call = suite.call()
        frames = [await call.read() for _ in script]
        await a.kill()
        rest, raised = await kit.rest_of(call)
        frames += rest
    assert frames[: len(script)] == script
    (end,) = ends_in(frames)
    assert sequences_in(frames) == [1, 2, 3, 4, 5, 6]
    assert end.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
    assert end.error.reason == kit.error_of(raised).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert raised.code() is grpc.StatusCode.UNAVAILABLE
    assert end.event_count == 6
    assert (end.usage.input_tokens, end.usage.output_tokens) == (7, 2)
    assert end.usage.Source.Name(end.usage.source) == "SOURCE_PROVIDER_PARTIAL"
    assert len(chat_pb2.StreamGenerateResponse.FromString(frames[-1]).events) == 1, "a failed end stands alone"


async def test_without_known_usage_the_supplied_end_estimates_it(adapters, kit):
    (a,) = await adapters()
    a.stream = kit.streams(kit.WHOLE[0], hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)]) as suite:
        call = suite.call()
        frames = [await call.read()]
        await a.kill()
        frames += (await kit.rest_of(call))[0]
    (end,) = ends_in(frames)
    assert end.usage.Source.Name(end.usage.source) == "SOURCE_GATEWAY_ESTIMATE"
    assert end.usage.input_tokens >= 1
    assert end.usage.output_tokens >= 1
    assert (end.response_id, end.provider, end.model) == ("i.1", "fake", "m")


async def test_an_adapter_that_ends_well_without_an_end_is_completed_by_the_router(adapters, kit):
    (a,) = await adapters()

    async def endless(request, context):
        await context.write(kit.WHOLE[0])

    a.stream = endless
    async with kit.routing([kit.backend("a", a)]) as suite:
        frames, _, raised = await suite.stream()
    (end,) = ends_in(frames)
    assert end.error.reason == kit.error_of(raised).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED


async def test_an_adapter_without_the_trailer_but_with_an_end_is_believed(adapters, kit):
    (a,) = await adapters()

    async def plain(request, context):
        for each in kit.WHOLE:
            await context.write(each)

    a.stream = plain
    async with kit.routing([kit.backend("a", a)]) as suite:
        frames, _, raised = await suite.stream()
    assert (frames, raised) == (kit.WHOLE, None)


@pytest.mark.parametrize("failed", [False, True], ids=["completed", "failed"])
async def test_an_adapter_lost_after_its_last_word_is_believed(adapters, kit, failed):
    (a,) = await adapters()
    last = kit.WHOLE[-1]
    if failed:
        error = call_error(Reason.ERROR_REASON_DEADLINE_EXCEEDED, "too late")
        end = {"outcome": "OUTCOME_CANCELLED", "error": error, "response_id": "i.1", "event_count": 5}
        last = kit.frame(5, {"end": end})
    a.stream = kit.streams(*kit.WHOLE[:2], last, hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)]) as suite:
        call = suite.call()
        frames = [await call.read() for _ in range(3)]
        await a.kill()
        rest, raised = await kit.rest_of(call)
        record = end_from_trailers(await call.trailing_metadata())
    (told,) = ends_in(frames)
    assert (rest, record) == ([], told)
    assert raised is None or kit.error_of(raised).reason == told.error.reason
    assert (raised is not None) is failed


@pytest.mark.parametrize("frames", [[], [b"\xff\xff\xff"]])
async def test_an_adapter_that_says_nothing_readable_is_a_typed_failure(adapters, kit, frames):
    (a,) = await adapters()

    async def mute(request, context):
        for each in frames:
            await context.write(each)

    a.stream = mute
    async with kit.routing([kit.backend("a", a)]) as suite:
        got, _, raised = await suite.stream()
    assert got == []
    assert kit.error_of(raised).reason == Reason.ERROR_REASON_UPSTREAM_PROTOCOL


@pytest.mark.parametrize("kind", ["unary", "stream", "stream after content"])
async def test_a_cancel_reaches_the_adapter_at_once_and_blames_nobody(adapters, kit, kind):
    (a,) = await adapters()
    hang = asyncio.Event()

    async def unary(request, context):
        await hang.wait()

    a.unary = unary
    frames = [kit.WHOLE[0]] if "after" in kind else [kit.KEEPALIVE]
    a.stream = kit.streams(*frames, hang=hang)
    async with kit.routing([kit.backend("a", a)]) as suite:
        if kind == "unary":
            call = suite.channel.unary_unary("/antiphon.llm.v1.ChatService/Generate")(
                chat_pb2.GenerateRequest(model="fake/m").SerializeToString(), timeout=5
            )
        else:
            call = suite.call()
            await call.read()
        await asyncio.wait_for(a.arrived.wait(), 5)
        began = time.monotonic()
        call.cancel()
        await asyncio.wait_for(a.cancelled.wait(), 5)
        took_s = time.monotonic() - began
        fleet = suite.router.roster.fleet
        await suite.until(lambda: not any(load.in_flight for load in fleet.loads.values()))
        assert took_s < 0.2
        assert not fleet.shared
        assert [h.failures for h in fleet.healths.values()] == [0]
        await asyncio.sleep(0)


async def test_a_stream_that_probes_in_vain_keeps_its_target_out_for_longer(adapters, kit):
    (a,) = await adapters()
    a.stream = kit.fails(Reason.ERROR_REASON_RATE_LIMITED)
    async with kit.routing([kit.backend("a", a)]) as suite:
        roster = suite.router.roster
        await suite.stream()
        (key,) = roster.fleet.shared
        assert roster.fleet.shared[key].level == 1
        await suite.until(lambda: roster.fleet.shared[key].admission(roster.clock()).name == "PROBE")
        await suite.stream()
        assert roster.fleet.shared[key].level == 2
        assert len(a.received) == 2


class Spans:
    """Telemetry that notes what begins and ends."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def start_call(self, method, metadata, name="call"):
        self.noted.append(name)
        spans = self

        class Span:
            ended = False

            def start_attempt(self, method, backend):
                return spans.start_call(method, (), f"attempt at {backend}")

            def propagation(self):
                return (("traceparent", f"of {name}"),)

            def finish(self, end, code):
                assert not self.ended, "twice"
                self.ended = True
                spans.noted.append(f"{name} {code.name}")

        return Span()

    async def aclose(self) -> None:
        pass


async def test_every_span_that_begins_ends_once_with_its_status(adapters, kit):
    (a,) = await adapters()
    spans, hang = Spans(), asyncio.Event()
    async with kit.routing([kit.backend("a", a)], telemetry=spans) as suite:
        await suite.generate()
        assert a.received[0].metadata["traceparent"] == "of attempt at a"
        await suite.stream()
        a.unary = a.stream = kit.fails(Reason.ERROR_REASON_INVALID_REQUEST)
        await suite.stream()
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate()
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("nosuch")
        a.stream = kit.streams(kit.WHOLE[0], hang=hang)
        call = suite.call()
        await call.read()
        call.cancel()
        await suite.until(lambda: spans.noted[-1] == "call CANCELLED")
    good, bad = ["call", "attempt at a"], "INVALID_ARGUMENT"
    assert spans.noted == [
        *good, "attempt at a OK", "call OK", *good, "attempt at a OK", "call OK",
        *good, f"attempt at a {bad}", f"call {bad}", *good, f"attempt at a {bad}", f"call {bad}",
        "call", "call NOT_FOUND",
        *good, "attempt at a CANCELLED", "call CANCELLED",
    ]  # fmt: skip


async def test_the_deadline_is_passed_on_with_a_margin_and_told_typed(adapters, kit, monkeypatch):
    # The usual margin is that of a healthy machine.
    monkeypatch.setattr("antiphon_router.shell.proxy.DEADLINE_MARGIN_S", 0.4)
    (a,) = await adapters()
    hang = asyncio.Event()

    async def unary(request, context):
        await hang.wait()

    a.unary = unary
    a.stream = kit.streams(kit.WHOLE[0], hang=hang)
    async with kit.routing([kit.backend("a", a)], total_timeout_s=77.0) as suite:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await suite.generate(limit_s=0.8)
        frames, _, cut = await suite.stream(limit_s=0.8)
        a.unary = kit.answers
        await suite.generate(limit_s=None)
        with pytest.raises(grpc.aio.AioRpcError) as hopeless:
            await suite.generate(limit_s=0.35)
        fleet = suite.router.roster.fleet
        assert not fleet.shared
        assert {h.failures for h in fleet.healths.values()} == {0}
    assert 0 < a.received[0].left_s <= 0.4
    assert kit.error_of(raised.value).reason == Reason.ERROR_REASON_DEADLINE_EXCEEDED
    (end,) = ends_in(frames)
    assert end.outcome == response_pb2.ResponseEnd.OUTCOME_CANCELLED
    assert cut.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert a.received[2].left_s == pytest.approx(77.0, abs=1.0)
    assert len(a.received) == 3
    assert hopeless.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
