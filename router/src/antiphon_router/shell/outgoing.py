"""Owns metadata on its way to a replica."""

from collections.abc import Iterator
from typing import Any

import grpc


class Pairs(grpc.aio.Metadata):
    """Metadata that nobody looks up: kept as the pairs that gRPC makes of it again before it sends them.

    A plain tuple would be turned into a mapping and back for every call. Forbids itself: anything but being sent.
    """

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pairs)
