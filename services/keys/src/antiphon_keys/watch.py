"""Owns the connections to the provider processes: what each tells of its keys, and the push to look now.

Forbids itself: deciding anything by it. A process that cannot be reached tells nothing, and holds nothing up.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc

from antiphon.router.v1 import keys_pb2, keys_pb2_grpc
from antiphon_contract.rotating_channel import RotatingChannel
from antiphon_contract.tls import LivePems
from antiphon_keys.places import Places
from antiphon_kit.channel_options import ROUTER_TO_PROVIDER

log = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 2.0
PUSH_S: Final = 2.0
PLACES_EVERY_S: Final = 5.0


class Watch:
    """All processes. `news` is called after each report. `live`: the certificate to show; None: plaintext."""

    def __init__(self, places: Places, news: Callable[[], None], live: LivePems | None = None) -> None:
        self._places = places
        self._news = news
        self._live = live
        self._links: dict[str, _Link] = {}
        self.placed = False

    @property
    def reports(self) -> Mapping[str, keys_pb2.WatchKeyUseResponse]:
        """The latest of each process that can be reached, by address; every use names its backend."""
        return {address: link.told for address, link in self._links.items() if link.told is not None}

    @property
    def settled(self) -> bool:
        """Whether every process was reached, or could not be: before that nobody knows who holds what."""
        return self.placed and all(link.tried for link in self._links.values())

    async def run(self) -> None:
        """Follow all of them; ends by cancellation only."""
        try:
            while True:
                await self._follow(await self._places.now())
                self.placed = True
                self._news()
                await asyncio.sleep(PLACES_EVERY_S)
        finally:
            await self._follow({})

    async def _follow(self, wanted: Mapping[str, str]) -> None:
        gone = [self._links.pop(address) for address in self._links.keys() - wanted.keys()]
        for address in wanted.keys() - self._links.keys():
            self._links[address] = _Link(address, wanted[address], self._news, self._live)
        await asyncio.gather(*(link.close() for link in gone))

    async def push(self) -> None:
        """Have every process look into the store now. A process that does not answer is left to its own poll."""
        await asyncio.gather(*(link.push() for link in self._links.values()))


class _Link:
    """One process."""

    def __init__(self, address: str, backend: str, news: Callable[[], None], live: LivePems | None) -> None:
        self._address = address
        self._backend = backend
        self._news = news
        rotating = None if live is None else RotatingChannel(address, live, ROUTER_TO_PROVIDER)
        self._channel: Any = rotating or grpc.aio.insecure_channel(address, options=ROUTER_TO_PROVIDER)
        self._stub = keys_pb2_grpc.KeyUseServiceStub(self._channel)
        self._following = asyncio.create_task(self._follow(), name=f"keys of {address}")
        self.told: keys_pb2.WatchKeyUseResponse | None = None
        self.tried = False

    async def close(self) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._channel.close()

    async def push(self) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            found = await self._stub.RefreshKeys(keys_pb2.RefreshKeysRequest(), timeout=PUSH_S)
            self._tell(keys_pb2.WatchKeyUseResponse(uses=found.uses, problems=found.problems))

    async def _follow(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            try:
                async for told in self._stub.WatchKeyUse(keys_pb2.WatchKeyUseRequest()):
                    retry_s = FIRST_RETRY_S
                    self._tell(told)
            except grpc.aio.AioRpcError as error:
                self._lost(error.code().name)
            except asyncio.CancelledError:
                # Also how gRPC tells that the other end cancelled the stream.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._lost("CANCELLED")
            self.told, self.tried = None, True
            self._news()
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    def _lost(self, code: str) -> None:
        if self.told is not None or not self.tried:
            log.info("process_lost", extra={"address": self._address, "backend": self._backend, "code": code})

    def _tell(self, told: keys_pb2.WatchKeyUseResponse) -> None:
        for use in told.uses:
            use.backend = self._backend
        self.told, self.tried = told, True
        self._news()
