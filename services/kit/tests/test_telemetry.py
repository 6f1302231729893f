"""Telemetry: nothing at all when off, and spans and metrics by the conventions when on."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace

import grpc
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from antiphon.llm.v1 import chat_pb2, embedding_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import Reason, call_error
from antiphon_kit.settings import ServiceSettings, SettingError
from antiphon_kit.telemetry import OFF, open_telemetry
from antiphon_kit.telemetry_otel import OtelTelemetry

METHOD = "/antiphon.llm.v1.ChatService/StreamGenerate"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
METADATA = (("user-agent", "x"), ("traceparent", PARENT), ("tracestate", "a=b"), ("some-bin", b"\x00"))


class Recording:
    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.telemetry = OtelTelemetry(tracers, MeterProvider([self._reader], shutdown_on_exit=False))

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._spans.get_finished_spans()}

    def points(self) -> dict[str, list[tuple[dict[str, object], float]]]:
        """Metric name to its points: attributes and sum."""
        found: dict[str, list[tuple[dict[str, object], float]]] = {}
        data = self._reader.get_metrics_data()
        for scope in data.resource_metrics[0].scope_metrics if data else ():
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    value = point.value if hasattr(point, "value") else point.sum
                    found.setdefault(metric.name, []).append((dict(point.attributes or {}), value))
        return found


@pytest.fixture
async def recording() -> AsyncIterator[Recording]:
    opened = Recording()
    yield opened
    await opened.telemetry.aclose()


def request() -> chat_pb2.StreamGenerateRequest:
    made = chat_pb2.StreamGenerateRequest(model="fast")
    made.prompt.messages.add().parts.add().text.text = "the prompt"
    made.params.temperature = 0.0
    made.params.max_output_tokens = 64
    made.params.stop.append("the stop text")
    made.params.reasoning.effort = "low"
    return made


def record() -> response_pb2.ResponseEnd:
    end = response_pb2.ResponseEnd(provider="openai", model="gpt-x-2026", response_id="i.1")
    end.outcome = response_pb2.ResponseEnd.OUTCOME_COMPLETED
    end.finish_reasons.append(response_pb2.FINISH_REASON_STOP)
    end.usage.source = usage_pb2.Usage.SOURCE_PROVIDER
    end.usage.input_tokens = 12
    end.usage.output_tokens = 30
    end.usage.reasoning_output_tokens = 20
    end.usage.by_modality.add(modality="image", input_tokens=8)
    end.timing.time_to_first_content.FromTimedelta(timedelta(seconds=0.25))
    return end


def test_off_is_off_and_imports_nothing() -> None:
    program = """
import sys
from antiphon_kit.settings import ServiceSettings
from antiphon_kit.telemetry import open_telemetry
open_telemetry(ServiceSettings(), "antiphon-test").start_call("/a/B", ())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_off_passes_an_incoming_trace_on_unchanged() -> None:
    call = open_telemetry(ServiceSettings(), "antiphon-test").start_call(METHOD, METADATA)
    attempt = call.start_attempt(METHOD, "openai-1")
    call.attribute("a", 1)
    call.requested(request(), "m", stream=True)
    assert attempt.propagation() == (("traceparent", PARENT), ("tracestate", "a=b"))
    attempt.finish(None, grpc.StatusCode.OK)
    call.finish(record(), grpc.StatusCode.OK)
    await OFF.aclose()


def test_off_costs_next_to_nothing() -> None:
    rounds = 2000
    began = time.process_time()
    for _ in range(rounds):
        call = OFF.start_call(METHOD, METADATA)
        call.finish(None, grpc.StatusCode.OK)
    assert (time.process_time() - began) / rounds < 20e-6


