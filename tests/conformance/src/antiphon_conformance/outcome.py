"""Owns everything that came back from one call: bytes, status, trailers, times; and what was asked."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from google.protobuf.message import Message as Protobuf
from google.rpc import error_details_pb2, status_pb2

from antiphon.llm.v1 import chat_pb2, error_pb2, models_pb2, response_pb2
from antiphon_conformance import names, oracle

_Detail = TypeVar("_Detail", bound=Protobuf)


@dataclass(slots=True)
class Target:
    """What is judged: an address, and how a provider's own model id is asked for there.

    `spares`: names under which a router knows the same provider again. A router remembers failures, so the name is
    changed after each, and no case meets what another one has left behind.
    """

    address: str
    provider: str = ""
    routed: bool = False
    spares: Iterator[str] = field(default_factory=lambda: iter(()))
    declared: models_pb2.Model | None = None

    def name(self, native_id: str) -> str:
        return f"{self.provider}/{native_id}" if self.routed else native_id

    def move_on(self) -> None:
        if self.routed:
            self.provider = next(self.spares, self.provider)


@dataclass(slots=True)
class Outcome:
    """How one call ended."""

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    message: str = ""
    streamed: bool = False
    raw: list[bytes] = field(default_factory=list)
    answer: oracle.Answer = field(default_factory=oracle.Answer)
    headers: list[tuple[str, str | bytes]] = field(default_factory=list)
    trailers: list[tuple[str, str | bytes]] = field(default_factory=list)
    began_at: float = 0.0
    ended_at: float = 0.0

    @property
    def ok(self) -> bool:
        return self.code is grpc.StatusCode.OK

    @property
    def duration_s(self) -> float:
        return self.ended_at - self.began_at

    @property
    def frames(self) -> list[chat_pb2.StreamGenerateResponse]:
        return [chat_pb2.StreamGenerateResponse.FromString(raw) for raw in self.raw] if self.streamed else []

    def binary(self, name: str) -> bytes | None:
        return next((value for key, value in self.trailers if key == name and isinstance(value, bytes)), None)

    @property
    def status(self) -> status_pb2.Status | None:
        raw = self.binary(names.DETAILS)
        return None if raw is None else status_pb2.Status.FromString(raw)

    @property
    def error(self) -> error_pb2.CallError:
        """The typed error of a failed call; empty when the service sent none."""
        return self._detail(error_pb2.CallError())

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        return self._detail(error_details_pb2.ErrorInfo())

    @property
    def retry_s(self) -> float | None:
        """RetryInfo in seconds; None without one."""
        packed = [any_.type_url for any_ in self.status.details] if self.status else []
        if not any(url.endswith("RetryInfo") for url in packed):
            return None
        delay = self._detail(error_details_pb2.RetryInfo()).retry_delay
        return float(delay.seconds + delay.nanos / 1e9)

    def _detail(self, empty: _Detail) -> _Detail:
        for packed in self.status.details if self.status else ():
            if packed.Unpack(empty):
                break
        return empty

    @property
    def reason(self) -> str:
        """The finer cause in words: "RATE_LIMITED"; "OK" for a call that did not fail."""
        name: str = error_pb2.ErrorReason.Name(self.error.reason)
        return "OK" if self.ok else name.removeprefix("ERROR_REASON_")

    @property
    def record(self) -> response_pb2.ResponseEnd:
        """The terminal record: in the answer if it has one, else in the trailers, else empty."""
        if self.answer.end is not None and self.answer.end.outcome:
            return self.answer.end
        return response_pb2.ResponseEnd.FromString(self.binary(names.END) or b"")

    @property
    def router_record(self) -> response_pb2.RouterEnd:
        return response_pb2.RouterEnd.FromString(self.binary(names.ROUTER_END) or b"")

    def everything(self) -> str:
        """All that reached the caller, as text to be searched."""
        seen = [self.message, *map(repr, self.headers), *map(repr, self.trailers), repr(self.status)]
        return "\n".join([*seen, *(raw.decode("latin-1") for raw in self.raw), str(self.error), str(self.record)])
