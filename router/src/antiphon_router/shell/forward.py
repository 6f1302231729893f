"""Owns the forwarding of calls to replicas: bytes in, bytes out, and failover until the first content.

    unary:  request ─> attempt ─> response, forwarded as received
    stream: request ─> attempt ─> keepalives ─> first content = commit ─> frames as received ─> status
                          ^────── failed before that                        └─ failed after it: see relay.py
    tunnel: the same for a vendor's own messages

Forbids itself: decoding a message of a call that goes well; a second voice after the first content.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple, TypeVar

import grpc
from google.protobuf.message import DecodeError

from antiphon.llm.v1 import error_pb2
from antiphon_router.core.values import DEFAULT_POLICY, AfterContent
from antiphon_router.shell.alarms import Alarms
from antiphon_router.shell.call import Answer, Call, Context
from antiphon_router.shell.channels import Links
from antiphon_router.shell.failures import Wreck, answer_in, draining, no_answer, placed, wreck_of
from antiphon_router.shell.hedge import Open, limited, raced
from antiphon_router.shell.hold import Hold, HoldRelay
from antiphon_router.shell.relay import Relay, TunnelRelay
from antiphon_router.shell.replica_call import ReplicaCall
from antiphon_router.shell.restart import RestartRelay
from antiphon_router.shell.roster import Running
from antiphon_router.shell.shadow import Shadows

_NOT_YET: Final = Wreck(error_pb2.CallError())
NOTHING: Final = b""
"""What a handler returns where there is no message; gRPC ignores it."""

T = TypeVar("T")


class _Whole(NamedTuple):
    """A unary answer."""

    response: bytes
    end: bytes
    """The adapter's record as received."""


class _Begun(NamedTuple):
    """A stream with its first content."""

    rpc: ReplicaCall
    first: bytes


