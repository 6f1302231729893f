"""A failure after content that is answered by a whole new attempt: when, in what order, and what is told of it."""

import asyncio

import pytest

from antiphon.llm.v1 import chat_pb2, response_pb2, usage_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, call_error, end_from_trailers, end_trailer, to_status
from antiphon_contract.fold import Fold

pytestmark = pytest.mark.timeout(30)

ASKED = [(metadata.AFTER_CONTENT, "restart")]
PERMITTED = {"after_content": ["AFTER_CONTENT_RESTART"]}
CUT = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut", native_code="PROVIDER_ERROR")


def failed_end(sequence: int, error=CUT) -> response_pb2.ResponseEnd:
    end = response_pb2.ResponseEnd(outcome="OUTCOME_FAILED", error=error, response_id="i.1", event_count=sequence)
    end.usage.output_tokens = 7
    end.usage.source = usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL
    return end


def cut(kit, *frames, error=CUT, sequence=4):
    """A behaviour that delivers `frames` and then fails as an adapter does: `end`, then the same as status."""
    end = failed_end(sequence, error)

    async def behaviour(request, context):
        for each in (*frames, kit.frame(sequence, {"end": end})):
            await context.write(each)
        await context.abort_with_status(to_status(error, end_trailer(end)))

    return behaviour


def folded(frames) -> Fold:
    fold = Fold()
    for each in frames:
        fold.feed(chat_pb2.StreamGenerateResponse.FromString(each))
    return fold


@pytest.fixture
async def two(adapters, kit):
    """Two adapters, the first of which breaks off after some text, and the rows for a router over them."""
    a, b = await adapters(2)
    a.stream = cut(kit, kit.WHOLE[0])
    return a, b, [kit.backend("a", a), kit.backend("b", b)]


async def test_another_attempt_takes_the_place_of_a_broken_answer(two, kit):
    _a, b, rows = two
    b.stream = kit.streams(kit.KEEPALIVE, *kit.WHOLE)
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        call = suite.call("r", extra=ASKED)
        headers = dict(await call.initial_metadata())
        frames, error = await kit.rest_of(call)
        end = kit.router_end_of(dict(await call.trailing_metadata()))
    assert error is None
    assert headers[metadata.AFTER_CONTENT] == "restart"
    assert frames[0] == kit.WHOLE[0]
    assert frames[4:] == kit.WHOLE, "the second adapter's bytes as they are"
    attempt, keepalive, restart = (kit.events_in([each])[0] for each in frames[1:4])
    assert attempt.attempt.number == 1
    assert attempt.attempt.error.reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert attempt.attempt.usage.output_tokens == 7
    assert attempt.attempt.response_id == "i.1"
    assert keepalive.HasField("keepalive")
    assert restart.restart == response_pb2.Restart(
        voided_attempt=1, next_attempt=2, voided_events=3, reason=Reason.ERROR_REASON_STREAM_INTERRUPTED
    )
    fold = folded(frames)
    assert fold.response().candidates[0].message.parts[0].text.text == "Hello"
    assert (fold.restarts, end.restarts, end.final_attempt) == (1, 1, 2)
    assert [(each.number, each.usage.output_tokens) for each in end.attempts] == [(1, 7)]


async def test_a_replica_that_dies_is_replaced_too_and_its_usage_estimated(two, kit):
    a, _, rows = two
    a.stream = kit.streams(kit.WHOLE[0], kit.WHOLE[1], hang=asyncio.Event())
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        call = suite.call("r", extra=ASKED)
        frames = [await call.read(), await call.read()]
        await a.kill()
        rest, error = await kit.rest_of(call)
    assert error is None
    assert folded(frames + rest).restarts == 1
    assert kit.kinds_in(rest)[:2] == ["attempt", "restart"]
    voided = kit.events_in(rest)[0].attempt
    assert voided.usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
    assert voided.usage.output_tokens >= 1


@pytest.mark.parametrize("asked", [[], [(metadata.AFTER_CONTENT, "fail")], [(metadata.AFTER_CONTENT, "hold")], ASKED])
async def test_it_takes_both_the_caller_and_the_route(two, kit, asked):
    _a, b, rows = two
    permitted = PERMITTED if asked is not ASKED else {}
    async with kit.routing(rows, [kit.route("r", "a", "b", **permitted)]) as suite:
        call = suite.call("r", extra=asked)
        headers = dict(await call.initial_metadata())
        frames, error = await kit.rest_of(call)
    assert metadata.AFTER_CONTENT not in headers
    assert kit.kinds_in(frames) == ["start", "part_start", "text_delta", "end"]
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert not b.received


