"""Owns how each process of a bench is started: which program, with what environment, and when it counts as ready."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antiphon_bench import echo
from antiphon_bench.processes import BenchError, Running, running


@asynccontextmanager
async def running_vendor(scratch: Path) -> AsyncIterator[Running]:
    """The scripted vendor."""
    async with running("vendor", ("-m", "antiphon_bench", "serve-vendor"), {}, scratch / "vendor.log") as process:
        yield process


@asynccontextmanager
async def running_echo(scratch: Path, name: str) -> AsyncIterator[Running]:
    """An echo server in a process of its own."""
    argv = ("-m", "antiphon_bench", "serve-echo")
    async with running(name, argv, {}, scratch / f"{name}.log") as process:
        yield process


def _suite(backends: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Every bound set and far away, and for each provider a route that permits everything."""
    bounds = {"max_in_flight": 1000, "requests_per_minute": 100_000_000, "tokens_per_minute": 1_000_000_000}
    return {
        "backends": [
            {"id": provider, "provider": provider, "addresses": list(addresses), **bounds}
            for provider, addresses in backends.items()
        ],
        "routes": [
            {
                "model": echo.ROUTE,
                "targets": [{"backend": provider, "model": echo.MODEL} for provider in backends],
                "first_content_timeout": "5s",
                "after_content": ["restart", "hold"],
                **({"hedge": {"delay": "5s"}} if any(len(addresses) > 1 for addresses in backends.values()) else {}),
            }
        ],
        "limits": {"adaptive": True, "default_caller": bounds},
    }


@asynccontextmanager
async def running_router(
    scratch: Path, backends: Mapping[str, Sequence[str]], *, profile_to: Path | None = None
) -> AsyncIterator[Running]:
    """A router in front of `backends` (provider to addresses), ready to serve."""
    routes = scratch / "routes.yaml"
    routes.write_text(json.dumps(_suite(backends)), encoding="utf-8")
    env = {
        "ANTIPHON_CONFIG": str(routes),
        "ANTIPHON_LISTEN": "127.0.0.1:0",
        "ANTIPHON_ADMIN_LISTEN": "127.0.0.1:0",
        "ANTIPHON_LOG_LEVEL": "warning",
    }
    profiled = ("-m", "antiphon_bench.profiled", str(profile_to), "antiphon_router")
    argv = profiled if profile_to else ("-m", "antiphon_router")
    async with running("router", argv, env, scratch / "router.log") as process:
        await wait_serving(process.address)
        yield process


async def wait_serving(address: str, limit_s: float = 30.0) -> None:
    """Return once the standard health service says SERVING. Raises BenchError after `limit_s`."""
    try:
        async with asyncio.timeout(limit_s), grpc.aio.insecure_channel(address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            async for answer in watch:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
    except (TimeoutError, grpc.aio.AioRpcError):
        raise BenchError(f"the service at {address} did not become ready in {limit_s:g} s") from None


@asynccontextmanager
async def running_openai(scratch: Path, vendor: str) -> AsyncIterator[Running]:
    """The openai service with the scripted vendor behind it, ready to serve."""
    env = {
        "ANTIPHON_LISTEN": "127.0.0.1:0",
        "ANTIPHON_LOG_LEVEL": "warning",
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": f"http://{vendor}/v1",
    }
    async with running("openai", ("-m", "antiphon_provider_openai"), env, scratch / "openai.log") as process:
        await wait_serving(process.address)
        yield process
