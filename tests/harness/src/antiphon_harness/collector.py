"""Owns a collector of telemetry that keeps the bytes it is sent, by what they are."""

from types import TracebackType
from typing import Any, Final, Self

import grpc

_KINDS: Final = {"traces": "trace.v1.TraceService", "metrics": "metrics.v1.MetricsService"}


class Collector:
    """An OTLP collector on loopback, for the body of an `async with`."""

    def __init__(self) -> None:
        self.taken: dict[str, list[bytes]] = {kind: [] for kind in _KINDS}
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        for kind, service in _KINDS.items():
            handlers: dict[str, Any] = {"Export": grpc.unary_unary_rpc_method_handler(self._taking(kind))}
            name = f"opentelemetry.proto.collector.{service}"
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)

    def _taking(self, kind: str) -> Any:
        async def take(request: bytes, _: Any) -> bytes:
            self.taken[kind].append(request)
            return b""

        return take

    def has(self, kind: str, *words: str) -> bool:
        """Whether one message of that kind holds all these words."""
        return any(all(word.encode() in one for word in words) for one in self.taken[kind])
