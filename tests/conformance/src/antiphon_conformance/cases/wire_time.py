"""Owns the cases about time: headers held back, limits, keepalives, cancel, deadline, slow readers.

Promptness is judged by the vendor's witness: it notes when the gateway closed its connection.
"""

import asyncio
import statistics
from typing import ClassVar

import grpc
import pytest

from antiphon.llm.v1 import response_pb2, usage_pb2
from antiphon_conformance.calling import Ask, limits
from antiphon_conformance.cases.scripted import SLACK_S, Scripted
from antiphon_conformance.vendor import scenes
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Play, Vendor

LIMIT_S = 0.5
LONG_S = 20.0
PROMPT_S = 0.2
ROUNDS = 3
FLOOD_BOUND_BYTES = 24 << 20
FIRST = [Scene.SILENT_FIRST, Scene.COMMENTS_FIRST, Scene.BLANKS_FIRST, Scene.EMPTY_DELTAS_FIRST]
LATE = [Scene.SILENT_LATE, Scene.COMMENTS_LATE, Scene.BLANKS_LATE, Scene.EMPTY_DELTAS_LATE]
HELD = [Scene.HELD_BEFORE_HEAD, Scene.HELD_BEFORE_CONTENT, Scene.HELD_MID_STREAM]


class TimeCases(Scripted):
    """Time."""

    keepalive_after_s: ClassVar[float] = 15.0
    """What the service was told, or the contract's own figure."""

    @pytest.mark.parametrize("scene", [Scene.HELD_BEFORE_HEAD, Scene.HELD_BEFORE_CONTENT], ids=lambda scene: scene.slug)
    async def test_sends_no_header_before_content(self, stream: Ask, vendor: Vendor, scene: Scene) -> None:
        play = vendor.play(scene)
        running = stream.begin(stream.request(play.model))
        finishing = asyncio.ensure_future(running.finish())
        await (await play.arrived()).held()
        header = asyncio.ensure_future(running.call.initial_metadata())
        done, _ = await asyncio.wait({header, finishing}, timeout=0.3)
        assert not done, "something was sent before content: no router could still choose another backend"
        play.release()
        assert (await finishing).ok
        await header

    async def test_content_is_sent_when_it_is_there(self, stream: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.HELD_MID_STREAM)
        running = stream.begin(stream.request(play.model))
        text = ""
        async for frame in running.frames():
            text += "".join(event.text_delta for event in frame.events)
            if text == scenes.text(scenes.BEFORE_FAULT):
                play.release()
        assert text == scenes.text(scenes.PLAIN_TOKENS)

    @pytest.mark.parametrize("scene", FIRST, ids=lambda scene: scene.slug)
    async def test_waits_for_first_content_no_longer_than_asked(self, ask: Ask, vendor: Vendor, scene: Scene) -> None:
        play = vendor.play(scene)
        outcome = await ask.send(limits(ask.request(play.model), first_event=LIMIT_S, between_events=LONG_S))
        assert outcome.reason == "UPSTREAM_TIMEOUT"
        # On a busy machine the limit can pass before the vendor has read the request: then it has seen no call.
        assert LIMIT_S <= outcome.duration_s < (LIMIT_S + SLACK_S) * max(play.calls, 1)
        assert not outcome.answer.text
        if play.calls:
            await play.last.left(SLACK_S)

    @pytest.mark.parametrize("scene", LATE, ids=lambda scene: scene.slug)
    async def test_a_stall_is_found_by_progress_not_by_bytes(self, stream: Ask, vendor: Vendor, scene: Scene) -> None:
        play = vendor.play(scene)
        request = limits(stream.request(play.model), first_event=LONG_S, between_events=LIMIT_S)
        outcome = await stream.send(request)
        assert outcome.reason == "STREAM_INTERRUPTED"
        assert outcome.answer.text == scenes.text(scenes.BEFORE_FAULT)
        assert LIMIT_S <= outcome.duration_s < LIMIT_S + SLACK_S
        await play.last.left(SLACK_S)

    async def test_slow_is_not_stalled(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.SLOW_BUT_ALIVE)
        outcome = await ask.send(limits(ask.request(play.model), first_event=LONG_S, between_events=LIMIT_S + SLACK_S))
        assert outcome.ok
        assert outcome.answer.text == scenes.text(4)

    async def test_an_attempt_takes_no_longer_than_asked(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.PACED)
        outcome = await ask.send(limits(ask.request(play.model), per_attempt=LIMIT_S))
        assert outcome.reason in ("STREAM_INTERRUPTED", "UPSTREAM_TIMEOUT")
        await play.last.left(SLACK_S)

    async def test_keeps_the_connection_alive_while_the_vendor_thinks(self, stream: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.HELD_BEFORE_CONTENT)
        running = stream.begin(stream.request(play.model))
        async with asyncio.timeout(self.keepalive_after_s + 5 * SLACK_S):
            first = await anext(running.frames())
        assert first.first_sequence == 0
        assert [event.WhichOneof("kind") for event in first.events] == ["keepalive"]
        play.release()
        outcome = await running.finish()
        assert outcome.ok
        assert outcome.answer.text == scenes.text(scenes.PLAIN_TOKENS)

    @pytest.mark.parametrize("scene", HELD, ids=lambda scene: scene.slug)
    async def test_a_cancel_reaches_the_vendor_at_once(self, ask: Ask, vendor: Vendor, scene: Scene) -> None:
        took_s = []
        for _ in range(ROUNDS):
            play = vendor.play(scene)
            running = ask.begin(ask.request(play.model))
            finishing = asyncio.ensure_future(running.finish())
            await (await play.arrived()).held()
            await _read_so_far(running.outcome.raw, scene, ask)
            cancelled_at = running.cancel()
            took_s.append(await play.last.left(3 * SLACK_S) - cancelled_at)
            assert (await finishing).code is grpc.StatusCode.CANCELLED
            assert play.calls == 1
        assert statistics.median(took_s) <= PROMPT_S, took_s
        assert max(took_s) <= SLACK_S, took_s

    async def test_a_cancel_after_the_end_changes_nothing(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.PLAIN)
        running = ask.begin(ask.request(play.model))
        assert (await running.finish()).ok
        running.cancel()
        assert not play.last.peer_left.done()

    @pytest.mark.parametrize("scene", HELD, ids=lambda scene: scene.slug)
    async def test_the_callers_deadline_ends_the_vendors_work(self, ask: Ask, vendor: Vendor, scene: Scene) -> None:
        play = vendor.play(scene)
        outcome = await ask.send(ask.request(play.model), timeout_s=LIMIT_S)
        assert outcome.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert outcome.duration_s < LIMIT_S + SLACK_S
        assert await play.last.left(SLACK_S) - outcome.began_at < LIMIT_S + PROMPT_S + SLACK_S
        assert play.calls == 1

    async def test_a_slow_reader_slows_the_vendor(self, stream: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.FLOOD)
        running = stream.begin(limits(stream.request(play.model), first_event=LONG_S, between_events=LONG_S))
        await anext(running.frames())
        produced = await _when_still(play)
        running.cancel()
        await running.finish()
        assert produced < FLOOD_BOUND_BYTES, f"{produced >> 20} MiB were taken from the vendor for nobody"
        await play.last.left(SLACK_S)

    async def test_tells_usage_of_an_interrupted_stream(self, stream: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.SILENT_LATE)
        outcome = await stream.send(limits(stream.request(play.model), between_events=LIMIT_S))
        end = outcome.record
        assert end.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
        assert end.usage.source in (
            usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL,
            usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE,
        )


async def _read_so_far(raw: list[bytes], scene: Scene, ask: Ask) -> None:
    if scene is Scene.HELD_MID_STREAM and ask.streamed:
        async with asyncio.timeout(10):
            while not raw:  # noqa: ASYNC110  # `finish` reads in the background and has no event to wait for
                await asyncio.sleep(0.005)


async def _when_still(play: Play) -> int:
    """Bytes that the vendor got rid of when it could get rid of no more."""
    exchange, before = play.last, -1
    while exchange.produced_bytes != before:
        before = exchange.produced_bytes
        await asyncio.sleep(0.5)
    return before
