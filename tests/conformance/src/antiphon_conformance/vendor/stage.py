"""Owns the running vendor: a thread with its own loop and port, the plays on its programme, the witness.

A play is addressed by its model name, so cases that run side by side never disturb each other. A request for the
name of a scene gets that scene, so the vendor also serves programs that know no plays. The thread keeps its own
clock honest: nothing that the cases do delays what the vendor sends or notes.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

from antiphon_conformance.vendor.http import Line, Released
from antiphon_conformance.vendor.scenes import SCENES, Scene, by_name
from antiphon_conformance.vendor.script import Request, Script
from antiphon_conformance.vendor.witness import Exchange, Witness, _await
from antiphon_conformance.wires import Wire


class Play:
    """One case's own script. Ask for `model` and this is what the vendor does."""

    def __init__(self, model: str, script: Scene | Script, loop: asyncio.AbstractEventLoop) -> None:
        self.model = model
        self.script = script
        self.exchanges: list[Exchange] = []
        self.released = Released()
        self._loop = loop
        self._arrived: Future[float] = Future()

    def release(self) -> None:
        """Let the vendor go on behind its `Hold`."""
        self._loop.call_soon_threadsafe(self.released.set)

    def note(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if not self._arrived.done():
            self._arrived.set_result(time.monotonic())

    async def arrived(self, within_s: float = 10.0) -> Exchange:
        """The first request for this play. Raises TimeoutError."""
        await _await(self._arrived, within_s)
        return self.exchanges[0]

    @property
    def calls(self) -> int:
        return len(self.exchanges)

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]


class Vendor:
    """The stand-in, while `performing` runs. `url` has no path; clients append the wire's."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.witness = Witness()
        self.url = ""
        self._plays: dict[str, Play] = {}
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def play(self, script: Scene | Script) -> Play:
        """Put a script on the programme, under a model name of its own."""
        stem = script.slug if isinstance(script, Scene) else "scripted"
        play = Play(f"{stem}-{next(self._numbers)}", script, self._loop)
        self._plays[play.model] = play
        return play

    def _direct(self, request: Request, exchange: Exchange) -> tuple[Script, Released]:
        if request.method != "POST":
            return self.wire.catalogue(request), Released()
        if (counted := self.wire.count(request)) is not None:
            return counted, Released()
        model = self.wire.model(request)
        play = self._plays.get(model)
        if play is not None:
            play.note(exchange)
            scene, released = play.script, play.released
        else:
            scene, released = by_name(model) or self.wire.unknown_model(model), Released()
        return (SCENES[scene](self.wire, request) if isinstance(scene, Scene) else scene), released

    async def serve(self, bound: Future[int], port: int) -> None:
        """Runs until `close`. `bound` gets the port."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        lines: list[Line] = []

        def connect() -> Line:
            lines.append(line := Line(self.witness, self._direct))
            return line

        try:
            server = await self._loop.create_server(connect, "127.0.0.1", port, backlog=512)
        except OSError as error:
            bound.set_exception(error)
            return
        async with server:
            bound.set_result(server.sockets[0].getsockname()[1])
            await self._stop.wait()
            for line in lines:
                line.hang_up()
            await asyncio.sleep(0)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)


@contextlib.contextmanager
def performing(wire: Wire, port: int = 0) -> Iterator[Vendor]:
    """A vendor on a free loopback port (or `port`) that speaks `wire`."""
    vendor, bound = Vendor(wire), Future[int]()
    thread = threading.Thread(target=lambda: asyncio.run(vendor.serve(bound, port)), name="scripted-vendor")
    thread.start()
    try:
        vendor.url = f"http://127.0.0.1:{bound.result(timeout=10)}"
        yield vendor
    finally:
        if vendor.url:
            vendor.close()
        thread.join(timeout=10)
