"""Owns streams whose caller asked for `restart`: a failure after content may be answered by a whole new attempt.

    content ─> failed ─> its `end` is held back, `attempt` is told ─┬─> first content of another: `restart`, then that
                                                                    └─> no other got so far: the held `end`, its status

Forbids itself: a restart once anything but text was delivered. To know that, it decodes what it passes on.
"""

from typing import NamedTuple

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_contract.errors import end_trailer
from antiphon_router.core.failover import Attempt
from antiphon_router.shell.call import Answer, Call, Context, Trailer
from antiphon_router.shell.failures import Wreck, after_content, placed
from antiphon_router.shell.relay import Relay
from antiphon_router.shell.roster import Running
from antiphon_router.shell.wire import Frame, frame_of, is_numbered, last_word, only_text, restart_frame


class _Void(NamedTuple):
    """What a caller has of an attempt that failed, until another one takes its place."""

    attempt: Attempt
    reason: error_pb2.ErrorReason
    end: bytes
    """The frame that was held back."""

    def restart(self, following: Attempt) -> bytes:
        events = Frame.FromString(self.end).first_sequence - 1
        return restart_frame(
            response_pb2.Restart(
                voided_attempt=self.attempt.number,
                next_attempt=following.number,
                voided_events=events,
                reason=self.reason,
            )
        )


class RestartRelay(Relay):
    """A stream that may begin anew."""

    __slots__ = ("_end", "_only_text", "_void")

    def __init__(self, call: Call, context: Context, request_bytes: int) -> None:
        super().__init__(call, context, request_bytes)
        self._void: _Void | None = None

    async def begin(self, running: Running, first: bytes) -> None:
        self._end = b""
        decoded = frame_of(first)
        self._only_text = decoded is not None and only_text(decoded)
        await super().begin(running, first)

    async def _deliver(self, first: bytes) -> None:
        if self._void is not None:
            await self._announce()
            restart, self._void = self._void.restart(self._running.attempt), None
            self._call.restarts += 1
            await self._write(restart)
        await super()._deliver(first)

    async def forward(self, frame: bytes) -> None:
        if self._only_text and is_numbered(frame):
            decoded = frame_of(frame)
            if decoded is not None and _is_failure(decoded):
                self._end = self._last = frame
                return
            self._only_text = decoded is not None and only_text(decoded)
        await super().forward(frame)

    async def finished(self, trailers: tuple[Trailer, ...]) -> Wreck | None:
        if self._end:
            # It said that it failed and closed its stream as if it had not.
            await self._write(self._end)
        return await super().finished(trailers)

    async def failed(self, wreck: Wreck) -> None:
        wreck = after_content(wreck)
        attempt = self._running.attempt
        owed, record = self._owed(placed(wreck.error, attempt))
        wreck = Wreck(wreck.error, wreck.lost, wreck.end or record)
        # Without an `end` to hold back there is nothing to return to.
        unsafe = not (owed and self._only_text)
        if self._call.broken(self._running, wreck, delivered_tools=unsafe):
            self._void = _Void(attempt, wreck.error.reason, owed)
            await self._announce()
            return
        if owed:
            await self._write(owed)
        raise self._call.answer_of(attempt)

    def _owed(self, error: error_pb2.CallError) -> tuple[bytes, bytes]:
        if self._end:
            return self._end, end_trailer(Frame.FromString(self._end).events[0].end)[1]
        return super()._owed(error)

    async def cut(self, error: error_pb2.CallError) -> bytes:
        # What is void was ended before: `last_answer` says so.
        return b"" if self._void is not None else await super().cut(error)

    async def last_answer(self, answer: Answer) -> Answer:
        if self._void is None:
            return answer
        void, self._void = self._void, None
        await self._announce()
        await self._write(void.end)
        return self._call.answer_of(void.attempt)


def _is_failure(frame: Frame) -> bool:
    """Whether `frame` is the `end` of a failed attempt, which stands alone."""
    end = last_word(frame)
    return end is not None and end.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED and len(frame.events) == 1
