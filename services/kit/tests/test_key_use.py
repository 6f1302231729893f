"""What a process tells of its keys, and that it does not keep a server from stopping."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from test_key_ring import Held, error, version

from antiphon.router.v1 import health_pb2, keys_pb2, keys_pb2_grpc
from antiphon_contract.errors import Reason
from antiphon_kit.key_ring import KeyRing
from antiphon_kit.key_use import KeyUseServicer
from antiphon_kit.key_versions import KeySlot, Refusal, Stage


def ring(*versions) -> KeyRing:
    return KeyRing(Held(KeySlot("p/s", versions=list(versions), max_staleness_s=1e12)), roll=lambda: 0.999)


async def test_a_version_is_told_with_its_times_and_its_health() -> None:
    current, bad = version(2, Stage.CURRENT), version(3, Stage.BAD)
    bad.refusal = Refusal(Reason.ERROR_REASON_MODEL_NOT_FOUND, 404, 7.0, 1e12)
    keys = ring(bad, current)
    async with keys.lease() as key:
        key.accepted()
        state = KeyUseServicer(keys, "i1").state()
    first, second = state.uses
    assert (first.status, second.status) == (keys_pb2.KEY_STATUS_BAD, keys_pb2.KEY_STATUS_CURRENT)
    assert (second.instance, second.slot, second.version, second.fingerprint) == ("i1", "p/s", 2, "f2")
    assert (second.in_flight, second.targets[0].in_flight) == (1, 1)
    assert second.HasField("last_use_time")
    assert second.HasField("last_success_time")
    assert not first.HasField("last_use_time")
    assert second.staleness.seconds > 0
    assert second.targets[0].state == health_pb2.HEALTH_STATE_HEALTHY
    target = first.targets[0]
    assert (target.id, target.state) == ("p/s/3", health_pb2.HEALTH_STATE_DISABLED)
    assert (target.reason, target.since_time.seconds) == (health_pb2.HEALTH_REASON_PERMISSION, 7)
    assert target.last_error.http_status == 404
    assert not target.HasField("next_try_time")


async def test_a_refusal_and_a_doubt_and_a_revocation_are_told() -> None:
    candidate, current, gone = version(3, Stage.CANDIDATE, 1.0), version(2, Stage.CURRENT), version(1, Stage.REVOKED)
    candidate.doubt("m")
    current.refusal = Refusal(Reason.ERROR_REASON_RATE_LIMITED, 429, 7.0, 1e9)
    keys = ring(candidate, current, gone)
    doubtful, limited, revoked = KeyUseServicer(keys, "i").state().uses
    assert [(each.scope, each.id) for each in doubtful.targets] == [
        (health_pb2.SCOPE_KEY, "p/s/3"),
        (health_pb2.SCOPE_KEY_MODEL, "p/s/3/m"),
    ]
    assert limited.targets[0].state == health_pb2.HEALTH_STATE_RATE_LIMITED
    assert limited.targets[0].HasField("next_try_time")
    assert revoked.targets[0].reason == health_pb2.HEALTH_REASON_REVOKED
    async with keys.lease("other") as key:
        key.refused(error(Reason.ERROR_REASON_PROVIDER_CREDENTIALS))
    problem = KeyUseServicer(keys, "i").state().problems[0]
    assert (problem.slot, problem.rule) == ("p/s", "rolled_back")
    assert problem.since_time.seconds > 0


@pytest.fixture
async def served() -> AsyncIterator[tuple[KeyRing, KeyUseServicer, keys_pb2_grpc.KeyUseServiceStub]]:
    keys = ring(version(1, Stage.CURRENT))
    servicer = KeyUseServicer(keys, "i", every_s=0.01)
    server = grpc.aio.server(handlers=(servicer.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield keys, servicer, keys_pb2_grpc.KeyUseServiceStub(channel)
        servicer.stop()
        await server.stop(5)


async def test_a_watch_tells_everything_again_after_each_change_and_nothing_between(served) -> None:
    keys, _, stub = served
    watch = stub.WatchKeyUse(keys_pb2.WatchKeyUseRequest())
    assert (await watch.read()).uses[0].in_flight == 0
    reading = asyncio.create_task(watch.read())
    # Many ticks pass in which only the staleness grows.
    done, _ = await asyncio.wait({reading}, timeout=0.2)
    assert not done
    async with keys.lease():
        assert (await reading).uses[0].in_flight == 1
    assert (await watch.read()).uses[0].in_flight == 0
    watch.cancel()


async def test_a_watch_ends_when_the_server_wants_to(served) -> None:
    _, servicer, stub = served
    watch = stub.WatchKeyUse(keys_pb2.WatchKeyUseRequest())
    await watch.read()
    servicer.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_refresh_looks_at_the_store_at_once(served) -> None:
    keys, _, stub = served
    answer = await stub.RefreshKeys(keys_pb2.RefreshKeysRequest())
    assert keys._source.polls == 1
    assert answer.uses[0].version == 1


async def test_a_provider_without_keys_tells_of_none() -> None:
    servicer = KeyUseServicer(None, "i")
    assert servicer.state() == keys_pb2.WatchKeyUseResponse()
    assert await servicer._refresh(b"", None) == b""
