"""Answers that are held: nothing before the outcome is known, failover for the whole answer, and bounds."""

import asyncio

import pytest

from antiphon_contract import metadata
from antiphon_contract.errors import Reason, call_error, end_trailer, to_status
from antiphon_router.shell.hold import HELD_AT_ONCE, Hold

pytestmark = pytest.mark.timeout(30)

ASKED = [(metadata.AFTER_CONTENT, "hold")]
PERMITTED = {"after_content": ["AFTER_CONTENT_HOLD"]}
CUT = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut", native_code="PROVIDER_ERROR")
TOOL = {"part_start": {"part": {"tool_call": {"id": "c", "name": "pay"}}}, "part_index": 1}


def cut(kit, *frames, sequence=4):
    end = {"outcome": "OUTCOME_FAILED", "error": CUT, "event_count": sequence}
    return kit.streams(*frames, kit.frame(sequence, {"end": end}), then=CUT)


@pytest.fixture
async def two(adapters, kit):
    a, b = await adapters(2)
    a.stream = cut(kit, kit.WHOLE[0])
    return a, b, [kit.backend("a", a), kit.backend("b", b)]


@pytest.mark.parametrize("tools", [False, True])
async def test_a_cut_is_invisible_but_for_the_attempt(two, kit, tools):
    a, _, rows = two
    if tools:
        a.stream = cut(kit, kit.WHOLE[0], kit.frame(4, TOOL), sequence=5)
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        call = suite.call("r", extra=ASKED)
        headers = dict(await call.initial_metadata())
        frames, error = await kit.rest_of(call)
        end = kit.router_end_of(dict(await call.trailing_metadata()))
    assert (error, headers[metadata.AFTER_CONTENT]) == (None, "hold")
    assert kit.kinds_in(frames[:1]) == ["attempt"]
    assert frames[1:] == kit.WHOLE
    assert ([each.number for each in end.attempts], end.final_attempt, end.restarts) == ([1], 2, 0)


async def test_a_lost_replica_is_invisible_too(two, kit):
    a, _b, rows = two
    a.stream = kit.streams(kit.WHOLE[0], hang=asyncio.Event())
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        call = suite.call("r", extra=ASKED)
        await asyncio.wait_for(a.arrived.wait(), 5)
        await a.kill()
        frames, error = await kit.rest_of(call)
    assert error is None
    assert frames[1:] == kit.WHOLE


async def test_nothing_is_delivered_before_the_outcome_but_signs_of_life(two, kit):
    a, _, rows = two
    hang, beat = asyncio.Event(), asyncio.Event()

    async def slow(request, context):
        await context.write(kit.WHOLE[0])
        await context.write(kit.KEEPALIVE)
        await beat.wait()
        await context.write(kit.WHOLE[1])
        await hang.wait()
        await context.write(kit.WHOLE[2])
        context.set_trailing_metadata((end_trailer(kit.END),))

    a.stream = slow
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)], keepalive_s=0.01) as suite:
        call = suite.call("r", extra=ASKED)
        # The adapter's, and the router's own, for the caller hears nothing of what is held: in either order, and the
        # router's again where the machine was slow.
        assert await call.read() == kit.KEEPALIVE
        await asyncio.sleep(0.02)
        beat.set()
        assert await call.read() == kit.KEEPALIVE
        hang.set()
        frames, error = await kit.rest_of(call)
    assert ([frame for frame in frames if frame != kit.KEEPALIVE], error) == (kit.WHOLE, None)


async def test_an_answer_beyond_the_bound_is_delivered_and_fails_like_any_other(two, kit):
    a, b, rows = two
    a.stream = cut(kit, kit.WHOLE[0], kit.frame(4, {"text_delta": "x" * 200}), sequence=5)
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)], hold_bytes=200) as suite:
        frames, _, error = await suite.stream("r", extra=ASKED)
    assert kit.kinds_in(frames) == ["start", "part_start", "text_delta", "text_delta", "end"]
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert not b.received


