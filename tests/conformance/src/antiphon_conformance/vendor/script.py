"""Owns the words of a script: what the vendor does with one request, in order, byte by byte."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers. The body that follows is chunked unless `content-length` is given."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """Say nothing for a while."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Say nothing until the case calls `Play.release()`."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send the same bytes again and again until the peer leaves, or `limit` times."""

    data: bytes
    every_s: float
    limit: int = 100_000


class Cut(enum.Enum):
    """How a connection ends before its time."""

    FIN = "closes the connection"
    RST = "resets the connection"


Step = Head | Pause | Hold | Repeat | Cut | bytes
Script = Sequence[Step]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
