"""Owns telemetry by OpenTelemetry: spans and metrics of calls, attempts and inferences. The only importer of it.

The inference span of an adapter is written when the call ends, from the terminal record, with the times it had: one
record is the source of trace, metrics and trailers alike. Names: semantic-conventions-genai and RPC conventions,
https://github.com/open-telemetry/semantic-conventions-genai, November 2026.

Forbids itself: attributes with prompts, answers or stop texts, and context variables (contexts are passed on).
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from opentelemetry import context, metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from antiphon.llm.v1 import error_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import reason_name
from antiphon_kit.telemetry import CallSpan, Metadata, ModelRequest, Reading, Telemetry, TraceMetadata, trace_metadata

_SCOPE: Final = "antiphon"
_EXPORT_TIMEOUT_S: Final = 3.0
_CLOSE_TIMEOUT_S: Final = 2.0
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_Value = str | bool | int | float | list[str]

# What the RPC conventions count as the server's fault; a reason can add to it.
_SERVER_FAULTS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
# After these the requested model is any text a caller cares to send, which must not become a metric's label.
_MODEL_UNPROVEN: Final = frozenset({"INVALID_REQUEST", "MODEL_NOT_FOUND"})
_TOKEN_FIELDS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_input_tokens": "cache_read.input_tokens",
    "cache_write_input_tokens": "cache_write.input_tokens",
    "reasoning_output_tokens": "reasoning.output_tokens",
}
_PARAMS: Final = {
    "max_output_tokens": "request.max_tokens",
    "temperature": "request.temperature",
    "top_p": "request.top_p",
    "top_k": "request.top_k",
    "seed": "request.seed",
    "candidate_count": "request.choice.count",
    "dimensions": "embeddings.dimension.count",
}


def open_otlp(endpoint: str, service: str) -> Telemetry:
    """Telemetry that goes to an OTLP collector over gRPC, in batches from threads of the SDK."""
    resource = Resource.create({"service.name": service, "service.instance.id": uuid.uuid4().hex})
    spans = OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_S)
    points = OTLPMetricExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_S)
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    meters = MeterProvider([PeriodicExportingMetricReader(points)], resource=resource, shutdown_on_exit=False)
    return OtelTelemetry(tracers, meters, (spans, points))


class OtelTelemetry:
    """Telemetry by a pair of SDK providers, which it owns. `exporters` are told when time is up at the end."""

    def __init__(
        self, tracers: TracerProvider, meters: MeterProvider, exporters: Sequence[SpanExporter | MetricExporter] = ()
    ) -> None:
        self._tracers = tracers
        self._meters = meters
        self._exporters = exporters
        self._tracer = tracers.get_tracer(_SCOPE)
        self._meter = meters.get_meter(_SCOPE)
        self._instruments = _Instruments(self._meter)

    def start_call(self, method: str, invocation_metadata: Metadata) -> CallSpan:
        parent = _PROPAGATOR.extract(dict(trace_metadata(invocation_metadata)), context.Context())
        return _OtelSpan(self._tracer, self._instruments, method, trace.SpanKind.SERVER, parent)

    def gauge(self, name: str, unit: str, read: Callable[[], Iterable[Reading]]) -> None:
        self._meter.create_observable_gauge(name, [_observing(read)], unit)

    def counter(self, name: str, unit: str, read: Callable[[], Iterable[Reading]]) -> None:
        self._meter.create_observable_counter(name, [_observing(read)], unit)

    async def aclose(self) -> None:
        # The SDK's shutdown joins threads that go on trying a dead collector, batch after batch, until their exporter
        # is shut down.
        timer = asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT_S, self._give_up)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(self._tracers.shutdown))
                group.create_task(asyncio.to_thread(self._meters.shutdown))
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        for exporter in self._exporters:
            exporter.shutdown()


def _observing(
    read: Callable[[], Iterable[Reading]],
) -> Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]:
    def observed(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        return [metrics.Observation(value, labels) for value, labels in read()]

    return observed


class _Instruments:
    def __init__(self, meter: metrics.Meter) -> None:
        self.call_duration = {
            trace.SpanKind.SERVER: meter.create_histogram("rpc.server.call.duration", "s"),
            trace.SpanKind.CLIENT: meter.create_histogram("rpc.client.call.duration", "s"),
        }
        self.duration = meter.create_histogram("gen_ai.client.inference.duration", "s")
        self.first_chunk = meter.create_histogram("gen_ai.client.inference.time_to_first_chunk", "s")
        self.operation_tokens = {
            name: meter.create_histogram(f"gen_ai.client.inference.operation.{name}", "{token}")
            for name in ("input_tokens", "output_tokens")
        }
        self.usage_tokens = {
            field: meter.create_counter(f"gen_ai.client.inference.usage.{name}", "{token}")
            for field, name in _TOKEN_FIELDS.items()
        }


@dataclass(frozen=True, slots=True)
class _Inference:
    request: ModelRequest
    model: str
    stream: bool
    operation: str


class _OtelSpan:
    __slots__ = ("_began_s", "_context", "_inference", "_instruments", "_kind", "_method", "_span", "_tracer")

    def __init__(
        self,
        tracer: trace.Tracer,
        instruments: _Instruments,
        method: str,
        kind: trace.SpanKind,
        parent: context.Context,
    ) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._method = method.lstrip("/")
        self._kind = kind
        self._began_s = time.monotonic()
        self._inference: _Inference | None = None
        attributes = {"rpc.system.name": "grpc", "rpc.method": self._method}
        self._span = tracer.start_span(self._method, parent, kind, attributes)
        self._context = trace.set_span_in_context(self._span, parent)

    def requested(self, request: ModelRequest, model: str, *, stream: bool, operation: str = "chat") -> None:
        self._inference = _Inference(request, model, stream, operation)

    def attribute(self, name: str, value: str | int | float | bool) -> None:
        self._span.set_attribute(name, value)

    def start_attempt(self, method: str, backend: str) -> CallSpan:
        attempt = _OtelSpan(self._tracer, self._instruments, method, trace.SpanKind.CLIENT, self._context)
        attempt.attribute("antiphon.backend", backend)
        return attempt

    def propagation(self) -> TraceMetadata:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, self._context)
        return tuple(carrier.items())

    def finish(self, end: response_pb2.ResponseEnd | None, code: grpc.StatusCode) -> None:
        elapsed_s = time.monotonic() - self._began_s
        reason = reason_name(end.error.reason) if end is not None and end.HasField("error") else ""
        if end is not None and self._inference is not None:
            self._record_inference(self._inference, end, elapsed_s)
        labels: dict[str, _Value] = {"rpc.system.name": "grpc", "rpc.method": self._method}
        labels["rpc.response.status_code"] = code.name
        self._span.set_attribute("rpc.response.status_code", code.name)
        if code is not grpc.StatusCode.OK:
            labels["error.type"] = reason or code.name
            self._span.set_attribute("error.type", reason or code.name)
        if _is_fault(self._kind, code, reason):
            self._span.set_status(trace.StatusCode.ERROR)
        self._instruments.call_duration[self._kind].record(elapsed_s, labels)
        self._span.end()

    def _record_inference(self, inference: _Inference, end: response_pb2.ResponseEnd, elapsed_s: float) -> None:
        labels = _labels(inference, end)
        now_ns = time.time_ns()
        span = self._tracer.start_span(
            f"{inference.operation} {inference.model}",
            self._context,
            trace.SpanKind.CLIENT,
            _request_attributes(inference) | _response_attributes(end),
            start_time=now_ns - int(elapsed_s * 1e9),
        )
        if end.HasField("error"):
            span.set_status(trace.StatusCode.ERROR)
        span.end(now_ns)
        instruments = self._instruments
        instruments.duration.record(elapsed_s, labels)
        if end.timing.HasField("time_to_first_content"):
            instruments.first_chunk.record(end.timing.time_to_first_content.ToTimedelta().total_seconds(), labels)
        if end.usage.source in (usage_pb2.Usage.SOURCE_PROVIDER, usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL):
            _count_tokens(instruments, end.usage, {key: labels[key] for key in labels if key != "error.type"})


def _is_fault(kind: trace.SpanKind, code: grpc.StatusCode, reason: str) -> bool:
    if kind is trace.SpanKind.CLIENT:
        return code is not grpc.StatusCode.OK
    # A dead key of the gateway is FAILED_PRECONDITION, which alone would read as the caller's mistake.
    return code in _SERVER_FAULTS or reason == "PROVIDER_CREDENTIALS"


def _labels(inference: _Inference, end: response_pb2.ResponseEnd) -> dict[str, _Value]:
    labels: dict[str, _Value] = {"gen_ai.operation.name": inference.operation}
    labels["gen_ai.provider.name"] = end.provider
    labels["gen_ai.request.model"] = inference.model
    if end.HasField("error"):
        labels["error.type"] = reason_name(end.error.reason)
        if labels["error.type"] in _MODEL_UNPROVEN:
            labels["gen_ai.request.model"] = "_OTHER"
    return labels


def _request_attributes(inference: _Inference) -> dict[str, _Value]:
    attributes: dict[str, _Value] = {
        "gen_ai.operation.name": inference.operation,
        "gen_ai.request.model": inference.model,
        "gen_ai.request.stream": inference.stream,
    }
    params = inference.request.params
    for field, value in params.ListFields():
        if name := _PARAMS.get(field.name):
            attributes[f"gen_ai.{name}"] = value
        elif field.name == "encodings":
            attributes["gen_ai.request.encoding_formats"] = list(value)
        elif field.name == "reasoning" and value.effort:
            attributes["gen_ai.request.reasoning.level"] = value.effort
    return attributes


def _response_attributes(end: response_pb2.ResponseEnd) -> dict[str, _Value]:
    attributes: dict[str, _Value] = {"gen_ai.provider.name": end.provider, "gen_ai.response.id": end.response_id}
    if end.model:
        attributes["gen_ai.response.model"] = end.model
    reasons = [_finish_reason(reason) for reason in end.finish_reasons]
    if end.HasField("error"):
        attributes["error.type"] = reason_name(end.error.reason)
        if end.error.reason == error_pb2.ERROR_REASON_STREAM_INTERRUPTED:
            reasons = ["error"]
    if reasons:
        attributes["gen_ai.response.finish_reasons"] = reasons
    if end.timing.HasField("time_to_first_content"):
        first_s = end.timing.time_to_first_content.ToTimedelta().total_seconds()
        attributes["gen_ai.response.time_to_first_chunk"] = first_s
    for field, name in _TOKEN_FIELDS.items():
        if end.usage.HasField(field):
            attributes[f"gen_ai.usage.{name}"] = getattr(end.usage, field)
    return attributes


def _finish_reason(reason: response_pb2.FinishReason) -> str:
    try:
        return response_pb2.FinishReason.Name(reason).removeprefix("FINISH_REASON_").lower()
    except ValueError:
        return "other"


def _count_tokens(instruments: _Instruments, usage: usage_pb2.Usage, labels: dict[str, _Value]) -> None:
    for field, histogram in instruments.operation_tokens.items():
        if usage.HasField(field):
            histogram.record(getattr(usage, field), labels)
    for field, counter in instruments.usage_tokens.items():
        if usage.HasField(field):
            for modality, tokens in _by_modality(usage, field).items():
                counter.add(tokens, {**labels, "gen_ai.token.modality": modality})


def _by_modality(usage: usage_pb2.Usage, field: str) -> dict[str, int]:
    """Tokens of one kind by modality; what the provider did not split is `unknown`."""
    rest: int = getattr(usage, field)
    split: dict[str, int] = {}
    for row in usage.by_modality:
        if field in row.DESCRIPTOR.fields_by_name and row.HasField(field):
            tokens = min(getattr(row, field), rest)
            split[row.modality] = split.get(row.modality, 0) + tokens
            rest -= tokens
    return {**split, "unknown": rest} if rest else split