@pytest.mark.parametrize("how", ["whole", "cut and whole", "cut and failed", "cancelled", "too long"])
async def test_room_is_given_back_however_the_call_ends(two, kit, monkeypatch, how):
    a, b, rows = two
    holds = []

    def noted(max_bytes, keepalive_s):
        holds.append(Hold(max_bytes, keepalive_s))
        return holds[0]

    monkeypatch.setattr("antiphon_router.shell.service.Hold", noted)
    if how in ("whole", "too long"):
        a.stream = kit.streams()
    elif how == "cancelled":
        a.stream = kit.streams(kit.WHOLE[0], hang=asyncio.Event())
    elif how == "cut and failed":
        b.stream = kit.fails(Reason.ERROR_REASON_INVALID_REQUEST)
    bound = len(kit.WHOLE[0]) if how == "too long" else 1000
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)], hold_bytes=bound) as suite:
        call = suite.call("r", extra=ASKED)
        if how == "cancelled":
            await suite.until(lambda: holds[0].bytes > 0)
            call.cancel()
            await asyncio.wait_for(a.cancelled.wait(), 5)
        else:
            await kit.rest_of(call)
        await suite.until(lambda: holds[0].bytes == 0)


def test_room_is_bounded_for_one_and_for_all():
    hold = Hold(10, 15.0)
    assert hold.take(0, 10)
    assert not hold.take(10, 1)
    assert all(hold.take(0, 10) for _ in range(HELD_AT_ONCE - 1))
    assert not hold.take(0, 1)
    hold.give_back(10)
    assert hold.take(9, 1)
    assert not Hold(0, 15.0).take(0, 1)


async def test_when_all_fail_the_caller_gets_a_bare_status(two, kit):
    _, b, rows = two
    b.stream = kit.fails(Reason.ERROR_REASON_PROVIDER_OVERLOADED)
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        frames, trailers, error = await suite.stream("r", extra=ASKED)
    assert frames == []
    assert kit.error_of(error).reason in (
        Reason.ERROR_REASON_STREAM_INTERRUPTED,
        Reason.ERROR_REASON_PROVIDER_OVERLOADED,
    )
    end = kit.router_end_of(trailers)
    assert len(end.attempts) == 1
    assert {end.final_attempt, end.attempts[0].number} == {1, 2}


async def test_a_drain_ends_a_held_answer_as_if_nothing_had_come(two, kit):
    a, _, rows = two
    a.stream = kit.streams(kit.WHOLE[0], kit.KEEPALIVE, hang=asyncio.Event())
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)], drain_grace_s=0.2) as suite:
        call = suite.call("r", extra=ASKED)
        await call.read()
        drain = asyncio.create_task(suite.router.public.drain())
        frames, error = await kit.rest_of(call)
        await drain
    assert frames == []
    assert kit.error_of(error).reason == Reason.ERROR_REASON_GATEWAY_DRAINING


async def test_an_adapter_lost_after_its_last_word_is_believed(two, kit):
    a, b, rows = two
    a.stream = kit.streams(*kit.WHOLE, hang=asyncio.Event())
    async with kit.routing(rows, [kit.route("r", "a", "b", **PERMITTED)]) as suite:
        call = suite.call("r", extra=ASKED)
        await asyncio.wait_for(a.arrived.wait(), 5)
        await asyncio.sleep(0.1)
        await a.kill()
        frames, error = await kit.rest_of(call)
    assert error is None
    assert frames == kit.WHOLE
    assert not b.received


async def test_a_failed_end_is_told_by_status_only(two, kit):
    a, _, _ = two

    async def failing(request, context):
        await context.write(kit.WHOLE[0])
        await context.abort_with_status(to_status(CUT))

    a.stream = failing
    async with kit.routing([kit.backend("a", a)], [kit.route("r", "a", **PERMITTED)]) as suite:
        frames, _, error = await suite.stream("r", extra=ASKED)
    assert frames == []
    assert kit.error_of(error).reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
    assert len(a.received) == 3, "the only backend is asked again, as often as an answer may begin anew"
