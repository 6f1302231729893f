"""Owns antiphon.llm.v1.NativeService over a NativeProvider: a vendor's own HTTP API, bytes unchanged.

CallNative is read as StreamNativeRequest, whose fields are its own. An HTTP status from 400 on is an answer: the RPC
ends OK and its record says FAILED. Only while a router can still ask another backend is it a status.
"""

import re
from functools import partial
from typing import Final

import grpc

from antiphon.llm.v1 import native_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.exchange_recorder import NativeRecorder
from antiphon_kit.intake import model_of, parsed
from antiphon_kit.native_rules import check_native, passed_on
from antiphon_kit.native_sinks import BodyBuffer, BodySink
from antiphon_kit.provider import Job, NativeJob, NativePiece, NativeProvider
from antiphon_kit.stream import Reader, Sink, interrupted
from antiphon_kit.upstream import Upstream

SERVICE: Final = native_pb2.DESCRIPTOR.services_by_name["NativeService"].full_name
_ATTEMPT: Final = re.compile(r"(\d{1,4})/(\d{1,4})")


class NativeServicer:
    """NativeService of one provider."""

    def __init__(self, provider: NativeProvider, upstream: Upstream, edge: Edge) -> None:
        self._provider = provider
        self._upstream = upstream
        self._edge = edge

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "CallNative": grpc.unary_unary_rpc_method_handler(self._call_native),
                "StreamNative": grpc.unary_stream_rpc_method_handler(self._stream_native),
            },
        )

    async def _call_native(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/CallNative", data, context, self._whole)

    async def _stream_native(self, data: bytes, context: Context) -> None:
        await self._edge.answer(f"/{SERVICE}/StreamNative", data, context, self._stream)

    async def _whole(self, call: Call, data: bytes) -> bytes:
        job, recorder = self._begin(call, data)
        sink = BodySink(curable=_others_left(call))
        async with self._reader(call, job, recorder, sink, patient=True) as reader:
            await sink.closed()
            error = reader.error(call.unexpected)
        if error is not None:
            raise CallFailure(error)
        _finish(call, recorder)
        await call.send_headers()
        return sink.response().SerializeToString()

    async def _stream(self, call: Call, data: bytes) -> None:
        job, recorder = self._begin(call, data)
        buffer = BodyBuffer(curable=_others_left(call))
        begun = False
        async with self._reader(call, job, recorder, buffer, patient=False) as reader:
            while (message := await buffer.next()) is not None:
                begun = True
                await call.send_headers()
                await call.context.write(message)
            error = reader.error(call.unexpected)
        if error is not None and not begun:
            raise CallFailure(error)
        if rest := buffer.rest():
            await call.send_headers()
            await call.context.write(rest)
        if error is not None:
            raise CallFailure(interrupted(error))
        _finish(call, recorder)

    def _begin(self, call: Call, data: bytes) -> tuple[NativeJob, NativeRecorder]:
        settings = self._upstream.settings
        request = parsed(native_pb2.StreamNativeRequest, data, settings.max_request_bytes)
        model = model_of(call, request.model)
        check_native(request, model, self._provider.native_operations)
        headers = passed_on(request.request.headers)
        del request.request.headers[:]
        request.request.headers.extend(headers)
        job: NativeJob = Job(request=request, model=model, state_domain=settings.state_domain)
        call.recorder = recorder = NativeRecorder(job, self._upstream.provider, call.response_id)
        call.job = job
        call.labels = request.options.labels
        return job, recorder

    def _reader(
        self, call: Call, job: NativeJob, recorder: NativeRecorder, sink: Sink[NativePiece], *, patient: bool
    ) -> Reader[NativePiece]:
        limits = self._upstream.limits(call, job.request.options, patient=patient)
        return self._upstream.reading(partial(self._provider.stream_native, job), job, recorder, sink, limits)


def _others_left(call: Call) -> bool:
    """Whether the router that sent this attempt may make another."""
    attempt = _ATTEMPT.fullmatch(str(call.metadata.get(metadata.ATTEMPT, "")))
    return attempt is not None and int(attempt[1]) < int(attempt[2])


def _finish(call: Call, recorder: NativeRecorder) -> None:
    error = recorder.head.error if recorder.head is not None else None
    call.finish(error, code=grpc.StatusCode.OK)
