"""Copies of calls: sent aside, bounded, and without any effect that a caller could notice."""

import asyncio

import pytest

from antiphon.llm.v1 import chat_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason
from antiphon_router.shell.shadow import MAX_SHADOWS, Shadows

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
        assert fleet.loads["REPLICA", s.address].first_content_s is not None, "its pace is known from now on"
    [copy] = s.received
    assert copy.body == a.received[0].body
    assert (copy.metadata[metadata.MODEL_NATIVE], copy.metadata[metadata.ATTEMPT]) == ("other", "1/1")
    assert copy.metadata[metadata.ATTEMPT_ID] != a.received[0].metadata[metadata.ATTEMPT_ID]
    assert copy.left_s is not None
    end = kit.router_end_of(trailers)
    assert (len(end.attempts), end.final_attempt, end.backend) == (0, 1, "a")


async def test_a_failing_shadow_is_blamed_alone(pair, kit):
    _, s, rows = pair
    s.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=401)
    async with kit.routing(rows, [kit.route("r", "a", **ALL)]) as suite:
        await suite.generate("r")
        fleet = suite.router.roster.fleet
        await suite.until(lambda: bool(fleet.shared))
        assert {key.id for key in fleet.shared} == {"s"}
        for _ in range(3):
            await suite.generate("r")
    assert len(s.received) == 1, "it is out for its own calls only"


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
