"""Owns antiphon.llm.v1.ChatService over a ChatProvider: three RPCs, one streaming path.

Requests arrive as bytes: size and admission are checked before anything is parsed. Generate and CountTokens are read
as StreamGenerateRequest, whose fields 1 to 4 are theirs.
"""

import asyncio
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from antiphon.llm.v1 import chat_pb2, error_pb2, options_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure, Reason, call_error, failure
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.deadlines import Limits
from antiphon_kit.provider import ChatProvider, Turn
from antiphon_kit.recorder import Recorder
from antiphon_kit.request_rules import validate
from antiphon_kit.settings import ServiceSettings
from antiphon_kit.stream import FoldSink, FrameBuffer, Reader, Sink, interrupted

SERVICE: Final = chat_pb2.DESCRIPTOR.services_by_name["ChatService"].full_name
KEEPALIVE_S: Final = 15.0


class ChatServicer:
    """ChatService of one provider. `cut()` ends what runs, for a drain that has run out of time."""

    def __init__(
        self, provider: ChatProvider, settings: ServiceSettings, edge: Edge, *, keepalive_s: float = KEEPALIVE_S
    ) -> None:
        self._provider = provider
        self._settings = settings
        self._edge = edge
        self._keepalive_s = keepalive_s
        self._readers: set[Reader] = set()
        self._limits = Limits(
            first_event_s=settings.first_event_timeout_s,
            between_events_s=settings.between_events_timeout_s,
            total_s=settings.total_timeout_s,
        )

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Generate": grpc.unary_unary_rpc_method_handler(self._generate),
                "StreamGenerate": grpc.unary_stream_rpc_method_handler(self._stream_generate),
                "CountTokens": grpc.unary_unary_rpc_method_handler(self._count_tokens),
            },
        )

    def cut(self) -> None:
        """End running generations with GATEWAY_DRAINING."""
        for reader in tuple(self._readers):
            reader.interrupt(
                call_error(
                    Reason.ERROR_REASON_GATEWAY_DRAINING,
                    "this process is stopping and the call did not end in time; send it to another replica",
                )
            )

    async def _generate(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/Generate", data, context, self._unary)

    async def _stream_generate(self, data: bytes, context: Context) -> None:
        await self._edge.answer(f"/{SERVICE}/StreamGenerate", data, context, self._stream)

    async def _count_tokens(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/CountTokens", data, context, self._count)

    async def _unary(self, call: Call, data: bytes) -> bytes:
        turn, recorder = self._begin(call, data, stream=False)
        native = turn.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH
        sink = FoldSink(keep_native=native)
        async with self._reader(call, turn, recorder, sink) as reader:
            await sink.closed()
            error = reader.error(call.unexpected)
        # Nothing was delivered, so the cause stands as it is and another backend may be tried.
        if error is not None:
            raise CallFailure(error)
        response = sink.fold.response()
        response.end.CopyFrom(call.finish(None))
        if sink.native:
            response.native = b"\n".join(sink.native)
        await call.send_headers()
        return response.SerializeToString()

    async def _stream(self, call: Call, data: bytes) -> None:
        turn, recorder = self._begin(call, data, stream=True)
        delay = turn.request.stream.max_coalesce_delay
        buffer = FrameBuffer(keepalive_s=self._keepalive_s, delay_s=delay.seconds + delay.nanos / 1e9)
        async with self._reader(call, turn, recorder, buffer) as reader:
            while (frame := await buffer.next()) is not None:
                await call.send_headers()
                await call.context.write(frame)
            error = reader.error(call.unexpected)
        if error is not None and not recorder.content_seen:
            raise CallFailure(error)
        await self._end(call, buffer, error)

    async def _end(self, call: Call, buffer: FrameBuffer, error: error_pb2.CallError | None) -> None:
        """Write what is left and `end`: together if all went well; a failed end stands alone in its frame."""
        await call.send_headers()
        rest = buffer.rest()
        if error is not None:
            error = interrupted(error)
            if rest.events:
                await call.context.write(rest.SerializeToString())
                rest = buffer.rest()
        rest.events.add().end.CopyFrom(call.finish(error, numbered=True))
        await call.context.write(rest.SerializeToString())
        if error is not None:
            raise CallFailure(error)

    async def _count(self, call: Call, data: bytes) -> bytes:
        turn = self._turn(call, data)
        limits = self._limits_of(call, turn)
        limit_s = min(limits.total_s, limits.per_attempt_s or limits.total_s)
        try:
            async with asyncio.timeout(limit_s):
                counted = await self._provider.count_tokens(turn)
        except TimeoutError:
            message = f"the provider did not count within {limit_s:g} s; try again or use another backend"
            raise failure(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, message) from None
        await call.send_headers()
        return counted.SerializeToString()

    def _begin(self, call: Call, data: bytes, *, stream: bool) -> tuple[Turn, Recorder]:
        turn = self._turn(call, data)
        call.recorder = Recorder(turn, self._provider.name, call.response_id)
        call.labels = turn.request.options.labels
        call.span.requested(turn.request, turn.model, stream=stream)
        return turn, call.recorder

    def _turn(self, call: Call, data: bytes) -> Turn:
        settings = self._settings
        if len(data) > settings.max_request_bytes:
            raise failure(
                Reason.ERROR_REASON_REQUEST_TOO_LARGE,
                f"the request has {len(data)} bytes, this service takes {settings.max_request_bytes}; shorten the "
                "prompt or send large media by reference",
            )
        try:
            request = chat_pb2.StreamGenerateRequest.FromString(data)
        except DecodeError:
            raise failure(
                Reason.ERROR_REASON_INVALID_REQUEST,
                "the request is not a valid protobuf message of its type; check the client's version and that all "
                "strings are valid UTF-8",
            ) from None
        model = str(call.metadata.get(metadata.MODEL_NATIVE) or request.model)
        validate(request, model)
        return Turn(
            request=request,
            model=model,
            state_domain=settings.state_domain,
            max_output_tokens=settings.max_output_tokens,
        )

    def _reader(self, call: Call, turn: Turn, recorder: Recorder, sink: Sink) -> Reader:
        limits = self._limits_of(call, turn)
        return Reader(self._provider, turn, recorder, sink, limits=limits, running=self._readers)

    def _limits_of(self, call: Call, turn: Turn) -> Limits:
        remaining_s = call.time_left_s()
        if remaining_s is None and not turn.request.options.HasField("timeouts"):
            return self._limits
        return self._limits.narrowed(turn.request.options.timeouts, remaining_s)