UNKNOWN_KIND = b"\xea\x01\x00"  # field 29 of StreamEvent
UNKNOWN_PART = b"\x22\x05\x0a\x03\xea\x01\x00"  # part_start{part{field 29}}


def raw(sequence: int, event: bytes) -> bytes:
    return bytes([8, sequence, 0x12, len(event)]) + event


@pytest.mark.parametrize(
    "effect",
    [
        lambda kit: kit.frame(4, {"part_start": {"part": {"tool_call": {"id": "c", "name": "pay"}}}, "part_index": 1}),
        lambda kit: kit.frame(4, {"part_start": {"part": {"native": {}}}, "part_index": 1}),
        lambda kit: kit.frame(4, {"part_update": {"media_data": b"x"}}),
        lambda kit: kit.frame(4, {"part_end": {"tail": {"tool_call": {"id": "c"}}}}),
        lambda kit: kit.frame(4, {"tool_input_delta": "{"}),
        lambda kit: raw(4, UNKNOWN_KIND),
        lambda kit: raw(4, UNKNOWN_PART),
    ],
    ids=["tool call", "native part", "media", "tail", "tool input", "unknown event", "unknown part"],
)
async def test_what_may_have_been_acted_on_is_never_taken_back(two, kit, effect):
    a, b, rows = two
    first = [kit.WHOLE[0], effect(kit)]
    a.stream = cut(kit, *first, kit.frame(5, {"text_delta": "?"}), sequence=6)
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        frames, _, error = await suite.stream("r", extra=ASKED)
    assert frames[:2] == first
    assert kit.kinds_in(frames)[-1] == "end"
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert not b.received


async def test_nor_if_the_adapter_dies_without_a_word(two, kit):
    a, b, rows = two
    tool = kit.frame(4, {"part_start": {"part": {"tool_call": {"id": "c", "name": "pay"}}}, "part_index": 1})
    a.stream = kit.streams(kit.WHOLE[0], tool, hang=asyncio.Event())
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        call = suite.call("r", extra=ASKED)
        assert [await call.read(), await call.read()] == [kit.WHOLE[0], tool]
        await a.kill()
        rest, error = await kit.rest_of(call)
    assert kit.kinds_in(rest) == ["end"]
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert not b.received


@pytest.mark.parametrize(
    "harmless",
    [
        {"reasoning_delta": "hm"}, {"usage": {"input_tokens": 1}}, {"warning": {}}, {"native_event": {"name": "x"}},
        {"part_start": {"part": {"refusal": {}}}, "part_index": 1}, {"part_end": {}},
        {"part_update": {"citations": [{}]}}, {"candidate_end": {}},
    ],
    ids=lambda event: next(iter(event)),
)  # fmt: skip
async def test_everything_else_may_be_taken_back(two, kit, harmless):
    a, _, rows = two
    a.stream = cut(kit, kit.WHOLE[0], kit.frame(4, harmless), sequence=5)
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        frames, _, error = await suite.stream("r", extra=ASKED)
    assert error is None
    assert "restart" in kit.kinds_in(frames)


@pytest.mark.parametrize("own_end", [True, False], ids=["adapter's end", "router's end"])
async def test_if_no_other_gets_so_far_the_caller_keeps_what_it_has(two, kit, own_end):
    a, b, rows = two
    b.stream = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=9)
    if not own_end:

        async def endless(request, context):
            await context.write(kit.WHOLE[0])

        a.stream = endless
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        frames, trailers, error = await suite.stream("r", extra=ASKED)
    assert kit.kinds_in(frames) == ["start", "part_start", "text_delta", "attempt", "attempt", "end"]
    told = kit.error_of(error)
    assert (told.reason, told.attempt, told.backend) == (Reason.ERROR_REASON_STREAM_INTERRUPTED, 1, "a")
    assert kit.events_in(frames)[-1].end.event_count == 4
    assert end_from_trailers(error.trailing_metadata()).error.reason == told.reason
    assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"
    end = kit.router_end_of(trailers)
    assert ([each.number for each in end.attempts], end.final_attempt, end.restarts) == ([2], 1, 0)
    assert folded(frames).end.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED


