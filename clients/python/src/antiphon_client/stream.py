"""Owns a running stream: reads frames, checks their grammar, folds them, and says how it ended.

      frames()   raw messages
      async for  typed events       one of the three per stream; whatever is read is folded as well
      text()     visible text
      response() reads on to the end and gives the whole answer

Forbids itself: giving an answer that is not whole without raising.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final, Self, cast, get_args

import grpc

from antiphon.llm.v1 import chat_pb2, response_pb2
from antiphon_client import errors, events
from antiphon_client.answer import Answer, text_of
from antiphon_client.connection import Connection, router_end_of, trailers_of, unless_cancelled_by_peer
from antiphon_client.requests import AfterContent, Prepared
from antiphon_contract import metadata
from antiphon_contract.fold import Fold, StreamViolation

_NUMBERED_NEVER: Final = frozenset({"attempt", "keepalive", "restart"})
_UNNUMBERED: Final = _NUMBERED_NEVER | {None}
_FAILED: Final = (response_pb2.ResponseEnd.OUTCOME_FAILED, response_pb2.ResponseEnd.OUTCOME_CANCELLED)


class AsyncStream:
    """Use with `async with`: leaving it early cancels the call, at the provider too. Reading raises AntiphonError."""

    def __init__(
        self,
        connection: Connection,
        method: Callable[..., Any],
        prepared: Prepared[Any],
    ) -> None:
        self.request_id = prepared.route.request_id
        self.time_to_first_content_s: float | None = None
        self._connection = connection
        self._method = method
        self._prepared = prepared
        self._call: Any = None
        self._fold = Fold()
        self._pending: deque[events.Event] = deque()
        self._voided_text = ""
        self._router_end: response_pb2.RouterEnd | None = None
        self._failure: errors.AntiphonError | None = None
        self._started_at_s = 0.0
        self._duration_s: float | None = None

    async def __aenter__(self) -> Self:
        route = self._prepared.route
        self._started_at_s = time.monotonic()
        self._call = self._method(self._prepared.request, timeout=route.timeout_s, metadata=route.metadata)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def cancel(self) -> None:
        """End the call now. A reader that waits gets Cancelled; a finished stream does not mind."""
        if self._call is not None:
            self._call.cancel()

    async def frames(self) -> AsyncIterator[chat_pb2.StreamGenerateResponse]:
        """The raw frames, checked."""
        while (frame := await self._read()) is not None:
            yield frame

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> events.Event:
        while not self._pending:
            batch = await self.next_events()
            if batch is None:
                raise StopAsyncIteration
            self._pending.extend(batch)
        return self._pending.popleft()

    async def granted(self) -> AfterContent:
        """What the router does if the answer breaks after its first content: "fail" unless it granted what was asked
        for. Waits for the first sign of the answer; a call that fails before that has been granted nothing."""
        headers = dict(await self._call.initial_metadata() or ())
        word = headers.get(metadata.AFTER_CONTENT, "fail")
        return cast("AfterContent", word) if word in get_args(AfterContent) else "fail"

    async def text(self) -> AsyncIterator[str]:
        """Visible text of the first candidate as it comes.

        A plain text cannot be taken back: with after_content="restart" read events and heed Restarted.
        """
        self.check_text_is_final()
        async for event in self:
            if piece := delta_of(event):
                yield piece

    def check_text_is_final(self) -> None:
        """Raises ValueError when what was delivered may still be voided."""
        if self._prepared.route.after_content == "restart":
            raise ValueError('with after_content="restart" text may be taken back: read events, not text()')

    async def response(self) -> Answer:
        """The whole answer; reads what is left of the stream first."""
        while await self._read() is not None:
            pass
        assert self._duration_s is not None
        return Answer(
            response=self._fold.response(),
            request_id=self.request_id,
            attempts=tuple(self._router_end.attempts if self._router_end else self._fold.attempts),
            restarts=self._fold.restarts,
            duration_s=self._duration_s,
            time_to_first_content_s=self.time_to_first_content_s,
            router_end=self._router_end,
        )

    async def next_events(self) -> list[events.Event] | None:
        """The events of the next frame; None at the end. A failed `end` is not among them, it is raised."""
        frame = await self._read()
        if frame is None:
            return None
        decoded = [events.decode(event, self._voided_text) for event in frame.events]
        return [event for event in decoded if not (isinstance(event, events.Ended) and event.end.outcome in _FAILED)]

    async def _read(self) -> chat_pb2.StreamGenerateResponse | None:
        if self._call is None:
            raise RuntimeError("the stream is not open; use `async with`")
        if self._failure is not None:
            raise self._failure
        if self._duration_s is not None:
            return None
        try:
            frame = await unless_cancelled_by_peer(self._call.read(), self._prepared.route)
        except grpc.aio.AioRpcError as error:
            await self._ended_badly(error)
            return None
        except errors.Cancelled as error:
            raise self._failed(error) from None
        if frame is grpc.aio.EOF:
            await self._ended()
            return None
        assert isinstance(frame, chat_pb2.StreamGenerateResponse)
        self._take(frame)
        return frame

    def _take(self, frame: chat_pb2.StreamGenerateResponse) -> None:
        if frame.first_sequence and self.time_to_first_content_s is None:
            self.time_to_first_content_s = time.monotonic() - self._started_at_s
        try:
            _check_kinds(frame)
            if any(event.HasField("restart") for event in frame.events):
                self._voided_text = text_of(self._fold.response())
            self._fold.feed(frame)
            _check_count(self._fold)
        except StreamViolation as violation:
            self.cancel()
            message = f"{self._connection.address} sent a broken stream: {violation}"
            raise self._failed(_interrupted(errors.StreamMalformed, message)) from None

    async def _ended(self) -> None:
        trailers = trailers_of(await self._call.trailing_metadata())
        self._router_end = router_end_of(trailers)
        end = self._fold.end
        if end is None:
            message = f"{self._connection.address} ended the stream without its terminal record"
            raise self._failed(_interrupted(errors.StreamInterrupted, message))
        if end.outcome in _FAILED:
            raise self._failed(errors.from_call_error(end.error))
        self._duration_s = time.monotonic() - self._started_at_s

    async def _ended_badly(self, error: grpc.aio.AioRpcError) -> None:
        end = self._fold.end
        self._router_end = router_end_of(trailers_of(error.trailing_metadata()))
        if end is not None and end.outcome not in _FAILED:
            # The record says that the answer is whole; only the connection did not live to see it acknowledged.
            self._duration_s = time.monotonic() - self._started_at_s
            return
        if end is not None and end.HasField("error"):
            raise self._failed(errors.from_call_error(end.error)) from None
        after_content = self._fold.sequence > 0
        failure = await self._connection.failure(error, self._prepared.route, after_content=after_content)
        raise self._failed(failure) from None

    def _failed(self, failure: errors.AntiphonError) -> errors.AntiphonError:
        failure.request_id = self.request_id
        if self._fold.sequence:
            failure.response = self._fold.response()
        end = self._fold.end
        if failure.usage is None:
            failure.usage = end.usage if end is not None and end.HasField("usage") else self._fold.usage
        self._failure = failure
        return failure


def delta_of(event: events.Event) -> str:
    """What an event adds to the visible text of the first candidate."""
    if isinstance(event, events.TextDelta | events.PartStarted) and event.candidate_index == 0:
        return event.text
    return ""


def _check_kinds(frame: chat_pb2.StreamGenerateResponse) -> None:
    kinds = [event.WhichOneof("kind") for event in frame.events]
    if frame.first_sequence == 0:
        if not _UNNUMBERED.issuperset(kinds):
            raise StreamViolation("content in a frame without a sequence number")
    elif _NUMBERED_NEVER.intersection(kinds):
        raise StreamViolation("an attempt, keepalive or restart in a numbered frame")
    elif frame.first_sequence == 1 and kinds[:1] not in (["start"], ["end"]):
        raise StreamViolation("the first event is not `start`")


def _check_count(fold: Fold) -> None:
    if fold.end is not None and fold.end.event_count not in (0, fold.sequence):
        raise StreamViolation(f"`end` counts {fold.end.event_count} events, {fold.sequence} came")


def _interrupted(kind: type[errors.StreamInterrupted], message: str) -> errors.StreamInterrupted:
    return kind(message, reason="STREAM_INTERRUPTED", code=grpc.StatusCode.UNAVAILABLE)
