"""What operators see of a real router in trouble: `antiphon status`, `antiphon routes explain`, and a reload."""

import asyncio
import contextlib
import os
import re
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from antiphon_client import AntiphonError, AsyncClient
from antiphon_client.testing import Frame, SceneCall, ScriptedRouter, answering, begin, frame
from antiphon_contract.errors import CallFailure, Reason, call_error

ADMIN = "127.0.0.1:{port}"


def failing(reason: Reason, **facts):
    async def scene(call: SceneCall) -> AsyncGenerator[Frame, None]:
        raise CallFailure(call_error(reason, "as scripted", **facts))
        yield

    return scene


async def hanging(call: SceneCall) -> AsyncGenerator[Frame, None]:
    yield frame(1, *begin("so far"))
    await call.done.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def routes(**backends: str) -> str:
    rows = [f"- {{id: {id}, provider: {id}, addresses: [{where}], default_model: m}}" for id, where in backends.items()]
    return (
        "backends:\n" + "\n".join(rows) + "\nroutes: [{model: all, targets: [{backend: limited}, {backend: well}]}]\n"
    )


@contextlib.asynccontextmanager
async def router(path: Path, admin_port: int) -> AsyncIterator[str]:
    read, write = os.pipe()
    env = {
        "PATH": os.environ["PATH"], "ANTIPHON_CONFIG": str(path), "ANTIPHON_LISTEN": "127.0.0.1:0",
        "ANTIPHON_ADMIN_LISTEN": ADMIN.format(port=admin_port), "ANTIPHON_READY_FD": str(write),
        "ANTIPHON_DRAIN_GRACE_S": "1",
    }  # fmt: skip
    null = asyncio.subprocess.DEVNULL
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "antiphon_router", env=env, pass_fds=(write,), stderr=null
    )
    os.close(write)
    with os.fdopen(read) as ready:
        address = (await asyncio.to_thread(ready.readline)).strip()
    try:
        yield address
    finally:
        program.terminate()
        await program.wait()


async def antiphon(admin_port: int, *words: str) -> str:
    command = (sys.executable, "-m", "antiphon_cli", *words, "--admin-address", ADMIN.format(port=admin_port))
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, cwd="/")
    out, err = await program.communicate()
    assert program.returncode == 0, err
    return out.decode()


async def until_status(admin_port: int, *words: str) -> list[str]:
    """The lines of `antiphon status` once they hold `words`."""
    out = ""
    for _ in range(30):
        out = await antiphon(admin_port, "status")
        if all(word in out for word in words):
            return out.splitlines()
    pytest.fail(f"never {words} in:\n{out}")


def line(lines: list[str], *begins: str) -> str:
    (only,) = [each for each in lines if each.split()[: len(begins)] == list(begins)]
    return only


async def test_every_state_is_told_with_its_reason_and_its_next_try(tmp_path):
    path, admin_port, dead_port = tmp_path / "routes.yaml", free_port(), free_port()
    async with contextlib.AsyncExitStack() as stack:

        async def provider(scene) -> str:
            return (await stack.enter_async_context(ScriptedRouter(scene))).address

        where = {
            "well": f"'{await provider(answering('yes'))}'",
            "limited": f"'{await provider(failing(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=90))}'",
            "refused": f"'{await provider(failing(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=401))}'",
            "dead": f"'127.0.0.1:{dead_port}'",
            "moving": f"'{await provider(hanging)}'",
        }
        path.write_text(routes(**where))
        address = await stack.enter_async_context(router(path, admin_port))
        client = await stack.enter_async_context(AsyncClient(address))
        began = time.monotonic()
        for model in ("limited/m", "refused/m"):
            with pytest.raises(AntiphonError):
                await client.generate("hello", model=model)
        stream = await stack.enter_async_context(client.stream("hello", model="moving/m"))
        assert await anext(stream.text()) == "so far"
        moved = {**where, "moving": where["well"]}
        new = path.with_suffix(".new")
        new.write_text(routes(**moved))
        new.rename(path)

        lines = await until_status(admin_port, "draining", "rate_limited", "disabled", "open")
        assert lines[0].startswith("routes ")
        limited, refused = line(lines, "pool", "limited/m"), line(lines, "key", "refused")
        assert "rate_limited  rate_limit (" in limited
        assert " ago" in limited
        left_s = re.search(r" in (\d+) s ", limited)
        assert left_s is not None
        assert 89 - (time.monotonic() - began) <= int(left_s[1]) < 100, "90 s from then, or a bit later"
        assert "disabled" in refused
        assert "auth (auth)" in refused
        assert "in 4 min" in refused or "in 5 min" in refused
        assert "as scripted" in refused
        dead = line(lines, "replica", f"127.0.0.1:{dead_port}")
        assert "unreachable" in dead
        draining = next(each for each in lines if "draining" in each and each.startswith("  replica"))
        assert "operator (discovery)" in draining
        assert "not by itself" in draining
        assert " 1 " in draining, "the stream goes on"
        assert "healthy" in line(lines, "well", "well")

        explained = await antiphon(admin_port, "routes", "explain", "all")
        assert explained.startswith("all: understood as route; after content: fail\n")
        assert "100 %  well" in explained
        assert "takes no calls, because pool limited/m is RATE_LIMITED" in explained

        new.write_text("backends: []\n")
        new.rename(path)
        lines = await until_status(admin_port, "NOT in use")
        assert lines[2] == f"  {path}:1:11: backends: none; add at least one with id, provider and addresses"
        assert (await client.generate("hello", model="well/m")).text == "yes"
