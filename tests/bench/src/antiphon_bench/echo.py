"""Owns the yardstick of a hop: the plainest grpc.aio server of both chat RPCs, with fixed bytes and a trailer.

It stands behind the router as a provider replica too, so that both sides move the same messages.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final

import grpc
import uvloop
from grpc_health.v1 import health_pb2

from antiphon.llm.v1 import chat_pb2, content_pb2, models_pb2, response_pb2, usage_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import end_trailer

PROVIDER: Final = "echo"
MODEL: Final = "m"
ROUTE: Final = "guarded"
"""A route to it with everything on that a router does for a call."""
GENERATE: Final = "/antiphon.llm.v1.ChatService/Generate"
STREAM: Final = "/antiphon.llm.v1.ChatService/StreamGenerate"
FRAMES: Final = 64
"""Of a streamed answer."""
_ANSWER_CHARS: Final = 500
_FRAME_CHARS: Final = 20


def request(model: str = f"{PROVIDER}/{MODEL}") -> bytes:
    """A Generate request of about 500 bytes."""
    message = content_pb2.Message(role=content_pb2.ROLE_USER, parts=[_text("x" * _ANSWER_CHARS)])
    prompt = chat_pb2.Prompt(messages=[message])
    return chat_pb2.GenerateRequest(model=model, prompt=prompt).SerializeToString()


def response() -> chat_pb2.GenerateResponse:
    """An answer of about 500 bytes with its terminal record."""
    usage = usage_pb2.Usage(input_tokens=120, output_tokens=110, source=usage_pb2.Usage.SOURCE_PROVIDER)
    end = response_pb2.ResponseEnd(
        outcome=response_pb2.ResponseEnd.OUTCOME_COMPLETED,
        usage=usage,
        response_id="echo.0123456789abcdef",
        provider=PROVIDER,
        model=MODEL,
        finish_reasons=[response_pb2.FINISH_REASON_STOP],
    )
    message = content_pb2.Message(role=content_pb2.ROLE_ASSISTANT, parts=[_text("y" * _ANSWER_CHARS)])
    start = response_pb2.ResponseStart(response_id=end.response_id, provider=PROVIDER, model=MODEL)
    return chat_pb2.GenerateResponse(start=start, candidates=[response_pb2.Candidate(message=message)], end=end)


def frames() -> list[chat_pb2.StreamGenerateResponse]:
    """The same answer in FRAMES frames: the first with the start, the last with the terminal record."""
    whole = response()
    delta = response_pb2.StreamEvent(text_delta="y" * _FRAME_CHARS)
    part = response_pb2.StreamEvent(part_start=response_pb2.PartStart(part=_text("")))
    events = [[delta] for _ in range(FRAMES)]
    events[0] = [response_pb2.StreamEvent(start=whole.start), part, delta]
    events[-1] = [delta, response_pb2.StreamEvent(end=whole.end)]
    numbered, first = [], 1
    for batch in events:
        numbered.append(chat_pb2.StreamGenerateResponse(first_sequence=first, events=batch))
        first += len(batch)
    return numbered


def _text(text: str) -> content_pb2.Part:
    return content_pb2.Part(text=content_pb2.TextPart(text=text))


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        body = response()
        models = models_pb2.ListModelsResponse(
            models=[models_pb2.Model(id=f"{PROVIDER}/{MODEL}", provider=PROVIDER, native_id=MODEL)]
        )
        trailers = ((metadata.END, end_trailer(body.end)[1]),)
        serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING).SerializeToString()
        self._methods: dict[str, Any] = {
            GENERATE: grpc.unary_unary_rpc_method_handler(_fixed(body.SerializeToString(), trailers)),
            STREAM: grpc.unary_stream_rpc_method_handler(
                _in_pieces([frame.SerializeToString() for frame in frames()], trailers)
            ),
            "/antiphon.llm.v1.ModelService/ListModels": grpc.unary_unary_rpc_method_handler(
                _fixed(models.SerializeToString(), ())
            ),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(_fixed(serving, ())),
            "/grpc.health.v1.Health/Watch": grpc.unary_stream_rpc_method_handler(_lasting(serving)),
        }

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return self._methods.get(details.method)


def _fixed(body: bytes, trailers: tuple[tuple[str, bytes], ...]) -> Callable[..., Any]:
    async def handle(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        context.set_trailing_metadata(trailers)
        return body

    return handle


def _in_pieces(bodies: list[bytes], trailers: tuple[tuple[str, bytes], ...]) -> Callable[..., Any]:
    async def handle(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        context.set_trailing_metadata(trailers)
        for body in bodies:
            await context.write(body)

    return handle


def _lasting(body: bytes) -> Callable[..., Any]:
    async def handle(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.write(body)
        await asyncio.Event().wait()

    return handle


async def serve(ready_fd: int) -> None:
    """Serve on a free port of the loopback interface, tell it to `ready_fd`, go on until cancelled.

    Pings are accepted as a provider would: the router sends one a second.
    """
    options = (
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
    )
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((_Handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with os.fdopen(ready_fd, "w") as ready:
        ready.write(f"127.0.0.1:{port}\n")
    await server.wait_for_termination()


def main(ready_fd: int) -> None:
    """Run until the process is ended."""
    uvloop.run(serve(ready_fd))
