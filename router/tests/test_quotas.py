"""Limits that providers tell by a trailer: heard, acted on, forgotten; and a backend that is near its own gets less."""

import random

import pytest

from antiphon_contract import metadata
from antiphon_contract.errors import Reason, end_trailer
from antiphon_router.core import balance
from antiphon_router.core.failover import NEW_TURN
from antiphon_router.core.quota import Quota
from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import Backend, Candidate, Replica
from antiphon_router.shell import remembered
from antiphon_router.shell.quotas import Quotas
from antiphon_router.shell.roster import Roster, Running

pytestmark = pytest.mark.timeout(60)
WAY = Candidate(Backend("a", "p", account="a"), "m")
POOL = WAY.pool
LOW = "0.200;60"


def test_quotas_are_only_of_what_is_short(monkeypatch):
    quotas = Quotas()
    assert not quotas.tell(POOL, "", begun=0.0, now=1.0)
    assert not quotas.tell(POOL, "nonsense", begun=0.0, now=1.0)
    assert quotas.tell(POOL, LOW, begun=0.0, now=1.0)
    assert not quotas.tell(POOL, "nonsense", begun=5.0, now=6.0), "it is no sign that there is enough either"
    assert quotas.by_pool == {POOL: Quota(0.2, 1.0, 61.0)}
    assert not quotas.tell(POOL, "0.300;50", begun=2.0, now=3.0), "short as before"
    assert quotas.tell(POOL, "", begun=4.0, now=5.0)
    assert not quotas.by_pool
    monkeypatch.setattr(remembered, "MAX_SHARED", 3)
    for n in range(9):
        quotas.tell(POOL._replace(id=f"p/{n}"), LOW, begun=0.0, now=float(n))
    assert [key.id for key in quotas.by_pool] == ["p/6", "p/7", "p/8"]
    assert not quotas.review(65.9)
    assert quotas.review(66.0)
    assert [key.id for key in quotas.by_pool] == ["p/7", "p/8"]


def test_a_quota_ends_the_calm_and_its_end_brings_it_back():
    now = [100.0]
    roster = Roster(clock=lambda: now[0], dice=random.Random(1))
    replica, way = Replica("a", "h:1"), Resolution("a", ((WAY,),))
    roster.add(replica)
    roster.serving(replica)

    def once() -> Running:
        running = roster.begin(way, NEW_TURN)
        assert isinstance(running, Running)
        running.close()
        return running

    attempt = once().attempt
    assert roster._calmly(way, now[0]) is not None
    roster.limits_told(attempt, LOW, now[0])
    assert roster._calmly(way, now[0]) is None
    now[0] += 59.9
    once()
    assert roster.fleet.quotas, "it is not yet over"
    now[0] += 3.0
    once()
    assert not roster.fleet.quotas, "nobody refreshed it, and it penalises no longer"
    assert roster._calmly(way, now[0]) is not None
    roster.limits_told(attempt, LOW, now[0])
    roster.limits_told(attempt, "", now[0])
    assert roster._calmly(way, now[0]) is not None


def telling(kit, headroom: dict, stream: bool = False):
    """A behaviour that answers well and tells `headroom["now"]` of its provider's limits."""

    async def behaviour(request, context):
        for each in kit.WHOLE if stream else ():
            await context.write(each)
        told = ((metadata.HEADROOM, headroom["now"]),) if headroom["now"] else ()
        context.set_trailing_metadata((*told, end_trailer(kit.END)))
        return None if stream else kit.ANSWER.SerializeToString()

    return behaviour


@pytest.mark.parametrize("stream", [False, True])
async def test_a_backend_near_its_limit_gets_fewer_calls_than_its_twin_and_then_its_share_again(
    adapters, kit, monkeypatch, stream
):
    monkeypatch.setattr(balance, "FASTEST_S", 60.0)  # which of the two is faster here is chance
    a, b = await adapters(2)
    headroom = {"now": "0.100;300"}
    a.unary, a.stream = telling(kit, headroom), telling(kit, headroom, stream=True)
    rows = [kit.backend("a", a, state_domain="one"), kit.backend("b", b, state_domain="two")]
    async with kit.routing(rows) as suite:

        async def calls(count: int) -> tuple[int, int]:
            a.received.clear()
            b.received.clear()
            for _ in range(count):
                if stream:
                    _, trailers, error = await suite.stream("fake/m")
                    assert error is None
                else:
                    _, trailers = await suite.generate("fake/m")
                assert metadata.HEADROOM not in trailers, "it is none of a client's business"
            return len(a.received), len(b.received)

        fleet = suite.router.roster.fleet
        while not fleet.quotas:
            await calls(1)
        assert {key.id for key in fleet.quotas} == {"fake/m@one"}
        shown = {t.id: t for t in (await suite.backends())["a"].targets}
        assert shown["fake/m@one"].share == pytest.approx(0.1, abs=0.05)
        near, twin = await calls(100)
        assert near < twin / 3, (near, twin)
        assert near, "some go on, and tell when there is more"
        headroom["now"] = ""
        while fleet.quotas:
            await calls(1)
        near, twin = await calls(60)
        assert near > 10, (near, twin)


async def test_what_never_tells_of_limits_does_not_say_that_there_is_enough(adapters, kit):
    (a,) = await adapters()
    headroom = {"now": "0.100;300"}
    a.unary = telling(kit, headroom)
    async with kit.routing([kit.backend("a", a)]) as suite:
        fleet = suite.router.roster.fleet
        await suite.generate("fake/m")
        assert fleet.quotas
        headroom["now"] = ""
        await suite.generate("fake/m", method="CountTokens")
        native = "/antiphon.llm.v1.NativeService/CallNative"
        await suite.channel.unary_unary(native)(b"", metadata=((metadata.MODEL, "fake/m"),))
        assert fleet.quotas
        a.unary = kit.fails(Reason.ERROR_REASON_INVALID_REQUEST)
        with pytest.raises(Exception, match="as scripted"):
            await suite.generate("fake/m")
        assert fleet.quotas, "a failure says nothing of limits"
        a.unary = telling(kit, headroom)
        await suite.generate("fake/m")
        assert not fleet.quotas
