"""What attempts share with their caller and leave behind: one writes at a time, and no RPC is kept."""

import asyncio

import pytest

from antiphon_contract.errors import Reason, call_error
from antiphon_router.shell.forward import Forwarder
from antiphon_router.shell.relay import Relay

pytestmark = pytest.mark.timeout(30)


class SlowContext:
    """A caller that takes what it gets only when `taken` is set, as one does that reads slowly."""

    def __init__(self) -> None:
        self.taken = asyncio.Event()
        self.written: list[bytes] = []

    async def write(self, frame: bytes) -> None:
        self.written.append(frame)
        await self.taken.wait()


class SomeCall:
    headers_sent = True


async def test_a_sign_of_life_is_left_out_while_another_one_is_being_written():
    context = SlowContext()
    relay = Relay(SomeCall(), context, 0)
    first = asyncio.create_task(relay.alive(b"1"))
    await asyncio.sleep(0)
    await asyncio.wait_for(relay.alive(b"2"), 5)
    assert context.written == [b"1"]
    context.taken.set()
    await first
    await relay.alive(b"3")
    assert context.written == [b"1", b"3"]


@pytest.mark.parametrize("how", ["well", "failed", "cut", "cancelled"])
async def test_no_rpc_is_kept_however_a_call_ends(adapters, kit, monkeypatch, how):
    (a,) = await adapters()
    made = []

    def noted(*parts):
        made.append(Forwarder(*parts))
        return made[0]

    monkeypatch.setattr("antiphon_router.shell.service.Forwarder", noted)
    if how == "failed":
        a.unary = a.stream = kit.fails(Reason.ERROR_REASON_INVALID_REQUEST)
    elif how == "cut":
        a.stream = kit.streams(kit.WHOLE[0], then=call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut"))
    elif how == "cancelled":
        a.stream = kit.streams(kit.WHOLE[0], hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)]) as suite:
        if how == "well":
            await suite.generate()
        call = suite.call()
        if how == "cancelled":
            await call.read()
            assert made[0].open_rpcs == 1
            call.cancel()
        else:
            await kit.rest_of(call)
        await suite.until(lambda: made[0].open_rpcs == 0)
