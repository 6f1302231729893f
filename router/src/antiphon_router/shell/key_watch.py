"""Owns what the router learns of provider keys: that a replica has another one now, so that a refusal is void.

Forbids itself: keeping anything of a key but what tells two of them apart.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from antiphon.router.v1 import keys_pb2

WATCH: Final = f"/{keys_pb2.DESCRIPTOR.services_by_name['KeyUseService'].full_name}/WatchKeyUse"
RETRY_S: Final = 2.0
_REQUEST: Final = keys_pb2.WatchKeyUseRequest().SerializeToString()
_USABLE: Final = frozenset(
    {keys_pb2.KEY_STATUS_UNSPECIFIED, keys_pb2.KEY_STATUS_CURRENT, keys_pb2.KEY_STATUS_CANDIDATE}
)

Keys = frozenset[tuple[str, int, str]]
"""Slot, version and fingerprint of each."""
StreamCall = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]


class KeyWatch:
    """The keys of one replica. `changed` is called whenever it has one that it did not have before."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._seen: Keys | None = None
        """Every key that it ever had: one that comes back after a refusal is no news."""

    async def run(self, stream: Callable[[str], StreamCall]) -> None:
        """Follow the replica's keys. Ends by cancellation, or when it has no such service."""
        while True:
            call = stream(WATCH)(_REQUEST)
            try:
                async for told in call:
                    self._take(keys_pb2.WatchKeyUseResponse.FromString(told))
            except grpc.aio.AioRpcError as raised:
                if raised.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return
            except DecodeError:
                return  # whatever answers there, it is no key service
            finally:
                call.cancel()
            await asyncio.sleep(RETRY_S)

    def _take(self, told: keys_pb2.WatchKeyUseResponse) -> None:
        keys = frozenset((use.slot, use.version, use.fingerprint) for use in told.uses if use.status in _USABLE)
        seen = self._seen
        self._seen = keys if seen is None else seen | keys
        if seen is not None and keys - seen:
            self._changed()
