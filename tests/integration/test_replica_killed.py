"""A replica dies by SIGKILL under load: callers of whole answers notice nothing, streams end with a typed loss."""

import asyncio
from collections.abc import Iterator

import grpc
import pytest
from fleet import Fleet, fleet
from load import Shot, failed, fire, percentile

from antiphon.llm.v1 import response_pb2
from antiphon_conformance.calling import Ask
from antiphon_conformance.outcome import Outcome
from antiphon_conformance.vendor import scenes
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Vendor

RATE = 50.0
COUNT = 2_000
KILL_AT_S = 10.0
BACK_AT_S = 20.0
SLOWEST_S = 5.0
STREAMS_RATE = 10.0
STREAMS = 60


@pytest.fixture
def running(vendor: Vendor) -> Iterator[Fleet]:
    with fleet(vendor) as running:
        yield running


async def test_no_unary_call_fails_when_one_of_three_replicas_is_killed(running: Fleet) -> None:
    async with grpc.aio.insecure_channel(running.target.address) as channel:
        ask = Ask(channel, running.target, streamed=False)
        firing = asyncio.ensure_future(fire(lambda: ask("plain"), rate=RATE, count=COUNT))
        await asyncio.sleep(KILL_AT_S)
        victim = running.replicas[0]
        victim.kill()
        await asyncio.sleep(BACK_AT_S - KILL_AT_S)
        running.start(victim.address)
        shots = await firing
    assert not failed(shots)
    assert {shot.outcome.answer.text for shot in shots} == {scenes.text(scenes.PLAIN_TOKENS)}
    before, after = _instances(shots, 0, KILL_AT_S), _instances(shots, BACK_AT_S, COUNT)
    assert len(before) == 3, "the load was not spread over the replicas"
    assert len(after & before) == 2, "the dead replica still answered, or a living one no longer did"
    assert after - before, "the replica that came back gets no calls"
    calm = [shot for shot in shots if shot.due_s < KILL_AT_S]
    storm = [shot for shot in shots if KILL_AT_S <= shot.due_s < KILL_AT_S + 5]
    slowest = max(shot.took_s for shot in shots)
    assert slowest < SLOWEST_S, (slowest, percentile(calm, 99), percentile(storm, 99))


async def test_streams_before_content_move_to_another_replica(running: Fleet) -> None:
    async with grpc.aio.insecure_channel(running.target.address) as channel:
        ask = Ask(channel, running.target, streamed=True)
        firing = asyncio.ensure_future(fire(lambda: ask("thinks"), rate=100.0, count=30))
        await asyncio.sleep(0.6)
        running.replicas[0].kill()
        shots = await firing
    assert not failed(shots)
    assert {shot.outcome.answer.text for shot in shots} == {scenes.text(scenes.PLAIN_TOKENS)}
    moved = [shot for shot in shots if shot.outcome.router_record.attempts]
    assert moved, "no stream was on the replica that died: the test has tested nothing"
    for shot in moved:
        attempts = [
            event.attempt for frame in shot.outcome.frames for event in frame.events if event.HasField("attempt")
        ]
        assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
        assert attempts[0].error.reason


async def test_streams_after_content_end_with_a_typed_loss(running: Fleet) -> None:
    whole = scenes.text(scenes.PACED_TOKENS)
    async with grpc.aio.insecure_channel(running.target.address) as channel:
        ask = Ask(channel, running.target, streamed=True)
        firing = asyncio.ensure_future(fire(lambda: ask("paced"), rate=STREAMS_RATE, count=STREAMS))
        await asyncio.sleep(STREAMS / STREAMS_RATE / 2)
        running.replicas[0].kill()
        shots = await firing
    lost = [shot.outcome for shot in shots if not shot.outcome.ok]
    assert lost, "no stream was on the replica that died: the test has tested nothing"
    assert len(lost) < STREAMS / 2
    for shot in shots:
        # The verdict on every outcome has seen exactly one `end`, last, with the right count. Here: the text.
        assert whole.startswith(shot.outcome.answer.text), "text was repeated or lost"
        if shot.outcome.ok:
            assert shot.outcome.answer.text == whole
    for outcome in lost:
        _typed_loss(outcome)


def _typed_loss(outcome: Outcome) -> None:
    end = outcome.answer.end
    assert outcome.reason == "STREAM_INTERRUPTED"
    assert end is not None
    assert end.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
    assert end.usage.source
    assert outcome.frames[-1].events[-1].HasField("end")


def _instances(shots: list[Shot], since_s: float, until_s: float) -> set[str]:
    return {shot.instance for shot in shots if since_s <= shot.due_s < until_s}


async def test_with_every_replica_dead_the_answer_is_quick_and_typed(running: Fleet, vendor: Vendor) -> None:
    for replica in running.replicas:
        replica.kill()
        replica.wait()
    async with grpc.aio.insecure_channel(running.target.address) as channel:
        for streamed in (False, True):
            outcome = await Ask(channel, running.target, streamed=streamed)(vendor.play(Scene.PLAIN).model)
            assert outcome.reason in ("NO_HEALTHY_BACKEND", "UPSTREAM_UNREACHABLE")
            assert outcome.duration_s < SLOWEST_S
