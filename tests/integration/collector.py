"""Owns a collector of telemetry that keeps the bytes it is sent, to be searched for what should not be in them."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc


class Collector:
    """An OTLP collector at `address` that takes everything and keeps it, by what it is: traces, metrics."""

    def __init__(self) -> None:
        self.taken: dict[str, list[bytes]] = {"traces": [], "metrics": []}
        self.address = ""

    def taking(self, kind: str) -> "grpc.RpcMethodHandler[bytes, bytes]":
        def take(request: bytes, _: grpc.ServicerContext) -> bytes:
            self.taken[kind].append(request)
            return b""

        return grpc.unary_unary_rpc_method_handler(take)


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A running collector."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2), options=(("grpc.so_reuseport", 0),))
    for kind, service in (("traces", "trace.v1.TraceService"), ("metrics", "metrics.v1.MetricsService")):
        name = f"opentelemetry.proto.collector.{service}"
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"Export": collector.taking(kind)}),)
        )
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()
