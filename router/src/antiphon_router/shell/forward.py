"""Owns the forwarding of calls to replicas: bytes in, bytes out, and failover until the first content.

    unary:  request ─> attempt ─> response, forwarded as received
    stream: request ─> attempt ─> keepalives ─> first numbered frame = commit ─> frames as received ─> status
                          ^────── failed before that                              └─ died without `end`: one is added
    tunnel: request ─> attempt ─> first message = commit ─> messages as received ─> status; nothing is ever added

Forbids itself: decoding a message of a call that goes well; a second voice after the first content.
"""

import asyncio
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import end_trailer
from antiphon_router.shell.call import Answer, Call, Context, Trailer
from antiphon_router.shell.channels import Links
from antiphon_router.shell.failures import Wreck, after_content, draining, end_in, no_answer, placed, wreck_of
from antiphon_router.shell.roster import Running
from antiphon_router.shell.wire import Passed, attempts_frame, closing_frame, is_numbered, last_word

NOTHING: Final = b""
"""What a handler of a stream returns; gRPC ignores it."""


class Forwarder:
    """Forwards calls over links."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._rpcs: set[grpc.aio.Call] = set()
        self._cut = False

    def cut(self) -> None:
        """End what still runs with a typed error: this router stops."""
        self._cut = True
        for rpc in tuple(self._rpcs):
            rpc.cancel()

    async def unary(self, call: Call, request: bytes, context: Context) -> bytes:
        """Forward a call with one message each way. Raises Answer for any other end than an answer."""
        while True:
            running = call.begin()
            attempt = running.attempt
            try:
                await _waited(running)
                rpc = self._links[attempt.replica.key].unary(call.method)(
                    request, timeout=call.left_s(), metadata=call.outgoing(attempt)
                )
                self._rpcs.add(rpc)
                try:
                    response = await rpc
                    trailers = await rpc.trailing_metadata()
                finally:
                    self._ended(rpc)
                running.succeeded()
                context.set_trailing_metadata(call.served(attempt, end_in(trailers)))
                return response  # noqa: TRY300 - what is closed is closed in `finally`
            except grpc.aio.AioRpcError as raised:
                call.attempt_failed(running, wreck_of(raised, attempt))
            except asyncio.CancelledError:
                self._raise_cut(call, running)
                raise
            finally:
                call.close_attempt(running)

    async def tunnel(self, call: Call, request: bytes, context: Context) -> bytes:
        """Forward a call that is answered by a vendor's own bytes. Raises Answer for any other end than their end."""
        return await self.stream(call, request, context, _TunnelRelay)

    async def stream(
        self, call: Call, request: bytes, context: Context, relay_kind: "type[_Relay] | None" = None
    ) -> bytes:
        """Forward a call that is answered by a stream. Raises Answer for any other end than a whole stream."""
        while True:
            running = call.begin()
            relay = (relay_kind or _Relay)(call, running, context, len(request))
            try:
                wreck = await self._relayed(call, running, request, relay)
                if wreck is not None:
                    wreck = relay.reconciled(wreck)
                if wreck is None:
                    return NOTHING
                await relay.failed(wreck)
            except asyncio.CancelledError:
                await self._end_cut(call, running, relay)
                raise
            finally:
                call.close_attempt(running)

    async def _relayed(self, call: Call, running: Running, request: bytes, relay: "_Relay") -> Wreck | None:
        attempt = running.attempt
        try:
            await _waited(running)
            rpc = self._links[attempt.replica.key].stream(call.method)(
                request, timeout=call.left_s(), metadata=call.outgoing(attempt)
            )
            self._rpcs.add(rpc)
            try:
                async for frame in rpc:
                    await relay.forward(frame)
                return relay.finished(tuple(await rpc.trailing_metadata()))
            finally:
                self._ended(rpc)
        except grpc.aio.AioRpcError as raised:
            return wreck_of(raised, attempt)
        except DecodeError:
            return no_answer(attempt)

    def _ended(self, rpc: grpc.aio.Call) -> None:
        """Whatever happens to the caller's RPC, the replica's ends with it."""
        self._rpcs.discard(rpc)
        rpc.cancel()

    def _raise_cut(self, call: Call, running: Running, *, committed: bool = False, end: bytes = b"") -> None:
        """Raises Answer if it was this router that cut the call, and not the caller who left."""
        if self._cut and not is_cancelled():
            error = placed(draining(committed=committed), running.attempt)
            raise Answer(call.status(error, end=end, final=running.attempt))

    async def _end_cut(self, call: Call, running: Running, relay: "_Relay") -> None:
        end = b""
        if self._cut and not is_cancelled() and relay.last is not None:
            end = await relay.close(placed(draining(committed=True), running.attempt))
        self._raise_cut(call, running, committed=relay.last is not None, end=end)


