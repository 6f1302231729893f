"""Owns a TCP proxy that does to connections what networks do: delays, narrowness, silence, resets, half a close.

async with FaultProxy("127.0.0.1:9000") as proxy:
    ... connect to proxy.address; proxy.weather = Weather(blackhole=True) ...
"""

import asyncio
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

_PIECE_BYTES: Final = 16 * 1024
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to every piece that passes. It may change at any time and holds for connections that exist."""

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    """0: no bound."""
    blackhole: bool = False
    """Nothing passes, nothing is closed; what waits passes once it is over."""


class FaultProxy:
    """A proxy to one address, for the body of an `async with`."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.address = ""
        self._weather = Weather()
        self._changed = asyncio.Event()
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}

    @property
    def weather(self) -> Weather:
        """What holds now."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        tasks = tuple(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reset_all(self) -> None:
        """Both ends of every connection get a TCP reset."""
        for writers in self._connections.values():
            for writer in writers:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()

    def half_close_all(self) -> None:
        """The callers' ends are told that no more will come; what they send still passes."""
        for caller, _ in self._connections.values():
            if caller.can_write_eof():
                caller.write_eof()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        try:
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = (writer, there_writer)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, there_writer))
                ways.create_task(self._pass(there_reader, writer))
        except* OSError:
            pass
        finally:
            del self._connections[task]
            writer.close()
            there_writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE_BYTES):
            while self._weather.blackhole:
                await self._changed.wait()
            weather = self._weather
            if weather.latency_s or weather.bytes_per_s:
                narrow_s = len(data) / weather.bytes_per_s if weather.bytes_per_s else 0.0
                await asyncio.sleep(weather.latency_s + narrow_s)
            if writer.is_closing():
                return
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
