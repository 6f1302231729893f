"""Owns how a test runs the command: as a process of its own, as a shell would, with nothing of our environment."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ran:
    """What a finished command left. Never a traceback, whatever happened."""

    code: int
    out: str
    err: str


Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
def start(tmp_path) -> Start:
    """Starts `antiphon ARGS` in an empty directory; `env` are further variables."""

    async def run(*args: str | bytes, env: dict[str, str] | None = None, **streams) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "antiphon_cli", *args),
            cwd=tmp_path,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", **(env or {})},
            **{"stdin": asyncio.subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, **streams},
        )

    return run


@pytest.fixture
def antiphon(start: Start) -> Callable[..., Awaitable[Ran]]:
    """Runs `antiphon ARGS` to its end; `stdin` are bytes for it."""

    async def run(*args: str | bytes, stdin: bytes | None = None, env: dict[str, str] | None = None) -> Ran:
        streams = {} if stdin is None else {"stdin": asyncio.subprocess.PIPE}
        process = await start(*args, env=env, **streams)
        out, err = await process.communicate(stdin)
        ran = Ran(process.returncode, out.decode(), err.decode())
        assert "Traceback" not in ran.err
        assert "Exception ignored" not in ran.err
        return ran

    return run
