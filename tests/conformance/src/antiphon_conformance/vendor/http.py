"""Owns one HTTP/1.1 connection: reads requests, performs scripts, notices when the peer leaves.

Forbids itself: knowing what is said. Bytes come from the script.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

from antiphon_conformance.vendor.script import Cut, Head, Hold, Pause, Repeat, Request, Script
from antiphon_conformance.vendor.witness import Exchange, Witness

Released = asyncio.Event
Director = Callable[[Request, Exchange], tuple[Script, Released]]
SEND_BUFFER_BYTES = 64 * 1024


class Line(asyncio.StreamReaderProtocol):
    """A connection that knows the moment at which its peer left, even while nobody reads."""

    def __init__(self, witness: Witness, direct: Director) -> None:
        super().__init__(asyncio.StreamReader(), self._converse)
        self._witness = witness
        self._direct = direct
        self._exchange: Exchange | None = None
        self._gone = asyncio.Event()
        self._talk: asyncio.Task[None] | None = None

    def eof_received(self) -> bool:
        self._leave()
        super().eof_received()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def _leave(self) -> None:
        if self._exchange is not None:
            self._exchange.mark_peer_left()
        self._gone.set()

    def hang_up(self) -> None:
        """End the connection from this side, whatever it is doing."""
        self._gone.set()
        if self._talk is not None:
            self._talk.cancel()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talk = asyncio.current_task()
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A small buffer makes back-pressure visible here instead of in the kernel.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        writer.transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
        try:
            with contextlib.suppress(ConnectionError):
                while (request := await read_request(reader)) is not None:
                    exchange = self._exchange = self._witness.begin(request)
                    script, released = self._direct(request, exchange)
                    if not await self._perform(script, writer, exchange, released):
                        break
        finally:
            writer.close()

    async def _perform(
        self, script: Script, writer: asyncio.StreamWriter, exchange: Exchange, released: Released
    ) -> bool:
        """Returns whether the connection can take another request."""
        chunked = False
        for step in script:
            if self._gone.is_set():
                return False
            match step:
                case Head():
                    chunked = "content-length" not in step.headers
                    await _send(writer, exchange, _head(step, chunked=chunked))
                case b"":
                    pass  # an empty chunk would end the body
                case bytes():
                    await _send(writer, exchange, _chunk(step) if chunked else step)
                case Pause():
                    await self._unless_gone(asyncio.sleep(step.duration_s))
                case Hold():
                    exchange.mark_holding()
                    await self._unless_gone(released.wait())
                case Repeat():
                    await self._repeat(step, writer, exchange)
                case Cut():
                    return _cut(step, writer, exchange)
        if self._gone.is_set():
            return False
        if chunked:
            await _send(writer, exchange, b"0\r\n\r\n")
        exchange.mark_finished()
        return True

    async def _repeat(self, step: Repeat, writer: asyncio.StreamWriter, exchange: Exchange) -> None:
        framed = _chunk(step.data)
        for _ in range(step.limit):
            if self._gone.is_set():
                return
            await _send(writer, exchange, framed)
            if step.every_s:
                await self._unless_gone(asyncio.sleep(step.every_s))

    async def _unless_gone(self, wait: Awaitable[object]) -> None:
        tasks = {asyncio.ensure_future(wait), asyncio.ensure_future(self._gone.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when the peer has no more."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, path, headers, await _body(reader, headers))


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readline()
    return b"".join(parts)


async def _send(writer: asyncio.StreamWriter, exchange: Exchange, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
    exchange.produced_bytes += len(data)


def _head(head: Head, *, chunked: bool) -> bytes:
    framing = {"transfer-encoding": "chunked"} if chunked else {}
    lines = [f"HTTP/1.1 {head.status} Scripted", *(f"{k}: {v}" for k, v in {**framing, **head.headers}.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _cut(how: Cut, writer: asyncio.StreamWriter, exchange: Exchange) -> bool:
    exchange.mark_finished()
    if how is Cut.RST:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    return False
