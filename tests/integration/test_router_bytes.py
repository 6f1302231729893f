"""The router hands on the very bytes, so fields and events of a later contract survive it in both directions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from antiphon.llm.v1 import chat_pb2, response_pb2
from antiphon_conformance import calling, names
from antiphon_conformance.calling import Running
from antiphon_conformance.program import Program, routed

LATER = b"\xfa\x7c\x05later"  # field 1999, which no contract of today knows
END = response_pb2.ResponseEnd(
    outcome=response_pb2.ResponseEnd.OUTCOME_COMPLETED, response_id="x.1", provider="raw", model="m", event_count=3
)


def _event(**kind: Any) -> response_pb2.StreamEvent:
    return response_pb2.StreamEvent(**kind)


def _frame(first: int, *events: response_pb2.StreamEvent) -> bytes:
    return chat_pb2.StreamGenerateResponse(first_sequence=first, events=events).SerializeToString() + LATER


FRAMES = [
    _frame(1, _event(start=response_pb2.ResponseStart(response_id="x.1")), _event(candidate_end={"reason": 1})),
    _frame(3, _event(end=END)),
]


class Raw(grpc.GenericRpcHandler):
    """A provider of next year: notes the bytes it gets, answers with bytes of its own."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.metadata: list[dict[str, str | bytes]] = []

    def service(self, details: Any) -> Any:
        if not details.method.startswith(names.CHAT):
            return None
        if details.method.endswith("StreamGenerate"):
            return grpc.unary_stream_rpc_method_handler(self._stream)
        return grpc.unary_unary_rpc_method_handler(self._unary)

    async def _unary(self, request: bytes, context: Any) -> bytes:
        self._note(request, context)
        return chat_pb2.GenerateResponse(end=END).SerializeToString() + LATER

    async def _stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self._note(request, context)
        for frame in FRAMES:
            yield frame

    def _note(self, request: bytes, context: Any) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        context.set_trailing_metadata(((names.END, END.SerializeToString() + LATER),))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def raw() -> AsyncIterator[tuple[Raw, str]]:
    handler = Raw()
    server = grpc.aio.server(handlers=[handler], options=(("grpc.so_reuseport", 0),))
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in ("", names.CHAT_SERVICE):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def router(raw: tuple[Raw, str]) -> AsyncIterator[Program]:
    # In a thread: the router asks the provider above for its health, and that one lives in this loop.
    with contextlib.ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, routed({"raw": [raw[1]]}))
        await asyncio.to_thread(stack.close)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("method", ["Generate", "StreamGenerate"])
async def test_hands_on_the_very_bytes(raw: tuple[Raw, str], router: Program, method: str) -> None:
    asked = calling.request("raw/m", "hi").SerializeToString() + LATER
    async with grpc.aio.insecure_channel(router.address) as channel:
        outcome = await Running(channel, method, asked, 10.0, [("x-unknown", "1")]).finish()
    assert outcome.ok, outcome.message
    assert raw[0].requests[-1] == asked
    if method == "StreamGenerate":
        assert outcome.raw == FRAMES
    else:
        assert outcome.raw == [chat_pb2.GenerateResponse(end=END).SerializeToString() + LATER]
    assert outcome.binary(names.END) == END.SerializeToString() + LATER


@pytest.mark.asyncio(loop_scope="module")
async def test_tells_the_provider_what_only_a_router_may_tell(raw: tuple[Raw, str], router: Program) -> None:
    forged = [("antiphon-model-native", "gpt-forged"), ("antiphon-attempt", "9/9"), ("antiphon-request-id", "r-1")]
    traced = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    asked = calling.request("raw/m", "hi").SerializeToString()
    async with grpc.aio.insecure_channel(router.address) as channel:
        await Running(channel, "Generate", asked, 10.0, forged + traced).finish()
    told = raw[0].metadata[-1]
    assert told["antiphon-model-native"] == "m"
    assert str(told["antiphon-attempt"]).startswith("1/")
    assert told["antiphon-attempt-id"]
    assert told["antiphon-request-id"] == "r-1"
    assert str(told["traceparent"]).startswith("00-0af7651916cd43dd8448eb211c80319c-")
