"""The proxy does to connections what it says."""

import asyncio
import contextlib
import time

import pytest

from antiphon_harness.faultproxy import FaultProxy, Weather


@contextlib.asynccontextmanager
async def proxied():
    async def echo(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    async with FaultProxy(f"{host}:{port}") as proxy:
        there, port = proxy.address.rsplit(":")
        reader, writer = await asyncio.open_connection(there, int(port))
        try:
            yield proxy, reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_good_weather_passes_everything():
    async with proxied() as (_, reader, writer):
        writer.write(b"x" * 100_000)
        assert await reader.readexactly(100_000) == b"x" * 100_000


async def test_latency_both_ways():
    async with proxied() as (proxy, reader, writer):
        proxy.weather = Weather(latency_s=0.05)
        started = time.monotonic()
        writer.write(b"ping")
        await reader.readexactly(4)
        assert time.monotonic() - started >= 0.1


async def test_narrowness():
    async with proxied() as (proxy, reader, writer):
        proxy.weather = Weather(bytes_per_s=10_000)
        started = time.monotonic()
        writer.write(b"x" * 1000)
        await reader.readexactly(1000)
        assert time.monotonic() - started >= 0.2


async def test_a_black_hole_keeps_the_connection_and_what_it_holds():
    async with proxied() as (proxy, reader, writer):
        proxy.weather = Weather(blackhole=True)
        writer.write(b"ping")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(4)
        proxy.weather = Weather()
        assert await reader.readexactly(4) == b"ping"


async def test_a_reset():
    async with proxied() as (proxy, reader, writer):
        writer.write(b"ping")
        await reader.readexactly(4)
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_half_a_close():
    async with proxied() as (proxy, reader, writer):
        writer.write(b"ping")
        await reader.readexactly(4)
        proxy.half_close_all()
        assert await reader.read(1) == b""
