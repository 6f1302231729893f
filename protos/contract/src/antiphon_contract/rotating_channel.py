"""Owns a channel over mutual TLS whose certificates can change: gRPC for Python cannot reload them in a channel.

    new files ──> second channel ── connected ──> new calls go there; the first is closed when its last call has ended
                       └── does not connect ──> the first goes on while it can

Forbids itself: ending a call because of a new certificate.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import grpc

from antiphon_contract.tls import LOOK_EVERY_S, LivePems, Pems

_READY: Final = grpc.ChannelConnectivity.READY


class _Line:
    """One gRPC channel with one certificate, and how many calls run on it."""

    def __init__(self, address: str, pems: Pems, options: tuple[tuple[str, int | str], ...]) -> None:
        self.pems = pems
        self.channel = grpc.aio.secure_channel(address, pems.channel_credentials(), options=options)
        self.calls = 0
        self.idle: Callable[[_Line], None] | None = None
        """Called when no call runs any more; set when it is to get no new ones."""

    @property
    def ready(self) -> bool:
        return self.channel.get_state() is _READY

    def ended(self, call: object) -> None:
        self.calls -= 1
        if not self.calls and self.idle is not None:
            self.idle(self)


class RotatingChannel:
    """Stands for a grpc.aio.Channel in stubs and for plain methods, as far as one request per call goes."""

    def __init__(
        self,
        address: str,
        live: LivePems,
        options: tuple[tuple[str, int | str], ...],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._live = live
        self._options = (*options, ("grpc.ssl_target_name_override", live.files.server_name))
        self._clock = clock
        self._line = _Line(address, live.pems, self._options)
        self._next: _Line | None = None
        self._retired: set[_Line] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._look_at_s = clock() + LOOK_EVERY_S
        self.moves = 0
        """How often new calls began to go elsewhere."""

    def unary_unary(self, method: str, *coders: Any, **more: Any) -> Any:
        """As of grpc.aio.Channel."""
        return _Method(self, "unary_unary", method, coders, more)

    def unary_stream(self, method: str, *coders: Any, **more: Any) -> Any:
        """As of grpc.aio.Channel."""
        return _Method(self, "unary_stream", method, coders, more)

    def take(self) -> tuple[grpc.aio.Channel, Callable[[object], None]]:
        """The channel for one call that begins now, and what is to be called once it has ended."""
        line = self.line()
        line.calls += 1
        return line.channel, line.ended

    def line(self) -> _Line:
        """Where a call that begins now goes."""
        if self._clock() >= self._look_at_s:
            self.look()
        return self._line

    def look(self) -> None:
        """Connect with the certificate of now, if it is another one, and move there once that works."""
        self._look_at_s = self._clock() + LOOK_EVERY_S
        pems = self._live.renew()
        if pems is self._line.pems:
            self._drop_next()
            return
        if self._next is None or self._next.pems is not pems:
            self._drop_next()
            self._next = _Line(self._address, pems, self._options)
            self._next.channel.get_state(try_to_connect=True)
        # One that has no connection itself is nothing to wait with: its certificate may have expired.
        if self._next.ready or not self._line.ready:
            self._retire(self._line)
            self._line, self._next = self._next, None
            self.moves += 1

    def _drop_next(self) -> None:
        if self._next is not None:
            self._retire(self._next)
            self._next = None

    def _retire(self, line: _Line) -> None:
        self._retired.add(line)
        line.idle = self._close
        if not line.calls:
            self._close(line)

    def _close(self, line: _Line) -> None:
        line.idle = None
        self._retired.discard(line)
        task = asyncio.get_running_loop().create_task(line.channel.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @property
    def open_channels(self) -> int:
        """How many there are, those included that only finish what runs."""
        return 1 + len(self._retired) + (self._next is not None)

    async def close(self, grace: float | None = None) -> None:
        """Close all; calls that still run are cancelled after `grace` seconds, but for those of who took a channel."""
        self._drop_next()
        for line in (self._line, *self._retired):
            line.idle = None
            await line.channel.close(grace)
        self._retired.clear()
        await asyncio.gather(*self._closing)


class _Method:
    """A method of the channel: each call goes to the line of its moment."""

    def __init__(self, channel: RotatingChannel, kind: str, method: str, coders: Any, more: Any) -> None:
        self._channel = channel
        self._kind = kind
        self._method = method
        self._coders = coders
        self._more = more
        self._line: _Line | None = None
        self._begin: Any = None

    def __call__(self, request: Any, **call: Any) -> Any:
        line = self._channel.line()
        if line is not self._line:
            self._line = line
            self._begin = getattr(line.channel, self._kind)(self._method, *self._coders, **self._more)
        rpc = self._begin(request, **call)
        line.calls += 1
        rpc.add_done_callback(line.ended)
        return rpc
