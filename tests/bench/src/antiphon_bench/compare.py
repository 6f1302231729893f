"""Owns the run of the comparison with other gateways: who takes part, what is said meanwhile, what is written."""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc

from antiphon_bench import echo, gateways, machine, peers, results
from antiphon_bench.peers import Contender
from antiphon_bench.run import busy
from antiphon_bench.services import running_openai, running_router, running_vendor

COMMAND: Final = "make bench-peers"
_CALL_S: Final = 30.0


async def run(out: Path, cache: Path, scratch: Path, rounds: int) -> str:
    """Install what is missing, measure, write peers.json and peers.md to `out`, return the table. Raises BenchError."""
    where = machine.describe()
    skipped: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        vendor = (await stack.enter_async_context(running_vendor(scratch))).address
        base = f"http://{vendor}"
        contenders = [Contender("no gateway", "", gateways.completion_call(session, base, {}))]
        contenders.append(await _antiphon(stack, scratch, vendor))
        for name, make in (
            ("litellm", lambda port: gateways.litellm(cache, port, base)),
            ("portkey", lambda port: gateways.portkey(cache, port, base)),
        ):
            try:
                contenders.append(await _peer(stack, name, make, scratch, session))
            except gateways.Unavailable as error:
                skipped[name] = str(error)
        _say("measuring")
        await peers.compare(contenders, rounds)
        result = peers.document(contenders, skipped, rounds, where, COMMAND)
    results.write(out, "peers", result, peers.page(result))
    notes = [f"{name} did not take part: {why}" for name, why in skipped.items()]
    return "\n".join(
        [peers.peers_table(result), *notes, *busy(where), f"written to {out / 'peers.json'} and {out / 'peers.md'}"]
    )


async def _antiphon(stack: AsyncExitStack, scratch: Path, vendor: str) -> Contender:
    _say("starting antiphon")
    openai = await stack.enter_async_context(running_openai(scratch, vendor))
    router = await stack.enter_async_context(running_router(scratch, {"openai": [openai.address]}))
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(router.address))
    method: Any = channel.unary_unary(echo.GENERATE)
    body = echo.request("openai/m")

    async def call() -> None:
        answer = await method(body, timeout=_CALL_S)
        assert b"tok63" in answer

    return Contender("antiphon", version("antiphon-router"), call, [router.pid, openai.pid])


async def _peer(
    stack: AsyncExitStack,
    name: str,
    make: Callable[[int], Awaitable[gateways.Gateway]],
    scratch: Path,
    session: aiohttp.ClientSession,
) -> Contender:
    _say(f"installing (once) and starting {name}")
    port = gateways.free_port()
    gateway = await make(port)
    pid = await stack.enter_async_context(gateways.started(gateway, port, scratch / f"{name}.log", session))
    call = gateways.completion_call(session, f"http://127.0.0.1:{port}", gateway.headers)
    await call()
    return Contender(gateway.name, gateway.version, call, [pid])


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)
