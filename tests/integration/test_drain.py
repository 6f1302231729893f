"""SIGTERM under load: nothing fails, what runs finishes, the process ends by itself with code 0."""

import asyncio
from collections.abc import Iterator

import grpc
import pytest
from fleet import Fleet, fleet
from load import failed, fire

from antiphon_conformance.calling import Ask
from antiphon_conformance.vendor import scenes
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Vendor

PACED = scenes.text(scenes.PACED_TOKENS)


@pytest.fixture
def running(vendor: Vendor) -> Iterator[Fleet]:
    with fleet(vendor) as running:
        yield running


async def test_a_replica_drains_under_load_and_nobody_notices(running: Fleet) -> None:
    async with grpc.aio.insecure_channel(running.target.address) as channel:
        unary, stream = (Ask(channel, running.target, streamed=streamed) for streamed in (False, True))
        short = asyncio.ensure_future(fire(lambda: unary("plain"), rate=50.0, count=400))
        long = asyncio.ensure_future(fire(lambda: stream("paced"), rate=5.0, count=30))
        await asyncio.sleep(3.0)
        leaving = running.replicas[0]
        leaving.terminate()
        answers, streams = await short, await long
    assert not failed(answers)
    assert not failed(streams)
    assert {shot.outcome.answer.text for shot in streams} == {PACED}
    assert await asyncio.to_thread(leaving.wait) == 0
    there_late = {shot.instance for shot in answers if shot.due_s > 4.0}
    assert len({shot.instance for shot in answers}) == 3
    assert len(there_late) == 2, "calls still went to the replica that had said goodbye"


async def test_a_router_drains_what_runs_and_takes_nothing_new(running: Fleet, vendor: Vendor) -> None:
    async with grpc.aio.insecure_channel(running.target.address) as channel:
        stream = Ask(channel, running.target, streamed=True)
        held = vendor.play(Scene.HELD_MID_STREAM)
        begun = [asyncio.ensure_future(stream("paced")) for _ in range(5)]
        begun.append(asyncio.ensure_future(stream(held.model)))
        await (await held.arrived()).held()
        running.router.terminate()
        await _refuses(running)
        held.release()
        outcomes = await asyncio.gather(*begun)
    assert [outcome.reason for outcome in outcomes] == ["OK"] * 6
    assert {outcome.answer.text for outcome in outcomes[:5]} == {PACED}
    assert await asyncio.to_thread(running.router.wait) == 0


async def _refuses(running: Fleet) -> None:
    """Waits until a new connection gets no call through."""
    async with asyncio.timeout(10):
        while True:
            options = (("grpc.use_local_subchannel_pool", 1),)
            async with grpc.aio.insecure_channel(running.target.address, options=options) as fresh:
                running_call = Ask(fresh, running.target, streamed=False)
                outcome = await running_call.begin(running_call.request("plain"), timeout_s=5.0).finish()
            if outcome.code is grpc.StatusCode.UNAVAILABLE:
                return
            assert outcome.ok, outcome.message
