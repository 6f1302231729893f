"""Owns one call that is forwarded to a replica: request bytes and metadata out, answer bytes and trailers in.

It stands on the call object of gRPC itself. What grpc.aio puts around that (a task, two weak sets, two mappings of
metadata) is a seventh of what the router costs, and a call that only passes bytes on needs none of it: see
docs/adr/0012-calls-to-replicas-without-grpc-aio.md. Everything else of grpc.aio is used as it is.

Forbids itself: serialisers and interceptors.
"""

import asyncio
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, TypeVar, cast

import grpc
from grpc._cython.cygrpc import ExecuteBatchError

from antiphon_contract.errors import CODE_BY_NUMBER

Pairs = tuple[tuple[str, str | bytes], ...]

T = TypeVar("T")

_OK: Final = grpc.StatusCode.OK.value[0]
_CLOSED: Final = "the router no longer waits for it"


class ReplicaCall:
    """One call of `method` ("/package.Service/Method") by `channel`, for at most `timeout_s`.

    Either `unary`, or `begin` and then `async for` or `each`. Reading raises AioRpcError where the status is not OK,
    and CancelledError once the call was closed. Every call needs a `close`; its channel's own would not end it.
    `ended` is called once, by `close`.
    """

    __slots__ = ("_asyncio_future_blocking", "_call", "_ended", "add_done_callback", "get_loop")
    _asyncio_future_blocking: bool
    add_done_callback: Callable[..., None] | None
    get_loop: Callable[[], asyncio.AbstractEventLoop] | None

    def __init__(
        self,
        channel: grpc.aio.Channel,
        method: str,
        timeout_s: float,
        ended: Callable[[object], None] | None = None,
    ) -> None:
        self._call = cast("Any", channel)._channel.call(method.encode(), time.time() + timeout_s, None, None, 0)
        self._ended = ended

    async def unary(self, request: bytes, metadata: Pairs) -> tuple[bytes, Pairs]:
        """Send `request` and wait for the one message that answers it; with what came after that."""
        message = await self._whole(self._call.unary_unary(request, metadata))
        status = await self._call.status()
        if message is None:
            raise self._failure(status)
        return message, status.trailing_metadata() or ()

    async def begin(self, request: bytes, metadata: Pairs) -> None:
        """Send `request`, and wait until its answer has begun or failed, which reading will tell."""
        await self._whole(self._call.initiate_unary_stream(request, metadata))

    def __aiter__(self) -> "ReplicaCall":
        return self

    async def __anext__(self) -> bytes:
        message = await self._whole(self._call.receive_serialized_message())
        if message is not grpc.aio.EOF:
            return cast("bytes", message)
        await self._check()
        raise StopAsyncIteration

    async def each(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Have `take` take every message that is left, one after the other. Only what is `undisturbed` may do so."""
        receive, is_closed, end = self._call.receive_serialized_message, self._call.is_locally_cancelled, grpc.aio.EOF
        while (message := await receive()) is not end and not is_closed():
            await take(message)
        await self._check()

    async def undisturbed(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which reads this call, to its end: a cancel closes the call, which ends it, and is raised then.

        It runs in a task of its own, which costs less than to look after every operation of a long stream.
        """
        return cast("T", await self._whole(asyncio.create_task(work).__await__()))

    async def trailers(self) -> Pairs:
        """What came after the last message."""
        return cast("Pairs", (await self._call.status()).trailing_metadata() or ())

    def close(self) -> None:
        """Nothing of it is waited for any more; what still runs is cancelled. Idempotent."""
        if not self._call.done():
            self._call.cancel(_CLOSED)
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(self)

    async def _check(self) -> None:
        status = await self._call.status()
        if status.code() != _OK:
            raise self._failure(status)

    def _failure(self, status: Any) -> BaseException:
        if self._call.is_locally_cancelled():
            return asyncio.CancelledError()
        code, details = CODE_BY_NUMBER[status.code()], status.details()
        if code is grpc.StatusCode.OK:
            code, details = grpc.StatusCode.INTERNAL, "the answer to a unary call has no message"
        trailers = grpc.aio.Metadata.from_tuple(status.trailing_metadata() or ())
        return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details)

    @types.coroutine
    def _whole(self, operation: Any) -> Generator[Any, None, Any]:
        """`await operation` to its end whatever happens: a cancel closes the call, which ends it, and is raised then.

        What gRPC allocated for an operation it frees at the operation's end only, and a cancel would keep it from that.
        So a task is told to wait for this object, which is the awaited future in everything but `cancel`.
        """
        future, cancelled = None, None
        try:
            while True:
                future = operation.send(None)
                self._asyncio_future_blocking = True
                self.add_done_callback, self.get_loop = future.add_done_callback, future.get_loop
                try:
                    yield self
                except asyncio.CancelledError as error:
                    cancelled = error
                    _only_ended(future)
                except Exception:  # noqa: BLE001
                    # It is that of `future`; the operation will find it there.
                    _only_ended(future)
        except StopIteration as done:
            if cancelled is None:
                return done.value
            raise cancelled from None
        except Exception:
            if cancelled is None:
                raise
            raise cancelled from None
        finally:
            # What is raised holds on to this frame, which is to hold on to nothing that leads back to it.
            operation = future = cancelled = None
            self.add_done_callback = self.get_loop = None

    def cancel(self, msg: object = None) -> bool:
        """The task that waits is cancelled. False, nothing was: so it takes note and raises once the future is done."""
        self.close()
        return False


def _only_ended(future: "asyncio.Future[Any]") -> None:
    """Have the operation that waits for `future` go on where gRPC failed it, or it would not free what it allocated.

    grpc/grpc issue 43360 (2026-11-26). Nobody misses that error: nothing was received, and the status of the call says
    why. A task is not meant: its error is one of ours.
    """
    if not isinstance(future, asyncio.Task) and isinstance(future.exception(), ExecuteBatchError):
        future.__init__(loop=future.get_loop())  # type: ignore[misc]
        future.set_result(None)