async def test_two_restarts_are_the_most(adapters, kit):
    many = await adapters(4)
    for number, adapter in enumerate(many):
        adapter.stream = cut(
            kit, kit.WHOLE[0], *[kit.frame(4, {"text_delta": "x"})] * (number > 0), sequence=4 + (number > 0)
        )
    rows = [kit.backend(f"b{n}", each) for n, each in enumerate(many)]
    async with kit.routing(rows, [kit.route("r", "b0", "b1", "b2", "b3", **PERMITTED)]) as suite:
        frames, trailers, error = await suite.stream("r", extra=ASKED)
    assert [len(each.received) for each in many] == [1, 1, 1, 0]
    restarts = [event.restart for event in kit.events_in(frames) if event.HasField("restart")]
    assert [(r.voided_attempt, r.next_attempt, r.voided_events) for r in restarts] == [(1, 2, 3), (2, 3, 4)]
    end = kit.router_end_of(trailers)
    assert ([each.number for each in end.attempts], end.final_attempt, end.restarts) == ([1, 2], 3, 2)
    assert kit.error_of(error).attempt == 3
    assert len(trailers[metadata.ROUTER_END]) <= metadata.MAX_ROUTER_END_BYTES
    fold = folded(frames)
    assert (fold.restarts, fold.end.outcome) == (2, response_pb2.ResponseEnd.OUTCOME_FAILED)


async def test_a_deadline_is_nobodys_failure_to_begin_anew_for(two, kit):
    a, b, rows = two
    late = call_error(Reason.ERROR_REASON_DEADLINE_EXCEEDED, "too late")
    a.stream = cut(kit, kit.WHOLE[0], error=late)
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        frames, _, error = await suite.stream("r", extra=ASKED)
    assert kit.kinds_in(frames)[-1] == "end"
    assert kit.error_of(error).reason == Reason.ERROR_REASON_DEADLINE_EXCEEDED
    assert not b.received


async def test_a_drain_while_another_attempt_is_awaited_ends_what_the_caller_has(two, kit):
    _, b, rows = two
    b.stream = kit.streams(kit.KEEPALIVE, hang=asyncio.Event())
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)], drain_grace_s=0.2) as suite:
        call = suite.call("r", extra=ASKED)
        await asyncio.wait_for(b.arrived.wait(), 5)
        drain = asyncio.create_task(suite.router.public.drain())
        frames, error = await kit.rest_of(call)
        await drain
    assert kit.kinds_in(frames).count("end") == 1
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert kit.error_of(error).attempt == 1


async def test_a_cancel_while_another_attempt_is_awaited_reaches_it(two, kit):
    _, b, rows = two
    b.stream = kit.streams(kit.KEEPALIVE, hang=asyncio.Event())
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        call = suite.call("r", extra=ASKED)
        await asyncio.wait_for(b.arrived.wait(), 5)
        call.cancel()
        await asyncio.wait_for(b.cancelled.wait(), 5)
        fleet = suite.router.roster.fleet
        await suite.until(lambda: not any(load.in_flight for load in fleet.loads.values()))


async def test_an_adapter_that_says_failed_and_ends_well_owes_the_caller_that_word(two, kit):
    a, _b, rows = two
    end = failed_end(4)

    async def odd(request, context):
        await context.write(kit.WHOLE[0])
        await context.write(kit.frame(4, {"end": end}))
        context.set_trailing_metadata((end_trailer(end),))

    a.stream = odd
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        frames, _, error = await suite.stream("r", extra=ASKED)
    assert error is None
    assert kit.kinds_in(frames)[-1] == "end"


async def test_an_unreadable_frame_is_passed_on_and_rules_a_restart_out(two, kit):
    a, b, rows = two
    a.stream = cut(kit, kit.WHOLE[0], b"\x08\x04\x12\xff", sequence=5)
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        frames, _, error = await suite.stream("r", extra=ASKED)
    assert frames[1] == b"\x08\x04\x12\xff"
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert not b.received


async def test_completions_begin_anew_as_well_and_other_calls_are_not_granted_it(two, kit):
    _a, _, rows = two
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        body = chat_pb2.StreamGenerateRequest(model="r").SerializeToString()
        stream = suite.channel.unary_stream("/antiphon.llm.v1.CompletionService/StreamComplete")
        frames, error = await kit.rest_of(stream(body, timeout=5, metadata=ASKED))
        answer, _ = await suite.generate("r", extra=ASKED)
        tunnel = suite.channel.unary_stream("/antiphon.llm.v1.NativeService/StreamNative")
        call = tunnel(body, timeout=5, metadata=ASKED)
        assert metadata.AFTER_CONTENT not in dict(await call.initial_metadata())
        await kit.rest_of(call)
    assert error is None
    assert "restart" in kit.kinds_in(frames)
    assert answer == kit.ANSWER.SerializeToString()