class Forwarder:
    """Forwards calls over links."""

    def __init__(self, links: Links, shadows: Shadows, hold: Hold) -> None:
        self._links = links
        self._shadows = shadows
        self._hold = hold
        self._alarms = Alarms()
        self._rpcs: set[ReplicaCall] = set()
        self._cut = False

    @property
    def open_rpcs(self) -> int:
        """Calls to replicas that have not ended."""
        return len(self._rpcs)

    def cut(self) -> None:
        """End what still runs with a typed error: this router stops."""
        self._cut = True
        for rpc in tuple(self._rpcs):
            rpc.close()

    async def unary(self, call: Call, request: bytes, context: Context) -> bytes:
        """Forward a call with one message each way. Raises Answer for any other end than an answer."""
        while True:
            running = call.begin()
            try:
                if call.policy is DEFAULT_POLICY:
                    whole = await self._answered(call, request, running)
                else:
                    open_: Open[_Whole] = partial(self._answered, call, request)
                    running, whole = await self._by_policy(call, request, running, open_, _let_go)
                if isinstance(whole, Wreck):
                    call.attempt_failed(running, whole)
                    continue
                running.succeeded()
                context.set_trailing_metadata(call.served(running, whole.end))
                return whole.response  # noqa: TRY300 - what is closed is closed in `finally`
            except asyncio.CancelledError:
                self._raise_cut(call, running)
                raise
            finally:
                call.close_attempt(running)

    async def tunnel(self, call: Call, request: bytes, context: Context) -> bytes:
        """Forward a call that is answered by a vendor's own bytes. Raises Answer for any other end than their end."""
        return await self._streamed(call, request, TunnelRelay(call, context, len(request)))

    async def stream(self, call: Call, request: bytes, context: Context) -> bytes:
        """Forward a call that is answered by a stream. Raises Answer for any other end than a whole stream."""
        size = len(request)
        if call.after_content is AfterContent.FAIL:
            return await self._streamed(call, request, Relay(call, context, size))
        if call.after_content is AfterContent.RESTART:
            return await self._streamed(call, request, RestartRelay(call, context, size))
        relay = HoldRelay(call, context, size, self._hold)
        try:
            return await self._streamed(call, request, relay)
        finally:
            relay.close()

    async def _streamed(self, call: Call, request: bytes, relay: Relay) -> bytes:
        try:
            while not await self._attempted(call, request, relay):
                pass
        except Answer as answer:
            raise await relay.last_answer(answer) from None
        return NOTHING

    async def _attempted(self, call: Call, request: bytes, relay: Relay) -> bool:
        """One attempt, or two at once. True if the stream is whole; raises Answer if the call is over without that."""
        running = call.begin()
        begun: _Begun | Wreck = _NOT_YET
        try:
            if call.policy is DEFAULT_POLICY:
                begun = await self._begun(call, request, relay, running)
            else:
                open_: Open[_Begun] = partial(self._begun, call, request, relay)
                if call.policy.first_content_timeout_s is not None:
                    open_ = partial(limited, open_, call.policy.first_content_timeout_s)
                running, begun = await self._by_policy(call, request, running, open_, self._drop)
            if isinstance(begun, Wreck):
                call.attempt_failed(running, begun)
                return False
            wreck = await begun.rpc.undisturbed(_passed_on(begun, relay, running))
            if wreck is not None:
                await relay.failed(wreck)
        except asyncio.CancelledError:
            await self._end_cut(call, running, relay)
            raise
        else:
            return wreck is None
        finally:
            self._drop(begun)
            call.close_attempt(running)

    def _by_policy(
        self, call: Call, request: bytes, running: Running, open_: Open[T], drop: Callable[[T | Wreck], None]
    ) -> Awaitable[tuple[Running, T | Wreck]]:
        if running.attempt.number == 1:
            self._shadows.copy(call, request)
        return raced(call, running, open_, drop, request=request, alarms=self._alarms)

    async def _answered(self, call: Call, request: bytes, running: Running) -> _Whole | Wreck:
        attempt = running.attempt
        try:
            if attempt.wait_s:
                await asyncio.sleep(attempt.wait_s)
            rpc = self._links[attempt.replica.key].call(call.method, call.left_s())
            self._rpcs.add(rpc)
            try:
                response, trailers = await rpc.unary(request, call.outgoing(running))
                end, running.headroom = answer_in(trailers)
                return _Whole(response, end)
            finally:
                self._ended(rpc)
        except grpc.aio.AioRpcError as raised:
            return wreck_of(raised, attempt)

    async def _begun(self, call: Call, request: bytes, relay: Relay, running: Running) -> _Begun | Wreck:
        attempt = running.attempt
        begun = rpc = None
        try:
            if attempt.wait_s:
                await asyncio.sleep(attempt.wait_s)
            rpc = self._links[attempt.replica.key].call(call.method, call.left_s())
            self._rpcs.add(rpc)
            await rpc.begin(request, call.outgoing(running))
            async for frame in rpc:
                if relay.is_content(frame):
                    begun = _Begun(rpc, frame)
                    return begun
                await relay.alive(frame)
            return no_answer(attempt)
        except grpc.aio.AioRpcError as raised:
            return wreck_of(raised, attempt)
        except DecodeError:
            return no_answer(attempt)
        finally:
            if rpc is not None and begun is None:
                self._ended(rpc)

    def _drop(self, begun: _Begun | Wreck) -> None:
        if isinstance(begun, _Begun):
            self._ended(begun.rpc)

    def _ended(self, rpc: ReplicaCall) -> None:
        """Whatever happens to the caller's RPC, the replica's ends with it."""
        self._rpcs.discard(rpc)
        rpc.close()

    def _raise_cut(self, call: Call, running: Running, *, committed: bool = False, end: bytes = b"") -> None:
        """Raises Answer if it was this router that cut the call, and not the caller who left."""
        if self._cut and not is_cancelled():
            error = placed(draining(committed=committed), running.attempt)
            raise Answer(call.status(error, end=end, final=running.attempt))

    async def _end_cut(self, call: Call, running: Running, relay: Relay) -> None:
        end = b""
        if self._cut and not is_cancelled() and relay.committed:
            end = await relay.cut(placed(draining(committed=True), running.attempt))
        self._raise_cut(call, running, committed=relay.committed, end=end)


async def _passed_on(begun: _Begun, relay: Relay, running: Running) -> Wreck | None:
    """Pass on the first content and what follows it; how it failed, if it did."""
    await relay.begin(running, begun.first)
    try:
        await begun.rpc.each(relay.forward)
        return await relay.finished(await begun.rpc.trailers())
    except grpc.aio.AioRpcError as raised:
        return await relay.reconciled(wreck_of(raised, running.attempt))
    except DecodeError:
        return await relay.reconciled(no_answer(running.attempt))


def _let_go(_: _Whole | Wreck) -> None:
    """Nothing holds on to a unary call that ended."""


def is_cancelled() -> bool:
    """Whether the caller's RPC was cancelled, which is what cancels its task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
