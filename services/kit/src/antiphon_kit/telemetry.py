"""Owns the telemetry port: what a call says about itself. Off unless an OTLP endpoint is set, and then nearly free.

    start_call ─> CallSpan ─> requested / attribute / start_attempt ─> finish
                     └─ propagation ─> metadata of the next hop

Forbids itself: importing opentelemetry (telemetry_otel does, and is imported only when telemetry is on), prompts and
answers in any form, and waiting for a collector on the request path.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeAlias

import grpc

from antiphon.llm.v1 import chat_pb2, completion_pb2, embedding_pb2, rerank_pb2, response_pb2
from antiphon_contract import metadata
from antiphon_kit.settings import ServiceSettings, SettingError

Metadata = Iterable[tuple[str, str | bytes]]
TraceMetadata = tuple[tuple[str, str], ...]
Reading = tuple[float, Mapping[str, str | int]]
ModelRequest: TypeAlias = (
    chat_pb2.StreamGenerateRequest
    | completion_pb2.StreamCompleteRequest
    | embedding_pb2.EmbedRequest
    | rerank_pb2.RerankRequest
)


class CallSpan(Protocol):
    """One call that this process serves, or one attempt that it makes. `finish` is called exactly once."""

    def requested(self, request: ModelRequest, model: str, *, stream: bool, operation: str = "chat") -> None:
        """Say that this call is an inference of `model`, the provider's id. Keeps a reference, reads it in `finish`.

        `operation`: as in gen_ai.operation.name.
        """
        ...

    def attribute(self, name: str, value: str | int | float | bool) -> None:
        """Set one attribute. Names and values never come from a caller's content."""
        ...

    def start_attempt(self, method: str, backend: str) -> "CallSpan":
        """A child for one outgoing call of `method` (`/package.Service/Method`) to `backend`."""
        ...

    def propagation(self) -> TraceMetadata:
        """The metadata that makes the next hop a child of this span: traceparent and tracestate, or nothing."""
        ...

    def finish(self, end: response_pb2.ResponseEnd | None, code: grpc.StatusCode) -> None:
        """Close the span with the terminal record, where there is one, and the status the caller gets."""
        ...


class Telemetry(Protocol):
    """Where spans come from; one per process, closed last."""

    def start_call(self, method: str, invocation_metadata: Metadata) -> CallSpan:
        """The span of a call of `method` (`/package.Service/Method`), child of the trace in its metadata."""
        ...

    def gauge(self, name: str, unit: str, read: Callable[[], Iterable[Reading]]) -> None:
        """A metric whose values and labels `read` gives whenever metrics are sent, on a thread of its own."""
        ...

    def counter(self, name: str, unit: str, read: Callable[[], Iterable[Reading]]) -> None:
        """As `gauge`, of values that only grow while the process lives."""
        ...

    async def aclose(self) -> None:
        """Send what is still queued, for at most a few seconds, and stop."""
        ...


class _PassedOn:
    """The span of a process without telemetry: hands an incoming trace on unchanged, so that it stays connected."""

    __slots__ = ("_trace",)

    def __init__(self, trace: TraceMetadata) -> None:
        self._trace = trace

    def requested(self, request: ModelRequest, model: str, *, stream: bool, operation: str = "chat") -> None:
        pass

    def attribute(self, name: str, value: str | int | float | bool) -> None:
        pass

    def start_attempt(self, method: str, backend: str) -> CallSpan:
        return self

    def propagation(self) -> TraceMetadata:
        return self._trace

    def finish(self, end: response_pb2.ResponseEnd | None, code: grpc.StatusCode) -> None:
        pass


class _Off:
    """Telemetry without an endpoint."""

    def start_call(self, method: str, invocation_metadata: Metadata) -> CallSpan:
        return _PassedOn(trace_metadata(invocation_metadata))

    def gauge(self, name: str, unit: str, read: Callable[[], Iterable[Reading]]) -> None:
        pass

    def counter(self, name: str, unit: str, read: Callable[[], Iterable[Reading]]) -> None:
        pass

    async def aclose(self) -> None:
        pass


OFF: Final[Telemetry] = _Off()


def trace_metadata(invocation_metadata: Metadata) -> TraceMetadata:
    """The W3C trace context among `invocation_metadata`."""
    found: TraceMetadata = ()
    for key, value in invocation_metadata:
        if key in metadata.TRACE and isinstance(value, str):
            found = (*found, (key, value))
    return found


def open_telemetry(settings: ServiceSettings, service: str) -> Telemetry:
    """Telemetry of `service` ("antiphon-router") for `settings`. Raises SettingError where the packages are missing."""
    if not settings.otlp_endpoint:
        return OFF
    try:
        from antiphon_kit import telemetry_otel
    except ImportError:
        problem = "OpenTelemetry is not installed; install antiphon-kit[otel], or unset it to run without telemetry"
        raise SettingError("OTEL_EXPORTER_OTLP_ENDPOINT", settings.otlp_endpoint, problem) from None
    return telemetry_otel.open_otlp(settings.otlp_endpoint, service)
