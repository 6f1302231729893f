"""A channel changes its certificate: new calls move once that works, running ones end where they began."""

import asyncio

import grpc
import pytest
from authority import CALLER, PROVIDER, Authority, write
from test_tls import OPTIONS, serving

from antiphon_contract.rotating_channel import RotatingChannel
from antiphon_contract.tls import LivePems
from antiphon_kit.tls import Transport, from_files

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def bed(authority, tmp_path):
    """A server, and a channel to it with a clock that stands."""
    transport = Transport(from_files(authority.files(tmp_path / "provider", PROVIDER)))
    files = authority.files(tmp_path / "caller", f"{CALLER}/0")
    async with serving(transport) as (service, desk):
        channel = RotatingChannel(service.address, LivePems(files), OPTIONS, clock=lambda: 0.0)
        yield channel, files, desk, service
        await channel.close()


async def who(channel) -> str:
    return (await channel.unary_unary("/desk/who")(b"", timeout=5)).decode()


async def moved(channel, count: int) -> None:
    while channel.moves < count:
        channel.look()
        await asyncio.sleep(0.01)


async def test_new_calls_move_and_a_stream_goes_on(bed, authority):
    channel, files, desk, _ = bed
    stream = channel.unary_stream("/desk/wait")(b"", timeout=20)
    assert await stream.read() == b"begun"
    for number in range(1, 4):
        write(files, *authority.issue(f"{CALLER}/{number}"), authority.pem)
        assert await who(channel) == f"{CALLER}/{number - 1}"
        await moved(channel, number)
        assert await who(channel) == f"{CALLER}/{number}"
    assert channel.open_channels == 2  # the first has the stream, those between had nothing left
    desk.release.set()
    assert await stream.read() == b"done"
    assert await stream.read() is grpc.aio.EOF
    await asyncio.sleep(0)
    assert channel.open_channels == 1


async def test_a_method_is_kept_and_goes_where_the_channel_goes(bed, authority):
    channel, files, _, _ = bed
    method = channel.unary_unary("/desk/who")
    for _ in range(2):
        assert (await method(b"", timeout=5)).decode() == f"{CALLER}/0"
    write(files, *authority.issue(f"{CALLER}/1"), authority.pem)
    await moved(channel, 1)
    assert (await method(b"", timeout=5)).decode() == f"{CALLER}/1"


async def test_who_takes_a_channel_for_a_call_has_it_until_the_call_has_ended(bed, authority):
    channel, files, desk, _ = bed
    taken, ended = channel.take()
    stream = taken.unary_stream("/desk/wait")(b"", timeout=20)
    assert await stream.read() == b"begun"
    write(files, *authority.issue(f"{CALLER}/1"), authority.pem)
    await moved(channel, 1)
    assert channel.take()[0] is not taken
    assert channel.open_channels == 2
    desk.release.set()
    assert await stream.read() == b"done"
    ended(stream)
    assert channel.open_channels == 1


async def test_a_certificate_that_is_refused_does_not_replace_one_that_works(bed, authority):
    channel, files, _, _ = bed
    assert await who(channel) == f"{CALLER}/0"
    good = authority.issue(f"{CALLER}/2")
    write(files, *Authority("other").issue(CALLER), authority.pem)
    for _ in range(20):
        channel.look()
        await asyncio.sleep(0.01)
    assert channel.moves == 0
    assert await who(channel) == f"{CALLER}/0"
    write(files, *good, authority.pem)
    await moved(channel, 1)
    assert await who(channel) == f"{CALLER}/2"


async def test_a_channel_without_connection_moves_without_waiting(bed, authority):
    channel, files, _, _ = bed
    write(files, *authority.issue(f"{CALLER}/1"), authority.pem)
    channel.look()
    assert channel.moves == 1
    assert await who(channel) == f"{CALLER}/1"


async def test_files_that_go_back_leave_everything_as_it_was(bed, authority):
    channel, files, _, _ = bed
    assert await who(channel) == f"{CALLER}/0"
    write(files, *Authority("other").issue(CALLER), authority.pem)
    channel.look()
    assert channel.open_channels == 2
    live = channel._live
    live.pems = channel._line.pems
    live.files = files
    channel.look()
    assert channel.open_channels == 1


async def test_calls_look_at_the_files_once_in_a_while(bed, authority):
    channel, files, _, _ = bed
    write(files, *authority.issue(f"{CALLER}/1"), authority.pem)
    assert await who(channel) == f"{CALLER}/0"
    channel._clock = lambda: 10.0
    while await who(channel) != f"{CALLER}/1":
        channel._look_at_s = 0.0


async def test_closing_ends_what_runs(bed):
    channel, _, _, _ = bed
    stream = channel.unary_stream("/desk/wait")(b"", timeout=20)
    assert await stream.read() == b"begun"
    reading = asyncio.ensure_future(stream.read())
    await asyncio.sleep(0)
    await channel.close()
    with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
        await reading
