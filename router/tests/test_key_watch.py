"""A refused key is forgiven as soon as its replica has another one."""

import asyncio

import grpc
import pytest

from antiphon.router.v1 import keys_pb2
from antiphon_contract.errors import Reason
from antiphon_router.shell.key_watch import WATCH, KeyWatch

pytestmark = pytest.mark.timeout(30)


def told(*versions: int, status="KEY_STATUS_CURRENT") -> bytes:
    uses = [
        keys_pb2.KeyUse(slot="fake/default", version=version, fingerprint=f"f{version}", status=status)
        for version in versions
    ]
    return keys_pb2.WatchKeyUseResponse(uses=uses).SerializeToString()


def teaching(adapter, says: asyncio.Queue[bytes]):
    """`adapter` with a key service that says what is put into `says`."""

    async def watch(request, context):
        while True:
            await context.write(await says.get())

    class Taught(type(adapter)):
        def service(self, details):
            return grpc.unary_stream_rpc_method_handler(watch) if details.method == WATCH else super().service(details)

    adapter.__class__ = Taught


async def test_a_disabled_key_is_tried_again_when_the_replica_has_a_new_version(adapters, kit):
    (a,) = await adapters()
    says: asyncio.Queue[bytes] = asyncio.Queue()
    teaching(a, says)
    says.put_nowait(told(1))
    a.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=401)
    async with kit.routing([kit.backend("a", a)]) as suite:
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError):
                await suite.generate()
        assert len(a.received) == 1, "a refused key is left alone"
        a.unary = type(a)().unary
        says.put_nowait(told(1))
        says.put_nowait(told(1, 2))
        roster = suite.router.roster
        await suite.until(lambda: not any(health.state == "DISABLED" for health in roster.fleet.shared.values()))
        await suite.generate()


@pytest.mark.parametrize(
    ("messages", "changes"),
    [
        ([told(1), told(1)], 0),
        ([told(1), told(2)], 1),
        ([told(1, 2), told(2)], 0),
        ([told(1, 2), told(2), told(1, 2)], 0),
        ([told(1), told(1, 2, status="KEY_STATUS_REVOKED")], 0),
        ([told(1), told(1, 2, status="KEY_STATUS_CANDIDATE")], 1),
    ],
)
async def test_only_a_key_that_was_not_there_is_news(adapters, messages, changes):
    (a,) = await adapters()
    says: asyncio.Queue[bytes] = asyncio.Queue()
    teaching(a, says)
    seen: list[int] = []
    watch = KeyWatch(lambda: seen.append(1))
    async with grpc.aio.insecure_channel(a.address) as channel:
        task = asyncio.create_task(watch.run(channel.unary_stream))
        for message in (*messages, told(9)):
            says.put_nowait(message)
        async with asyncio.timeout(5):
            while len(seen) <= changes:  # noqa: ASYNC110 - the last message is always news
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(seen) == changes + 1


@pytest.mark.parametrize("answer", ["none", "garbage"])
async def test_a_replica_without_a_key_service_is_left_in_peace(adapters, answer):
    (a,) = await adapters()
    if answer == "garbage":
        says: asyncio.Queue[bytes] = asyncio.Queue()
        says.put_nowait(b"\xff")
        teaching(a, says)
    async with grpc.aio.insecure_channel(a.address) as channel:
        await asyncio.wait_for(KeyWatch(lambda: None).run(channel.unary_stream), 5)
