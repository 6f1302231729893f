"""What processes tell of their keys is followed: stages with when they began, and counts that outlive a version."""

import asyncio

import pytest

from antiphon.router.v1 import keys_pb2
from antiphon_harness import key_watch
from antiphon_harness.key_watch import KeyWatch, status
from antiphon_harness.processes import HarnessError


def use(version, stage, calls=0, checked=False):
    made = keys_pb2.KeyUse(version=version, status=status(stage), calls=calls)
    if checked:
        made.check_time.seconds = 1
    return made


async def told(watch, address, *uses):
    await watch._take(address, keys_pb2.WatchKeyUseResponse(uses=uses))


async def test_stages_and_counts():
    watch = KeyWatch([object(), object()])
    await told(watch, "a", use(1, "CURRENT", 5))
    assert not watch.everywhere(1, "CURRENT"), "the other one has told nothing"
    await told(watch, "b", use(1, "CURRENT", 7))
    assert watch.everywhere(1, "CURRENT")
    await told(watch, "a", use(2, "CURRENT", 1, checked=True), use(1, "GRACE", 6))
    assert not watch.everywhere(1, "CURRENT")
    await told(watch, "a", use(2, "CURRENT", 2, checked=True))
    assert (watch.calls(1), watch.calls(2), watch.checks(2), watch.checks(1)) == (13, 2, 1, 0)
    assert len(watch.began(1, "CURRENT")) == 2
    assert len(watch.began(2, "CURRENT")) == 1


async def test_what_does_not_come_is_told_with_what_there_is():
    watch = KeyWatch([object()])
    await told(watch, "a", use(1, "BAD"))
    with pytest.raises(HarnessError, match=r"version 1 in service: not within 0\.01 s; told: 1 BAD"):
        await watch.until("version 1 in service", lambda: watch.everywhere(1, "CURRENT"), 0.01)
    assert not await watch.comes(lambda: watch.everywhere(1, "CURRENT"), 0.01)
    assert await watch.comes(lambda: watch.everywhere(1, "BAD"), 0.01)


async def test_what_nobody_tells_is_looked_at_too(monkeypatch):
    monkeypatch.setattr(key_watch, "_NO_NEWS_S", 0.001)
    watch = KeyWatch([object()])
    looks = iter(range(4))
    assert await watch.comes(lambda: next(looks) == 3)


async def test_news_is_looked_at_when_it_comes():
    watch = KeyWatch([object()])
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(watch.comes(lambda: watch.everywhere(1, "CURRENT")))
        await asyncio.sleep(0)
        await told(watch, "a", use(1, "CURRENT"))
    assert waiting.result()
