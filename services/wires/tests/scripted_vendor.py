"""A vendor by script: a real HTTP/1.1 server on a socket, which records what it is sent and says what it is told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


Reply = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Vendor:
    """`reply` answers the next requests; `hung_up` is set when the caller closed its side."""

    url: str = ""
    reply: Reply | None = None
    requests: list[Received] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0

    def says(self, body: bytes, status: int = 200, *, then: Sequence[bytes] = (), **headers: str) -> None:
        """`body` answers the next request, those in `then` one each; the last one answers all that follow."""
        left = [body, *then]

        async def reply(_: Received, writer: asyncio.StreamWriter) -> None:
            body = left.pop(0) if len(left) > 1 else left[0]
            writer.write(head(status, {"Content-Length": str(len(body)), **headers}) + body)

        self.reply = reply

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                received = await read_request(reader)
                self.requests.append(received)
                await self.reply(received, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.hung_up.set()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def read_request(reader: asyncio.StreamReader) -> Received:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:]) if name}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body)


@contextlib.asynccontextmanager
async def serving_vendor(prefix: str = "") -> AsyncIterator[Vendor]:
    """Serves until the end of the block. `prefix`: path of its base URL."""
    vendor = Vendor()
    tasks: set[asyncio.Task] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(vendor.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    vendor.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}"
    async with server:
        yield vendor
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
