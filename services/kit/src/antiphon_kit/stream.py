"""Owns the one path from an adapter's events to a caller: a reader task, what waits in between, and its end.

    adapter ── batches ──> Reader task ──> FrameBuffer ── frames ──> writer (the RPC's own task)
                                      └──> FoldSink (unary)
            ── one response ─────────────> ResponseSink; bytes: see native_sinks

The reader stops reading when the buffer is full, so a slow caller slows the vendor's socket, not our memory. The
writer takes everything that waits as one frame: one batch at low load, more per frame the further it falls behind.
Only the reader task runs adapter code, and only this module cancels it: what cancels the writer's task is the RPC.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar, cast

from antiphon.llm.v1 import chat_pb2, error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error, reason_name
from antiphon_contract.fold import Fold
from antiphon_kit.deadlines import Limits, Watchdog
from antiphon_kit.provider import Batch, Job

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)

MAX_WAITING_BYTES: Final = 256 * 1024
CLOSE_LIMIT_S: Final = 1.0
_OWN: Final = frozenset(
    {
        Reason.ERROR_REASON_CANCELLED,
        Reason.ERROR_REASON_DEADLINE_EXCEEDED,
        Reason.ERROR_REASON_STREAM_INTERRUPTED,
    }
)


def _keepalive_frame() -> bytes:
    frame = chat_pb2.StreamGenerateResponse()
    frame.events.add().keepalive.SetInParent()
    return frame.SerializeToString()


KEEPALIVE_FRAME: Final = _keepalive_frame()


def interrupted(error: error_pb2.CallError) -> error_pb2.CallError:
    """What `error` is after content was delivered: STREAM_INTERRUPTED with the cause in native_type, native_code."""
    if error.reason in _OWN:
        return error
    cause = reason_name(error.reason)
    cut = call_error(
        Reason.ERROR_REASON_STREAM_INTERRUPTED,
        f"the answer was cut after content had been delivered: {error.message}",
        provider=error.provider,
        model=error.model,
        http_status=error.http_status,
        native_type=error.native_type or cause,
        native_code=error.native_code or cause,
        provider_request_id=error.provider_request_id,
        native_body=error.native_body,
    )
    if error.HasField("retry_delay"):
        cut.retry_delay.CopyFrom(error.retry_delay)
    cut.rate_limits.extend(error.rate_limits)
    return cut


class Witness(Protocol[Item_contra]):
    """Who watches what the reader read; a recorder."""

    progressed: bool
    """Whether the last item was progress."""

    @property
    def content_seen(self) -> bool:
        """The provider has begun to answer."""
        ...

    @property
    def complete(self) -> bool:
        """What came so far is a whole answer."""
        ...

    def observe(self, item: Item_contra) -> int:
        """Take note of `item`; returns its size in bytes."""
        ...


class Sink(Protocol[Item_contra]):
    """Where the reader puts what it read: batches of events, whole responses, or pieces of a body."""

    full: bool

    def put(self, item: Item_contra, size: int, *, content: bool) -> None:
        """Take an item of `size` bytes. `content`: the provider has begun to answer."""
        ...

    async def room(self) -> None:
        """Wait until no longer `full`."""
        ...

    def close(self) -> None:
        """The reader has ended."""
        ...


class WholeSink:
    """What sinks of unary calls share: they take everything, and one waits for the end."""

    full = False

    def __init__(self) -> None:
        self._closed = asyncio.get_running_loop().create_future()

    async def room(self) -> None:
        pass

    def close(self) -> None:
        resolve(self._closed)

    async def closed(self) -> None:
        """Wait for the end of the reader."""
        await self._closed


class FoldSink(WholeSink):
    """Folds batches into a whole answer, and keeps native data if the caller asked for it."""

    def __init__(self, *, keep_native: bool) -> None:
        super().__init__()
        self.fold = Fold()
        self.native: list[bytes] = []
        self._keep_native = keep_native

    def put(self, item: Batch, size: int, *, content: bool) -> None:
        self.fold.feed_events(item)
        if self._keep_native:
            self.native.extend(event.native for event in item if event.native)


class ResponseSink(WholeSink, Generic[Item]):
    """Takes the one response of a call whose adapter answers with a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.response: Item | None = None

    def put(self, item: Item, size: int, *, content: bool) -> None:
        self.response = item