class _Relay:
    """One attempt's stream on its way to the caller. `last`: the numbered frame forwarded last; None: not committed."""

    __slots__ = (
        "_answer_bytes",
        "_call",
        "_context",
        "_first",
        "_first_content_s",
        "_request_bytes",
        "_running",
        "last",
    )

    def __init__(self, call: Call, running: Running, context: Context, request_bytes: int) -> None:
        self._call = call
        self._running = running
        self._context = context
        self._request_bytes = request_bytes
        self._answer_bytes = 0
        self._first = b""
        self._first_content_s = 0.0
        self.last: bytes | None = None

    async def forward(self, frame: bytes) -> None:
        """Pass `frame` on. The first numbered one commits the call to this attempt."""
        if is_numbered(frame):
            if self.last is None:
                await self._commit()
                self._first = frame
            else:
                self._answer_bytes += len(frame)
            self.last = frame
        await self._write(frame)

    async def _write(self, frame: bytes) -> None:
        if not self._call.headers_sent:
            self._call.headers_sent = True
            await self._context.send_initial_metadata(self._call.headers())
        await self._context.write(frame)

    async def _commit(self) -> None:
        self._running.succeeded()
        self._first_content_s = self._running.elapsed_s()
        if self._call.attempts:
            await self._write(attempts_frame(self._call.attempts))

    def finished(self, trailers: tuple[Trailer, ...]) -> Wreck | None:
        """The adapter ended well: sets the trailers. A wreck if it did so without having said everything."""
        end = end_in(trailers)
        attempt = self._running.attempt
        if self.last is None or (not end and closing_frame(self.last, no_answer(attempt).error) is not None):
            return no_answer(attempt)
        self._context.set_trailing_metadata(self._call.served(attempt, end, self._first_content_s))
        return None

    def reconciled(self, wreck: Wreck) -> Wreck | None:
        """`wreck`, unless the adapter had said its last word before: then only its status was lost."""
        end = None if wreck.end or self.last is None else last_word(self.last)
        if end is None:
            return wreck
        _, record = end_trailer(end)
        if end.HasField("error"):
            return Wreck(end.error, wreck.lost, record)
        self._context.set_trailing_metadata(self._call.served(self._running.attempt, record, self._first_content_s))
        return None

    async def failed(self, wreck: Wreck) -> None:
        """The attempt failed: returns if the call goes on, else raises Answer."""
        if self.last is None:
            self._call.attempt_failed(self._running, wreck)
            return
        wreck = after_content(wreck)
        end = await self.close(placed(wreck.error, self._running.attempt))
        self._call.attempt_failed(self._running, Wreck(wreck.error, wreck.lost, wreck.end or end), committed=True)

    async def close(self, error: error_pb2.CallError) -> bytes:
        """Add the `end` that the adapter owes, if it does; returns it as a trailer's value, empty if it owed none."""
        assert self.last is not None
        passed = Passed(self._first, self._request_bytes, self._answer_bytes, self._call.elapsed_s())
        closing = closing_frame(self.last, error, passed)
        if closing is None:
            return b""
        await self._write(closing.SerializeToString())
        return end_trailer(closing.events[0].end)[1]


class _TunnelRelay(_Relay):
    """The same for messages without numbers and without `end`: the first one commits, and a cut is told by status."""

    __slots__ = ()

    async def forward(self, frame: bytes) -> None:
        if self.last is None:
            self._running.succeeded()
            self._first_content_s = self._running.elapsed_s()
        self.last = frame
        await self._write(frame)

    def finished(self, trailers: tuple[Trailer, ...]) -> Wreck | None:
        attempt = self._running.attempt
        if self.last is None:
            return no_answer(attempt)
        self._context.set_trailing_metadata(self._call.served(attempt, end_in(trailers), self._first_content_s))
        return None

    def reconciled(self, wreck: Wreck) -> Wreck | None:
        return wreck

    async def close(self, error: error_pb2.CallError) -> bytes:
        return b""


async def _waited(running: Running) -> None:
    if running.attempt.wait_s:
        await asyncio.sleep(running.attempt.wait_s)


def is_cancelled() -> bool:
    """Whether the caller's RPC was cancelled, which is what cancels its task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
