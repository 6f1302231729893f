"""The names are known, and the values that matter have their effect."""

import asyncio
import contextlib
import json

import grpc
import pytest

from antiphon_kit import channel_options
from antiphon_kit.service import Service

PROFILES = {
    "client": channel_options.CLIENT_TO_ROUTER,
    "router": channel_options.ROUTER_TO_PROVIDER,
    "provider": channel_options.provider_server(1 << 20),
    "public": channel_options.public_server(1 << 20),
}


@pytest.mark.parametrize("name", PROFILES)
def test_every_name_is_known_and_occurs_once(name):
    names = [option for option, _ in PROFILES[name]]
    assert set(names) <= channel_options.KNOWN
    assert len(set(names)) == len(names)


def test_no_known_name_is_unused():
    assert {name for profile in PROFILES.values() for name, _ in profile} == channel_options.KNOWN


def test_only_the_client_profile_retries():
    assert "retryPolicy" in dict(PROFILES["client"])["grpc.service_config"]
    assert "methodConfig" not in json.loads(dict(PROFILES["router"])["grpc.service_config"])


@contextlib.asynccontextmanager
async def waiting_stream(server_options, channel_opts):
    """A stream on which nothing is sent, over a served connection; yields (call, release)."""
    release = asyncio.Event()

    async def wait(request, context):
        await release.wait()
        return b"done"

    handler = grpc.method_handlers_generic_handler("t", {"wait": grpc.unary_unary_rpc_method_handler(wait)})
    service = Service("127.0.0.1:0", server_options, (handler,), ())
    async with service, grpc.aio.insecure_channel(service.address, options=channel_opts) as channel:
        yield channel.unary_unary("/t/wait")(b""), release


async def test_a_provider_accepts_a_ping_every_second_on_a_silent_stream():
    options = channel_options.provider_server(1 << 20)
    async with waiting_stream(options, channel_options.ROUTER_TO_PROVIDER) as (call, release):
        await asyncio.sleep(6)
        release.set()
        assert await call == b"done"


async def test_a_server_without_these_options_would_not():
    """The saboteur of the test above: it must be able to fail."""
    async with waiting_stream((), channel_options.ROUTER_TO_PROVIDER) as (call, _):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await asyncio.wait_for(call, 10)
    assert "ping" in failed.value.details().lower()


async def test_two_servers_never_share_a_port():
    options = channel_options.provider_server(1 << 20)
    async with Service("127.0.0.1:0", options, (), ()) as first:
        server = grpc.aio.server(options=options)
        with pytest.raises(RuntimeError):
            server.add_insecure_port(first.address)
        await server.stop(None)


def test_a_request_above_the_own_limit_still_reaches_the_typed_answer():
    assert channel_options.receive_limit(1024) == 32 * channel_options.MIB
    assert channel_options.receive_limit(64 * channel_options.MIB) == 128 * channel_options.MIB