class FrameBuffer:
    """Events between reader and writer, already in the frame they will leave in.

    Nothing leaves before content; start, usage and warnings wait for it. `keepalive_s`: silence after which the
    writer gets a keepalive frame; `delay_s`: how long events wait for company.
    """

    def __init__(self, *, keepalive_s: float, delay_s: float, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self.full = False
        self._frame = chat_pb2.StreamGenerateResponse(first_sequence=1)
        self._size = 0
        self._max_bytes = max_bytes
        self._content = False
        self._closed = False
        self._delay_s = delay_s
        self._keepalive_s = keepalive_s
        self._keepalive_due = False
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._lingering: asyncio.Future[None] | None = None
        self._last = time.monotonic()
        self._timer = self._loop.call_later(keepalive_s, self._silent)

    def put(self, item: Batch, size: int, *, content: bool) -> None:
        self._frame.events.extend(item)
        self._size += size
        self.full = self._size > self._max_bytes and content
        self._content = content
        if content:
            resolve(self._writer)
        if self.full:
            resolve(self._lingering)

    async def room(self) -> None:
        while self.full:
            self._reader = self._loop.create_future()
            await self._reader

    def close(self) -> None:
        self._closed = True
        self._timer.cancel()
        resolve(self._writer)
        resolve(self._lingering)

    async def next(self) -> bytes | None:
        """The next frame to write; None once the reader has ended, what is left then is in `rest()`."""
        while not self._closed:
            if self._content and self._frame.events:
                if self._delay_s and await self._linger():
                    continue
                return self.take()
            if self._keepalive_due:
                self._keepalive_due = False
                self._last = time.monotonic()
                return KEEPALIVE_FRAME
            self._writer = self._loop.create_future()
            await self._writer
        return None

    async def _linger(self) -> bool:
        """Wait for company; True when the reader has ended meanwhile, so that the end can go along."""
        if not self.full:
            self._lingering = self._loop.create_future()
            await asyncio.wait({self._lingering}, timeout=self._delay_s)
        return self._closed

    def take(self) -> bytes:
        """All waiting events as one frame."""
        data = self.rest().SerializeToString()
        self._last = time.monotonic()
        resolve(self._reader)
        return data

    def rest(self) -> chat_pb2.StreamGenerateResponse:
        """All waiting events; the caller may append the end to them. The next frame goes on after what is here now."""
        frame = self._frame
        self._frame = chat_pb2.StreamGenerateResponse(first_sequence=frame.first_sequence + len(frame.events))
        self._size = 0
        self.full = False
        return frame

    def _silent(self) -> None:
        left_s = self._last + self._keepalive_s - time.monotonic()
        if left_s <= 0.001:
            self._keepalive_due = True
            resolve(self._writer)
            left_s = self._keepalive_s
        self._timer = self._loop.call_later(left_s, self._silent)


def resolve(waiting: asyncio.Future[None] | None) -> None:
    """Wake who waits, if anyone does."""
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


class Reader(Generic[Item]):
    """Runs one adapter call in a task of its own into `sink`, for the body of an `async with`.

    `items` begins the call and gives its results. The reader is in `running` for as long as the task runs.
    """

    def __init__(
        self,
        items: Callable[[], AsyncIterator[Item]],
        job: Job[Any],
        witness: Witness[Item],
        sink: Sink[Item],
        *,
        provider: str,
        limits: Limits,
        running: "set[Reader[Any]]",
    ) -> None:
        self._items = items
        self._job = job
        self._witness = witness
        self._sink = sink
        self._provider = provider
        self._limits = limits
        self._running = running
        self._interruption: error_pb2.CallError | None = None

    async def __aenter__(self) -> Self:
        self._watchdog = Watchdog(self._limits, self._job.milestones, self.interrupt)
        self._task = asyncio.create_task(self._read())
        self._task.add_done_callback(self._ended)
        self._running.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.stop()
        if not self._task.done():
            self._task.cancel()
            # Bounded: an adapter that does not let go must not keep the caller's slot.
            await asyncio.wait({self._task}, timeout=CLOSE_LIMIT_S)

    def interrupt(self, error: error_pb2.CallError) -> None:
        """End the upstream call with `error`; without effect when it has ended or is ending already."""
        if self._interruption is None and not self._task.done():
            self._interruption = error
            self._task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(self)
        self._watchdog.stop()
        if not task.cancelled():
            task.exception()  # seen; an abandoned call has no one else to look at it
        self._sink.close()

    async def _read(self) -> None:
        try:
            await self._pump()
        finally:
            # Here and not only in `_ended`: the end is to share the frame of the last events.
            self._sink.close()

    async def _pump(self) -> None:
        witness, sink, watchdog = self._witness, self._sink, self._watchdog
        # The port's iterators are generators; closing them closes the upstream connection.
        items = cast("AsyncGenerator[Item, None]", self._items())
        async with contextlib.aclosing(items):
            async for item in items:
                if not item:
                    continue
                size = witness.observe(item)
                if witness.progressed and witness.content_seen:
                    watchdog.progressed()
                sink.put(item, size, content=witness.content_seen)
                if sink.full:
                    watchdog.pause()
                    await sink.room()
                    watchdog.resume()

    def error(self, unexpected: Callable[[BaseException], error_pb2.CallError]) -> error_pb2.CallError | None:
        """How the ended read failed; None if it did not. `unexpected` turns a bug's exception into an error."""
        task = self._task
        raised = None if task.cancelled() else task.exception()
        if raised is None and not task.cancelled() and self._witness.complete:
            return None
        if self._interruption is not None:
            error = self._interruption
        elif task.cancelled():
            error = call_error(
                Reason.ERROR_REASON_PROVIDER_ERROR, "the upstream call was cancelled inside the adapter; try again"
            )
        elif isinstance(raised, CallFailure):
            error = raised.error
        elif raised is not None:
            error = unexpected(raised)
        else:
            error = call_error(
                Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
                "the provider's answer ended without a finish reason; the answer may be cut",
                native_code="missing_finish_reason",
            )
        if not reason_name(error.reason).startswith("GATEWAY_"):
            error.provider = error.provider or self._provider
            error.model = error.model or self._job.model
        return error
