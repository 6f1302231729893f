"""Copies of calls: sent aside, bounded, and without any effect that a caller could notice."""

import asyncio

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason
from antiphon_router.core.health import Admission
from antiphon_router.core.values import State
from antiphon_router.shell.shadow import LONGEST_REST_S, MAX_SHADOWS, REST_S, Shadows

pytestmark = pytest.mark.timeout(30)

ALL = {"shadows": [{"backend": "s", "model": "other", "percent": 100}]}


@pytest.fixture
async def pair(adapters, kit):
    """An adapter, one for copies, and the rows for both."""
    a, s = await adapters(2)
    return a, s, [kit.backend("a", a), kit.backend("s", s, provider="shadowed")]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_copy_goes_to_the_shadow_and_into_no_record(pair, kit, stream):
    a, s, rows = pair
    async with kit.routing(rows, [kit.route("r", "a", **ALL)]) as suite:
        if stream:
            frames, trailers, error = await suite.stream("r")
            assert (frames, error) == (kit.WHOLE, None)
        else:
            _, trailers = await suite.generate("r")
        await asyncio.wait_for(s.arrived.wait(), 5)
        fleet = suite.router.roster.fleet
        await suite.until(lambda: not any(load.in_flight for load in fleet.loads.values()))
        assert fleet.loads["REPLICA", s.address].first_content_s is None, "callers' calls are not led by copies"
        assert not fleet.paces.keys() - {("POOL", "fake/m")}
    [copy] = s.received
    assert copy.body == a.received[0].body
    assert (copy.metadata[metadata.MODEL_NATIVE], copy.metadata[metadata.ATTEMPT]) == ("other", "1/1")
    assert copy.metadata[metadata.ATTEMPT_ID] != a.received[0].metadata[metadata.ATTEMPT_ID]
    assert copy.left_s is not None
    end = kit.router_end_of(trailers)
    assert (len(end.attempts), end.final_attempt, end.backend) == (0, 1, "a")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_comes_of_a_copy_changes_no_target_and_a_shadow_that_failed_rests(pair, kit, caplog, stream):
    _, s, rows = pair
    caplog.set_level("INFO")
    s.unary = s.stream = kit.fails(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=401)
    async with kit.routing(rows, [kit.route("r", "a", **ALL)]) as suite:
        roster, fleet = suite.router.roster, suite.router.roster.fleet

        async def call() -> None:
            if stream:
                await suite.stream("r")
            else:
                await suite.generate("r")

        def failed() -> int:
            return sum(record.message == "shadow_call_failed" for record in caplog.records)

        before = dict(fleet.healths)
        await call()
        await suite.until(lambda: failed() == 1)
        for _ in range(3):
            await call()
        assert len(s.received) == 1, "it rests"
        clock = roster.clock
        roster.clock = lambda: clock() + REST_S
        await call()
        await suite.until(lambda: failed() == 2)
        assert (dict(fleet.shared), dict(fleet.tallies), dict(fleet.throttles)) == ({}, {}, {})
        assert fleet.healths == before
        assert not roster.last_errors
        s.unary = s.stream = kit.answers
        await suite.generate("shadowed/other")
    assert len(s.received) == 3, "callers of its backend are served as ever"


async def test_a_rest_lasts_as_long_as_the_provider_says_within_bounds(pair, kit, caplog):
    _, s, rows = pair
    caplog.set_level("INFO")
    s.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=3000)
    async with kit.routing(rows, [kit.route("r", "a", **ALL)]) as suite:
        roster, clock = suite.router.roster, suite.router.roster.clock
        await suite.generate("r")
        await suite.until(lambda: any(record.message == "shadow_call_failed" for record in caplog.records))
        roster.clock = lambda: clock() + LONGEST_REST_S - 10.0
        await suite.generate("r")
        roster.clock = lambda: clock() + LONGEST_REST_S
        await suite.generate("r")
        await suite.until(lambda: len(s.received) == 2)


async def test_a_copy_is_no_probe(pair, kit):
    _, s, rows = pair
    s.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=401)
    async with kit.routing(rows, [kit.route("r", "a", **ALL)]) as suite:
        roster = suite.router.roster
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("shadowed/other")
        [key] = roster.fleet.shared
        s.unary = kit.answers
        roster.enable(key)
        due = roster.health_of(key)
        assert due.admission(roster.clock()) is Admission.PROBE
        for _ in range(3):
            await suite.generate("r")
        assert len(s.received) == 1, "no copy went there"
        assert roster.health_of(key) == due, "the probe is still to be made"
        await suite.generate("shadowed/other")
        assert roster.health_of(key).state is State.SLOW_START
        await suite.generate("r")
        assert len(s.received) == 2, "what starts slowly is spared copies"


async def test_a_broken_shadow_is_a_line_in_the_log(pair, kit, caplog, monkeypatch):
    _, s, rows = pair
    monkeypatch.setattr("antiphon_router.shell.shadow.has_effects", lambda *_: 1 / 0)
    async with kit.routing(rows, [kit.route("r", "a", **ALL)]) as suite:
        await suite.generate("r")
        await suite.until(lambda: any(r.message == "shadow_failed" for r in caplog.records))
    assert not s.received


async def test_copies_are_bounded_and_end_with_the_router(pair, kit, monkeypatch):
    _a, s, rows = pair
    begun = []

    class Noted(Shadows):
        async def _run(self, *copy):
            begun.append(asyncio.current_task())
            await super()._run(*copy)

    monkeypatch.setattr("antiphon_router.shell.service.Shadows", Noted)

    async def hanging(request, context):
        await asyncio.Event().wait()

    s.unary = hanging
    async with kit.routing(rows, [kit.route("r", "a", **ALL)]) as suite:
        for _ in range(MAX_SHADOWS + 5):
            await suite.generate("r")
        await suite.until(lambda: len(s.received) == MAX_SHADOWS)
    assert len(s.received) == MAX_SHADOWS
    assert all(task.cancelled() for task in begun)
    await asyncio.wait_for(s.cancelled.wait(), 5)


async def test_only_a_share_is_copied_and_never_what_a_provider_keeps(pair, kit):
    _, s, rows = pair
    few = {"shadows": [{"backend": "s", "model": "other", "percent": 1e-9}]}
    stored = chat_pb2.GenerateRequest(model="all", params={"store": True}).SerializeToString()
    async with kit.routing(rows, [kit.route("few", "a", **few), kit.route("all", "a", **ALL)]) as suite:
        for _ in range(5):
            await suite.generate("few")
        await suite.generate(body=stored)
        await suite.generate("all")
        await asyncio.wait_for(s.arrived.wait(), 5)
    assert [copy.body for copy in s.received] == [chat_pb2.GenerateRequest(model="all").SerializeToString()]


async def test_a_second_attempt_is_not_copied_again(pair, adapters, kit):
    a, s, rows = pair
    (b,) = await adapters()
    a.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_OVERLOADED)
    async with kit.routing([*rows, kit.backend("b", b)], [kit.route("r", "a", "b", **ALL)]) as suite:
        await suite.generate("r")
        await asyncio.wait_for(s.arrived.wait(), 5)
        fleet = suite.router.roster.fleet
        await suite.until(lambda: not any(load.in_flight for load in fleet.loads.values()))
    assert len(s.received) == 1


async def test_a_shadow_without_a_replica_costs_nothing(pair, kit):
    _, s, rows = pair
    async with kit.routing(rows, [kit.route("r", "a", **ALL)]) as suite:
        await s.serving(False)
        await suite.until(lambda: not suite.router.roster.takes_calls("s"))
        await suite.generate("r")
    assert not s.received
