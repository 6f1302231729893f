"""Owns what waits between a vendor's body and the caller of the tunnel: all of it, or the next message.

`curable`: a head that another backend may do better than is raised as a failure, because a router can still ask one.
"""

import asyncio
from typing import Final

from antiphon.llm.v1 import native_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.channel_options import MAX_MESSAGE_BYTES, MIB
from antiphon_kit.native_rules import returned
from antiphon_kit.provider import NativeHead, NativePiece
from antiphon_kit.stream import MAX_WAITING_BYTES, WholeSink, resolve

MAX_BODY_BYTES: Final = MAX_MESSAGE_BYTES - MIB
"""The rest is for headers and framing."""


def _check(head: NativeHead, *, curable: bool) -> None:
    if curable and head.error is not None and head.error.retry_other_backend:
        raise CallFailure(head.error)


class BodySink(WholeSink):
    """The whole answer."""

    def __init__(self, *, curable: bool, max_bytes: int = MAX_BODY_BYTES) -> None:
        super().__init__()
        self._curable = curable
        self._max_bytes = max_bytes
        self._head = NativeHead(0)
        self._pieces: list[bytes] = []
        self._size = 0

    def put(self, item: NativePiece, size: int, *, content: bool) -> None:
        if isinstance(item, NativeHead):
            _check(item, curable=self._curable)
            self._head = item
            return
        self._pieces.append(item)
        self._size += size
        if self._size > self._max_bytes:
            error = call_error(
                Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
                f"the answer is longer than {self._max_bytes} bytes, too long for one message; use StreamNative",
            )
            # It would be as long anywhere.
            error.retry_same_backend = error.retry_other_backend = False
            raise CallFailure(error)

    def response(self) -> native_pb2.CallNativeResponse:
        """What was collected."""
        return native_pb2.CallNativeResponse(
            http_status=self._head.status, headers=returned(self._head.headers), body=b"".join(self._pieces)
        )


class BodyBuffer:
    """The next message of a streamed answer. The head waits for the body: before that, another backend may be asked."""

    def __init__(self, *, curable: bool, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self.full = False
        self._curable = curable
        self._max_bytes = max_bytes
        self._message = native_pb2.StreamNativeResponse()
        self._pieces: list[bytes] = []
        self._size = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[None] | None = None

    def put(self, item: NativePiece, size: int, *, content: bool) -> None:
        if isinstance(item, NativeHead):
            _check(item, curable=self._curable)
            self._message.http_status = item.status
            self._message.headers.extend(returned(item.headers))
            return
        self._pieces.append(item)
        self._size += size
        self.full = self._size > self._max_bytes
        resolve(self._writer)

    async def room(self) -> None:
        while self.full:
            self._reader = self._loop.create_future()
            await self._reader

    def close(self) -> None:
        self._closed = True
        resolve(self._writer)

    async def next(self) -> bytes | None:
        """The next message; None once the reader has ended, what is left then is in `rest()`."""
        while not self._closed:
            if self._pieces:
                return self.rest()
            self._writer = self._loop.create_future()
            await self._writer
        return None

    def rest(self) -> bytes:
        """What waits, as one message; empty if nothing does."""
        message, self._message = self._message, native_pb2.StreamNativeResponse()
        message.body = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self.full = False
        resolve(self._reader)
        return message.SerializeToString()
