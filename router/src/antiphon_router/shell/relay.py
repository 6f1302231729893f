"""Owns one call's stream on its way to the caller, across its attempts: what is written when, and how it ends.

    alive ... ─> begin (first content: the call is committed to the attempt) ─> forward ... ─┬─> finished
      ^                                                                                      └─> failed
      └── failed, and nothing was delivered: the next attempt ──────────────────────────────────────┘

Forbids itself: decoding a frame of a stream that goes well.
"""

from collections.abc import Awaitable

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import end_trailer
from antiphon_router.shell.call import Answer, Call, Context, Trailer
from antiphon_router.shell.failures import Wreck, after_content, answer_in, end_in, no_answer, placed
from antiphon_router.shell.roster import Running
from antiphon_router.shell.wire import Frame, Passed, attempts_frame, closing_frame, frame_of, is_numbered, last_word


class Relay:
    """The stream of one call. `committed`: the caller has content of the attempt that runs."""

    __slots__ = (
        "_announced",
        "_answer_bytes",
        "_call",
        "_context",
        "_decoded",
        "_first",
        "_first_content_s",
        "_last",
        "_request_bytes",
        "_running",
        "_writing",
        "committed",
    )
    _running: Running

    def __init__(self, call: Call, context: Context, request_bytes: int) -> None:
        self._call = call
        self._context = context
        self._request_bytes = request_bytes
        self._announced = 0
        self._writing = False
        self.committed = False

    def is_content(self, frame: bytes) -> bool:
        """Whether `frame` commits the call. Raises DecodeError for what is no frame."""
        return is_numbered(frame)

    async def alive(self, frame: bytes) -> None:
        """Pass on a sign of life that came before content. Of two attempts at once one may be left out."""
        if not self._writing:
            await self._write(frame)

    async def begin(self, running: Running, first: bytes) -> None:
        """The first content of the attempt that now runs alone."""
        running.succeeded()
        self._running = running
        self._first_content_s = running.elapsed_s()
        self._first = self._last = first
        self._answer_bytes = 0
        self._decoded: Frame | None = None
        await self._deliver(first)

    async def _deliver(self, first: bytes) -> None:
        self.committed = True
        await self._announce()
        await self._write(first)

    def forward(self, frame: bytes) -> Awaitable[None]:
        """Pass on a `frame` after the first."""
        if is_numbered(frame):
            self._answer_bytes += len(frame)
            self._last = frame
        return self._context.write(frame)

    async def _announce(self) -> None:
        attempts = self._call.attempts
        if len(attempts) > self._announced:
            news = list(attempts.values())[self._announced :]
            self._announced = len(attempts)
            await self._write(attempts_frame(news))

    async def _write(self, frame: bytes) -> None:
        self._writing = True
        if not self._call.headers_sent:
            self._call.headers_sent = True
            await self._context.send_initial_metadata(self._call.headers())
        await self._context.write(frame)
        self._writing = False

    async def finished(self, trailers: tuple[Trailer, ...]) -> Wreck | None:
        """The adapter ended well: sets the trailers. A wreck if it did so without having said everything."""
        end, self._running.headroom = answer_in(trailers)
        if not end and (last := self._last_frame()) is not None and last_word(last) is None:
            return no_answer(self._running.attempt)
        await self._complete(end)
        return None

    async def reconciled(self, wreck: Wreck) -> Wreck | None:
        """`wreck`, unless the adapter had said its last word before: then only its status was lost."""
        last = None if wreck.end else self._last_frame()
        end = None if last is None else last_word(last)
        if end is None:
            return wreck
        _, record = end_trailer(end)
        if end.HasField("error"):
            return Wreck(end.error, wreck.lost, record)
        await self._complete(record)
        return None

    async def _complete(self, end: bytes) -> None:
        self._context.set_trailing_metadata(self._call.served(self._running, end, self._first_content_s))

    async def failed(self, wreck: Wreck) -> None:
        """The attempt failed after its first content: returns if the call goes on, else raises Answer."""
        wreck = after_content(wreck)
        owed, record = self._owed(placed(wreck.error, self._running.attempt))
        if owed:
            await self._write(owed)
        wreck = Wreck(wreck.error, wreck.lost, wreck.end or record)
        self._call.broken(self._running, wreck, delivered_tools=True)
        raise self._call.answer_of(self._running.attempt)

    async def cut(self, error: error_pb2.CallError) -> bytes:
        """This router ends the call with `error` after content. The value of the trailer, empty if that is not owed."""
        owed, record = self._owed(error)
        if owed:
            await self._write(owed)
        return record

    def _owed(self, error: error_pb2.CallError) -> tuple[bytes, bytes]:
        """The frame with the `end` that the adapter owes, and its trailer's value; empty if it owes none."""
        last = self._last_frame()
        if last is None or last_word(last) is not None:
            return b"", b""
        passed = Passed(self._first, self._request_bytes, self._answer_bytes, self._call.elapsed_s())
        closing = closing_frame(last, error, passed)
        return closing.SerializeToString(), end_trailer(closing.events[0].end)[1]

    def _last_frame(self) -> Frame | None:
        if self._decoded is None:
            self._decoded = frame_of(self._last)
        return self._decoded

    def close(self) -> None:
        """The call is over, however it ended."""

    async def last_answer(self, answer: Answer) -> Answer:
        """What the caller is told where `answer` would end the call."""
        return answer


class TunnelRelay(Relay):
    """The same for messages without numbers and without `end`: the first one commits, and a cut is told by status."""

    __slots__ = ()

    def is_content(self, frame: bytes) -> bool:
        return True

    async def _announce(self) -> None:
        pass

    def forward(self, frame: bytes) -> Awaitable[None]:
        return self._context.write(frame)

    async def finished(self, trailers: tuple[Trailer, ...]) -> Wreck | None:
        await self._complete(end_in(trailers))
        return None

    async def reconciled(self, wreck: Wreck) -> Wreck | None:
        return wreck

    def _owed(self, error: error_pb2.CallError) -> tuple[bytes, bytes]:
        return b"", b""
