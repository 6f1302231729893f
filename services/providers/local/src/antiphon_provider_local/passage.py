"""Owns the way of one call's chunks from the thread that decodes to the task that reads, and the way back of a stop.

    decoding thread                          event loop
    put(chunk) ── waits while full ──┐   ┌── take() ── all that has arrived
    end(failure) ────────────────────┴───┴── close() ── put() says stop from now on

Forbids itself: knowing what a chunk is.
"""

import asyncio
import threading
from typing import Final

from antiphon_contract.errors import CallFailure

LIMIT_BYTES: Final = 256 * 1024


class Passage:
    """Bounded in bytes: `put` blocks its thread while the reader is behind, and `close` always frees it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._loop = loop
        self._limit_bytes = limit_bytes
        self._changed = threading.Condition()
        self._arrived = asyncio.Event()
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._ended = False
        self._closed = False
        self._failure: CallFailure | None = None

    def put(self, chunk: bytes) -> bool:
        """Hand over one chunk, from the decoding thread. True: nobody reads any more, stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._bytes < self._limit_bytes)
            if self._closed:
                return True
            self._chunks.append(chunk)
            self._bytes += len(chunk)
            self._wake()
        return False

    def end(self, failure: CallFailure | None = None) -> None:
        """No more chunks, from the decoding thread: `take` raises `failure` after the last one, if there is one."""
        with self._changed:
            self._ended = True
            self._failure = failure
            if not self._closed:
                self._wake()

    def _wake(self) -> None:
        # Inside the lock, so that nothing is scheduled once `close` has returned: the loop may be gone by then.
        self._loop.call_soon_threadsafe(self._arrived.set)

    async def take(self) -> list[bytes]:
        """All chunks that arrived since the last call, waiting for the first. Empty: the end."""
        while True:
            with self._changed:
                chunks, self._chunks, self._bytes = self._chunks, [], 0
                self._changed.notify_all()
                if chunks:
                    return chunks
                if self._ended:
                    if self._failure is not None:
                        raise self._failure
                    return []
                self._arrived.clear()
            await self._arrived.wait()

    def close(self) -> None:
        """Nobody reads any more, from the event loop. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
