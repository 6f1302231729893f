"""Owns streams whose caller asked for `hold`: nothing is delivered before the outcome is known, within bounds.

held ... ─┬─> complete: delivered as a whole
          ├─> failed: thrown away, and the call goes on as if no content had come
          └─> beyond the bound: delivered, and from there on a stream like any other
"""

from typing import Final

from antiphon_kit.stream import KEEPALIVE_FRAME
from antiphon_router.shell.call import Call, Context
from antiphon_router.shell.failures import Wreck, after_content
from antiphon_router.shell.relay import Relay
from antiphon_router.shell.wire import is_numbered

HELD_AT_ONCE: Final = 16
"""How many answers of the greatest size all calls together may hold."""


class Hold:
    """The room for answers that are held: `max_bytes` for each, HELD_AT_ONCE times as much for all.

    `keepalive_s`: how long a caller whose answer is held hears nothing.
    """

    def __init__(self, max_bytes: int, keepalive_s: float) -> None:
        self._max_bytes = max_bytes
        self.keepalive_s = keepalive_s
        self.bytes = 0

    def take(self, held: int, more: int) -> bool:
        """Room for `more` bytes of an answer of which `held` are here; False if there is none."""
        if held + more > self._max_bytes or self.bytes + more > HELD_AT_ONCE * self._max_bytes:
            return False
        self.bytes += more
        return True

    def give_back(self, held: int) -> None:
        """These bytes are no longer held."""
        self.bytes -= held


class HoldRelay(Relay):
    """A stream that is held."""

    __slots__ = ("_frames", "_hold", "_size", "_told_s")

    def __init__(self, call: Call, context: Context, request_bytes: int, hold: Hold) -> None:
        super().__init__(call, context, request_bytes)
        self._hold = hold
        self._frames: list[bytes] = []
        self._size = 0
        self._told_s = 0.0

    async def _deliver(self, first: bytes) -> None:
        await self._keep(first)

    async def forward(self, frame: bytes) -> None:
        if self.committed:
            await super().forward(frame)
        elif is_numbered(frame):
            self._answer_bytes += len(frame)
            self._last = frame
            await self._keep(frame)
        else:
            await self._write(frame)

    async def _write(self, frame: bytes) -> None:
        self._told_s = self._call.elapsed_s()
        await super()._write(frame)

    async def _keep(self, frame: bytes) -> None:
        fits = self._hold.take(self._size, len(frame))
        self._frames.append(frame)
        if not fits:
            await self._release()
            return
        self._size += len(frame)
        # The adapter is silent only while its provider is, but the caller hears nothing of what is held.
        if self._call.elapsed_s() - self._told_s >= self._hold.keepalive_s:
            await self._write(KEEPALIVE_FRAME)

    async def _release(self) -> None:
        frames = self._frames
        self.committed = True
        await self._announce()
        for frame in frames:
            await self._write(frame)
        self.close()

    async def _complete(self, end: bytes) -> None:
        if not self.committed:
            await self._release()
        await super()._complete(end)

    async def failed(self, wreck: Wreck) -> None:
        if self.committed:
            await super().failed(wreck)
        self.close()
        wreck = after_content(wreck)
        if not self._call.broken(self._running, wreck, delivered_tools=False):
            self._call.give_up()

    def close(self) -> None:
        self._hold.give_back(self._size)
        self._size = 0
        self._frames = []
