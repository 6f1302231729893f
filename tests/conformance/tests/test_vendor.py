"""The scripted vendor does what its scripts say, and sees what happens to it."""

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import pytest

from antiphon_conformance.vendor import scenes
from antiphon_conformance.vendor.scenes import SCENES, Scene
from antiphon_conformance.vendor.stage import Play, Vendor, performing
from antiphon_conformance.wires.openai_chat import OpenAIChat


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with performing(OpenAIChat()) as vendor:
        yield vendor


def _ask(session: aiohttp.ClientSession, vendor: Vendor, model: str) -> "aiohttp.client._RequestContextManager":
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]})
    return session.post(f"{vendor.url}/v1/chat/completions", data=body, headers={"authorization": "Bearer k"})


async def _read(session: aiohttp.ClientSession, vendor: Vendor, model: str) -> str:
    async with _ask(session, vendor, model) as response:
        return await response.text()


def test_every_scene_is_on_the_programme() -> None:
    assert set(SCENES) == set(Scene)
    assert len({scene.slug for scene in Scene}) == len(Scene)
    assert all(len(scene.value) > 10 for scene in Scene)


async def test_a_play_answers_to_its_own_name_and_is_witnessed(vendor: Vendor) -> None:
    one, other = vendor.play(Scene.PLAIN), vendor.play(Scene.NO_USAGE)
    async with aiohttp.ClientSession() as session:
        texts = await asyncio.gather(*(_read(session, vendor, play.model) for play in (one, other, one)))
    assert texts[0] == texts[2]
    assert '"usage"' in texts[0]
    assert '"usage"' not in texts[1]
    assert (one.calls, other.calls) == (2, 1)
    assert vendor.wire.key(one.last.request) == "k"
    assert one.last.produced_bytes > len(texts[0])
    assert one.last.finished_at is not None


async def test_a_request_for_a_scene_by_name_gets_that_scene_and_a_stranger_404(vendor: Vendor) -> None:
    async with aiohttp.ClientSession() as session:
        assert "t11" in await _read(session, vendor, "plain")
        async with _ask(session, vendor, "gpt-9") as response:
            assert response.status == 404
        async with session.get(f"{vendor.url}/v1/models") as response:
            assert (await response.json())["data"]


async def test_connections_are_used_again(vendor: Vendor) -> None:
    play = vendor.play(Scene.PLAIN)
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        for _ in range(3):
            await _read(session, vendor, play.model)
    assert play.calls == 3
    assert not any(exchange.peer_left.done() for exchange in play.exchanges)


async def test_a_hold_ends_when_told(vendor: Vendor) -> None:
    play = vendor.play(Scene.HELD_BEFORE_HEAD)
    async with aiohttp.ClientSession() as session:
        reading = asyncio.ensure_future(_read(session, vendor, play.model))
        await (await play.arrived()).held()
        assert not reading.done()
        play.release()
        assert "t11" in await reading


@pytest.mark.parametrize("scene", [Scene.HELD_MID_STREAM, Scene.COMMENTS_LATE, Scene.PACED, Scene.FLOOD])
async def test_notices_when_the_peer_leaves(vendor: Vendor, scene: Scene) -> None:
    play: Play = vendor.play(scene)
    async with aiohttp.ClientSession() as session, _ask(session, vendor, play.model) as response:
        await response.content.readany()
        left_at = asyncio.get_running_loop().time()
        response.close()
        assert await play.last.left(1.0) - left_at < 0.2
    assert play.last.finished_at is None


@pytest.mark.parametrize(
    "scene", [Scene.FIN_BEFORE_HEAD, Scene.RST_BEFORE_HEAD, Scene.FIN_MID_EVENT, Scene.RST_MID_EVENT]
)
async def test_cuts_for_real(vendor: Vendor, scene: Scene) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError)):
            await _read(session, vendor, vendor.play(scene).model)


async def test_numbered_tokens_show_what_is_missing() -> None:
    assert scenes.text(3) == "t0 t1 t2 "
    assert scenes.numbered(2, first=10) == ["t10 ", "t11 "]
