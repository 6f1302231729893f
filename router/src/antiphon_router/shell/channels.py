"""Owns the connections to replicas: one channel each, its calls, and the streams that watch its health and its keys.

    named ── Watch ──> SERVING / NOT_SERVING, as told ── lost ──> unreachable ── 0.1 s, doubled to 2 s ──> Watch

Forbids itself: serializers (bytes in, bytes out) and retries (only the failover of a call repeats anything).
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self, cast

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import Reason, call_error
from antiphon_contract.rotating_channel import RotatingChannel
from antiphon_contract.tls import LOOK_EVERY_S, LivePems, explanation
from antiphon_kit.channel_options import ROUTER_TO_PROVIDER
from antiphon_router.core.values import Replica, TargetKey
from antiphon_router.shell.key_watch import KeyWatch
from antiphon_router.shell.replica_call import ReplicaCall
from antiphon_router.shell.roster import Roster

UnaryCall = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
StreamCall = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]

WATCH: Final = "/grpc.health.v1.Health/Watch"
FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 2.0
UNWATCHED_S: Final = 60.0
_WHOLE_PROCESS: Final = health_pb2.HealthCheckRequest().SerializeToString()


class Link:
    """The channel to one replica. `call` begins a call that is forwarded; `unary` and `stream` are for its own.

    `live`: the certificate to show; None: plaintext.
    """

    def __init__(self, replica: Replica, live: LivePems | None = None) -> None:
        self.replica = replica
        self._rotating = None if live is None else RotatingChannel(replica.address, live, ROUTER_TO_PROVIDER)
        self._channel = self._rotating or grpc.aio.insecure_channel(replica.address, options=ROUTER_TO_PROVIDER)
        self._moves = 0
        self._unary: dict[str, UnaryCall] = {}
        self._stream: dict[str, StreamCall] = {}
        self._watching: tuple[asyncio.Task[None], ...] = ()
        self._keys: KeyWatch | None = None
        self.backends = 0
        """How many backends name this replica. 0: it is leaving."""

    def unary(self, method: str) -> UnaryCall:
        """Calls `method` ("/package.Service/Method") with one message each way."""
        call = self._unary.get(method)
        if call is None:
            call = self._unary[method] = self._channel.unary_unary(method)
        return call

    def stream(self, method: str) -> StreamCall:
        """Calls `method` for a stream of answers."""
        call = self._stream.get(method)
        if call is None:
            call = self._stream[method] = self._channel.unary_stream(method)
        return call

    def call(self, method: str, timeout_s: float) -> ReplicaCall:
        """A call of `method` that is forwarded."""
        if self._rotating is not None:
            channel, ended = self._rotating.take()
            return ReplicaCall(channel, method, timeout_s, ended)
        return ReplicaCall(cast("grpc.aio.Channel", self._channel), method, timeout_s)

    async def watch(self, roster: Roster) -> None:
        """Follow the health stream for ever; ends by cancellation only."""
        retry_s = FIRST_RETRY_S
        while True:
            call = self.stream(WATCH)(_WHOLE_PROCESS)
            error = None
            try:
                async for told in call:
                    retry_s = FIRST_RETRY_S
                    status = health_pb2.HealthCheckResponse.FromString(told).status
                    if status == health_pb2.HealthCheckResponse.SERVING:
                        roster.serving(self.replica)
                    else:
                        roster.not_serving(self.replica)
            except grpc.aio.AioRpcError as raised:
                error = raised
            except DecodeError:
                pass  # whatever answers there, it is no health service
            finally:
                call.cancel()
            if error is not None and error.code() is grpc.StatusCode.UNIMPLEMENTED:
                # It has no health service; its calls will tell.
                roster.serving(self.replica)
                await asyncio.sleep(UNWATCHED_S)
                continue
            roster.unreachable(self.replica, retry_s, self._lost(error))
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    def watch_for(self, roster: Roster) -> None:
        """Begin to watch, in a task that `unwatch` or `close` ends."""
        if self._keys is None:
            # Kept when the stream is opened anew: a restarted process with another key is news.
            self._keys = KeyWatch(lambda: roster.keys_changed(self.replica))
        self._watching = (
            asyncio.create_task(self.watch(roster), name=f"watch {self.replica.address}"),
            asyncio.create_task(self._keys.run(self.stream), name=f"keys of {self.replica.address}"),
        )

    async def unwatch(self) -> None:
        """Stop watching."""
        watching, self._watching = self._watching, ()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    async def look(self, roster: Roster) -> None:
        """Show the certificate of now. The health stream moves too: until it did, the old connection could not end."""
        if self._rotating is None:
            return
        self._rotating.look()
        if self._rotating.moves != self._moves:
            self._moves = self._rotating.moves
            if self._watching:
                await self.unwatch()
                self.watch_for(roster)

    async def close(self) -> None:
        """Stop watching and close the channel. Forwarded calls that still run are their owner's to close."""
        await self.unwatch()
        await self._channel.close(None)

    def _lost(self, error: grpc.aio.AioRpcError | None) -> error_pb2.CallError:
        status = "OK" if error is None else error.code().name
        why = error is not None and explanation(error.details() or "", secure=self._rotating is not None)
        return call_error(
            Reason.ERROR_REASON_UPSTREAM_UNREACHABLE,
            f"the health stream of replica {self.replica.address} ended with {status}; "
            f"{why or 'start the service or mend its address'}",
        )


class Links:
    """All links, for the body of an `async with`. Backends may share a replica; one that none names any more leaves.

    `live`: the certificate that they show, whatever it is at the time; None: plaintext.
    """

    def __init__(self, roster: Roster, live: LivePems | None = None) -> None:
        self._roster = roster
        self._live = live
        self._links: dict[TargetKey, Link] = {}
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._live is not None:
            self._looking = asyncio.create_task(self._look(), name="certificates of links")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        for link in self._links.values():
            await link.close()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for link in tuple(self._links.values()):
                await link.look(self._roster)

    def __getitem__(self, key: TargetKey) -> Link:
        return self._links[key]

    def open(self, replica: Replica) -> None:
        """Connect to `replica` and watch it."""
        link = self._links.get(replica.key)
        if link is None:
            link = self._links[replica.key] = Link(replica, self._live)
        elif not link.backends:
            self._roster.detach(link.replica)
            self._roster.readmit(replica)
            link.replica = replica
        self._roster.add(replica)
        link.backends += 1
        if link.backends == 1:
            link.watch_for(self._roster)

    async def leave(self, replica: Replica) -> None:
        """Let `replica` finish what it does; it gets nothing new."""
        link = self._links[replica.key]
        link.backends -= 1
        if link.backends:
            self._roster.detach(replica)
            return
        link.replica = replica
        self._roster.remove(replica)
        await link.unwatch()

    async def sweep(self) -> None:
        """Close the links of replicas that left and have nothing left to do."""
        for link in [link for link in self._links.values() if not link.backends and self._roster.is_idle(link.replica)]:
            del self._links[link.replica.key]
            self._roster.forget(link.replica)
            await link.close()
