"""Owns the installation and the start of the other gateways: where they come from, how one worker is run."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from antiphon_bench.processes import BenchError, start, stop

UV: Final = ".tools/bin/uv"
_INSTALL_S: Final = 600.0
_START_S: Final = 90.0


class Unavailable(Exception):
    """A gateway cannot take part on this machine, and why."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """How to run one: the command for a port, its environment, where it says that it is up, and what calls need."""

    name: str
    version: str
    argv: Sequence[str]
    env: Mapping[str, str]
    health_path: str
    headers: Mapping[str, str]


async def litellm(cache: Path, port: int, vendor: str) -> Gateway:
    """LiteLLM's proxy in a venv of its own. Raises Unavailable."""
    home = cache / "litellm"
    python = home / "bin" / "python"
    if not python.exists():
        await _run(UV, "venv", "-q", "--python", sys.executable, str(home))
    if not (home / "bin" / "litellm").exists():
        await _run(UV, "pip", "install", "-q", "--python", str(python), "litellm[proxy]")
    config = cache / "litellm.yaml"
    row = {"model_name": "m", "litellm_params": {"model": "openai/m", "api_base": f"{vendor}/v1", "api_key": "bench"}}
    # Nobody here checks callers, so its refusal to run without a key of its own is switched off. JSON is YAML.
    general = {"dangerously_permit_weak_or_unset_master_key": True}
    config.write_text(json.dumps({"model_list": [row], "general_settings": general}), encoding="utf-8")
    show = "import importlib.metadata as m; print(m.version('litellm'))"
    return Gateway(
        name="litellm",
        version=(await _run(str(python), "-c", show)).strip(),
        argv=(
            *(str(home / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)),
            *("--num_workers", "1", "--telemetry", "False"),
        ),
        env={"LITELLM_LOG": "ERROR", "HOME": str(cache)},
        health_path="/health/liveliness",
        headers={},
    )


async def portkey(cache: Path, port: int, vendor: str) -> Gateway:
    """Portkey's gateway from npm. Raises Unavailable."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        raise Unavailable("npm and node are not installed")
    home = cache / "portkey"
    package = home / "node_modules" / "@portkey-ai" / "gateway"
    if not package.exists():
        home.mkdir(parents=True, exist_ok=True)
        await _run(npm, "install", "--no-fund", "--no-audit", "--prefix", str(home), "@portkey-ai/gateway")
    manifest = json.loads((package / "package.json").read_text(encoding="utf-8"))
    return Gateway(
        name="portkey",
        version=str(manifest["version"]),
        argv=(node, str(package / "build" / "start-server.js"), f"--port={port}", "--headless"),
        env={"HOME": str(cache), "NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"},
        health_path="/",
        headers={"x-portkey-provider": "openai", "x-portkey-custom-host": f"{vendor}/v1"},
    )


def free_port() -> int:
    """A port that was free a moment ago: these gateways cannot tell which one they took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def started(gateway: Gateway, port: int, log: Path, session: aiohttp.ClientSession) -> AsyncIterator[int]:
    """Run it until the end of the block; yields the id of its root process. Raises Unavailable."""
    path = str(Path(gateway.argv[0]).parent)
    process = start(gateway.argv, {"PATH": f"{path}:/usr/bin:/bin", **gateway.env}, log)
    try:
        await _until_up(gateway, f"http://127.0.0.1:{port}{gateway.health_path}", process, session)
        yield process.pid
    finally:
        await stop(process)


async def _until_up(
    gateway: Gateway, url: str, process: subprocess.Popen[bytes], session: aiohttp.ClientSession
) -> None:
    deadline = asyncio.get_running_loop().time() + _START_S
    while asyncio.get_running_loop().time() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"it ended with code {process.returncode} while starting")
        try:
            async with session.get(url) as response:
                if response.status < 500:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.3)
    raise Unavailable(f"it was not up after {_START_S:g} s")


async def _run(*argv: str) -> str:
    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )

    try:
        done = await asyncio.to_thread(run)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{Path(argv[0]).name} took longer than {_INSTALL_S:g} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Unavailable(f"{Path(argv[0]).name} failed: {last[:200]}")
    return done.stdout


def completion_call(session: aiohttp.ClientSession, base: str, headers: Mapping[str, str]) -> "HttpCall":
    """A unary chat completion over HTTP at `base`."""
    return HttpCall(session, f"{base}/v1/chat/completions", {"authorization": "Bearer bench", **headers})


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One call per use; raises BenchError on any answer that is not the vendor's."""

    session: aiohttp.ClientSession
    url: str
    headers: Mapping[str, str]

    async def __call__(self) -> None:
        """Make the call and read the whole answer."""
        body = {"model": "m", "messages": [{"role": "user", "content": "x" * 500}]}
        async with self.session.post(self.url, json=body, headers=self.headers) as response:
            text = await response.text()
        if response.status != 200 or "tok63" not in text:
            raise BenchError(f"an answer with status {response.status} that is not the vendor's: {text[:200]}")