def test_an_endpoint_without_the_packages_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "antiphon_kit.telemetry_otel", None)
    monkeypatch.delattr("antiphon_kit.telemetry_otel", raising=False)
    with pytest.raises(SettingError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT=.*install antiphon-kit\[otel\]"):
        open_telemetry(ServiceSettings(otlp_endpoint="http://localhost:4317"), "antiphon-test")


async def test_a_served_inference_gives_a_server_span_and_an_inference_span(recording: Recording) -> None:
    call = recording.telemetry.start_call(METHOD, METADATA)
    call.requested(request(), "gpt-x", stream=True)
    call.finish(record(), grpc.StatusCode.OK)
    server, inference = recording.spans()[METHOD[1:]], recording.spans()["chat gpt-x"]
    assert server.kind is SpanKind.SERVER
    assert format(server.context.trace_id, "032x") == TRACE_ID
    assert server.parent is not None
    assert format(server.parent.span_id, "016x") == "b7ad6b7169203331"
    assert dict(server.attributes or {}) == {
        "rpc.system.name": "grpc",
        "rpc.method": "antiphon.llm.v1.ChatService/StreamGenerate",
        "rpc.response.status_code": "OK",
    }
    assert inference.kind is SpanKind.CLIENT
    assert inference.parent is not None
    assert inference.parent.span_id == server.context.span_id
    assert dict(inference.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.response.id": "i.1",
        "gen_ai.response.model": "gpt-x-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.reasoning.output_tokens": 20,
    }
    assert inference.start_time is not None
    assert server.start_time is not None
    assert abs(inference.start_time - server.start_time) < 50_000_000


async def test_a_served_inference_gives_the_metrics(recording: Recording) -> None:
    call = recording.telemetry.start_call(METHOD, ())
    call.requested(request(), "gpt-x", stream=True)
    call.finish(record(), grpc.StatusCode.OK)
    points = recording.points()
    labels = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-x"}
    assert points["gen_ai.client.inference.usage.input_tokens"] == [
        ({**labels, "gen_ai.token.modality": "image"}, 8),
        ({**labels, "gen_ai.token.modality": "unknown"}, 4),
    ]
    assert points["gen_ai.client.inference.usage.reasoning.output_tokens"] == [
        ({**labels, "gen_ai.token.modality": "unknown"}, 20)
    ]
    assert points["gen_ai.client.inference.operation.output_tokens"] == [(labels, 30)]
    assert points["gen_ai.client.inference.time_to_first_chunk"] == [(labels, 0.25)]
    assert points["gen_ai.client.inference.duration"][0][0] == labels
    assert points["rpc.server.call.duration"][0][0]["rpc.response.status_code"] == "OK"
    assert "gen_ai.client.inference.usage.cache_read.input_tokens" not in points


async def test_the_gateways_estimates_stay_out_of_token_metrics(recording: Recording) -> None:
    end = record()
    end.usage.source = usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
    call = recording.telemetry.start_call(METHOD, ())
    call.requested(request(), "gpt-x", stream=True)
    call.finish(end, grpc.StatusCode.OK)
    assert not [name for name in recording.points() if "tokens" in name]


async def test_an_embedding_is_an_inference_of_its_own_kind(recording: Recording) -> None:
    asked = embedding_pb2.EmbedRequest(params={"dimensions": 64, "encodings": ["float32", "int8"]})
    call = recording.telemetry.start_call("/antiphon.llm.v1.EmbeddingService/Embed", ())
    call.requested(asked, "e-1", stream=False, operation="embeddings")
    call.finish(record(), grpc.StatusCode.OK)
    attributes = recording.spans()["embeddings e-1"].attributes or {}
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.embeddings.dimension.count"] == 64
    assert attributes["gen_ai.request.encoding_formats"] == ("float32", "int8")
    [(labels, _)] = recording.points()["gen_ai.client.inference.duration"]
    assert labels["gen_ai.operation.name"] == "embeddings"


async def test_an_interrupted_stream_is_an_error_on_both_spans(recording: Recording) -> None:
    end = record()
    end.outcome = response_pb2.ResponseEnd.OUTCOME_FAILED
    end.error.CopyFrom(call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut"))
    call = recording.telemetry.start_call(METHOD, ())
    call.requested(request(), "gpt-x", stream=True)
    call.finish(end, grpc.StatusCode.UNAVAILABLE)
    for span in recording.spans().values():
        assert not span.status.is_ok
        assert (span.attributes or {})["error.type"] == "STREAM_INTERRUPTED"
    inference = recording.spans()["chat gpt-x"]
    assert (inference.attributes or {})["gen_ai.response.finish_reasons"] == ("error",)


@pytest.mark.parametrize(
    ("reason", "is_fault"),
    [
        (Reason.ERROR_REASON_INVALID_REQUEST, False),
        (Reason.ERROR_REASON_CANCELLED, False),
        (Reason.ERROR_REASON_PROVIDER_CREDENTIALS, True),
        (Reason.ERROR_REASON_OPAQUE_STATE_REJECTED, False),
        (Reason.ERROR_REASON_GATEWAY_INTERNAL, True),
    ],
)
async def test_whose_fault_decides_the_status_of_a_server_span(
    recording: Recording, reason: Reason, is_fault: bool
) -> None:
    error = call_error(reason, "why")
    code = next(code for code in grpc.StatusCode if code.value[0] == error.code)
    recording.telemetry.start_call(METHOD, ()).finish(response_pb2.ResponseEnd(error=error), code)
    assert recording.spans()[METHOD[1:]].status.is_ok is not is_fault


async def test_a_model_that_nobody_has_is_no_metric_label(recording: Recording) -> None:
    end = response_pb2.ResponseEnd(error=call_error(Reason.ERROR_REASON_MODEL_NOT_FOUND, "no"))
    call = recording.telemetry.start_call(METHOD, ())
    call.requested(request(), "made-up-by-a-caller", stream=False)
    call.finish(end, grpc.StatusCode.NOT_FOUND)
    ((labels, _),) = recording.points()["gen_ai.client.inference.duration"]
    assert labels["gen_ai.request.model"] == "_OTHER"


async def test_attempts_are_children_and_the_next_hop_is_theirs(recording: Recording) -> None:
    call = recording.telemetry.start_call(METHOD, METADATA)
    attempt = call.start_attempt(METHOD, "openai-1")
    carried = dict(attempt.propagation())
    attempt.finish(None, grpc.StatusCode.UNAVAILABLE)
    spans = {span.kind: span for span in recording._spans.get_finished_spans()}
    call.finish(None, grpc.StatusCode.OK)
    client = spans[SpanKind.CLIENT]
    assert carried["traceparent"] == f"00-{TRACE_ID}-{client.context.span_id:016x}-01"
    assert carried["tracestate"] == "a=b"
    assert client.parent is not None
    assert client.parent.span_id == recording._spans.get_finished_spans()[-1].context.span_id
    assert not client.status.is_ok
    assert (client.attributes or {})["antiphon.backend"] == "openai-1"
    assert recording.points()["rpc.client.call.duration"][0][0]["error.type"] == "UNAVAILABLE"


async def test_no_content_leaves_by_spans_or_metrics(recording: Recording) -> None:
    call = recording.telemetry.start_call(METHOD, (("authorization", "Bearer canary"), *METADATA))
    call.requested(request(), "gpt-x", stream=True)
    call.finish(record(), grpc.StatusCode.OK)
    everything = "".join(span.to_json() for span in recording.spans().values()) + str(recording.points())
    for secret in ("the prompt", "the stop text", "canary"):
        assert secret not in everything


@pytest.mark.parametrize("value", ["", "garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_a_bad_traceparent_begins_a_new_trace(recording: Recording, value: str) -> None:
    recording.telemetry.start_call(METHOD, (("traceparent", value),)).finish(None, grpc.StatusCode.OK)
    assert recording.spans()[METHOD[1:]].parent is None


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_collector_that_is_down_delays_neither_calls_nor_the_loop() -> None:
    telemetry = open_telemetry(ServiceSettings(otlp_endpoint="http://127.0.0.1:1"), "antiphon-test")
    began = time.monotonic()
    for _ in range(3000):
        telemetry.start_call(METHOD, ()).finish(None, grpc.StatusCode.OK)
    # One that waited for the collector would take a second for each.
    assert time.monotonic() - began < 60
    turns = SimpleNamespace(count=0)

    async def turn() -> None:
        while True:
            turns.count += 1
            await asyncio.sleep(0.01)

    turning = asyncio.create_task(turn())
    began = time.monotonic()
    await telemetry.aclose()
    elapsed = time.monotonic() - began
    turning.cancel()
    assert elapsed < 15
    assert turns.count > elapsed * 5


async def test_a_gauge_is_read_whenever_metrics_are_sent(recording: Recording) -> None:
    values = [1.0, 2.0]
    recording.telemetry.gauge("some.gauge", "s", lambda: [(values.pop(), {"slot": "p/s"})])
    assert recording.points()["some.gauge"] == [({"slot": "p/s"}, 2.0)]
    assert recording.points()["some.gauge"] == [({"slot": "p/s"}, 1.0)]
    OFF.gauge("some.gauge", "s", list)
