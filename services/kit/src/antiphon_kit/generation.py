"""Owns the two ways in which a stream of events answers a call: folded into a response, or frame by frame.

Chat and text completion share it: their responses and frames have the same fields with the same numbers.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

from antiphon.llm.v1 import error_pb2, options_pb2
from antiphon_contract.errors import CallFailure
from antiphon_kit.call import Call
from antiphon_kit.provider import Batch, CompletionJob, Job, Turn
from antiphon_kit.recorder import Recorder
from antiphon_kit.stream import FoldSink, FrameBuffer, Reader, Sink, interrupted
from antiphon_kit.upstream import Upstream

Events: TypeAlias = Callable[[], AsyncIterator[Batch]]
GenerationJob: TypeAlias = Turn | CompletionJob


class Generations:
    """Answers by events. `operation` is their name in telemetry."""

    def __init__(self, upstream: Upstream, operation: str) -> None:
        self._upstream = upstream
        self._operation = operation
        self._keepalive_s = upstream.settings.keepalive_s

    async def whole(self, call: Call, job: GenerationJob, events: Events) -> bytes:
        """The serialized response."""
        recorder = self._recorder(call, job, stream=False)
        native = job.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH
        sink = FoldSink(keep_native=native)
        async with self._reader(call, job, events, recorder, sink) as reader:
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

    async def stream(self, call: Call, job: GenerationJob, events: Events) -> None:
        """Write the frames."""
        recorder = self._recorder(call, job, stream=True)
        delay = job.request.stream.max_coalesce_delay
        buffer = FrameBuffer(keepalive_s=self._keepalive_s, delay_s=delay.seconds + delay.nanos / 1e9)
        async with self._reader(call, job, events, recorder, buffer) as reader:
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

    def _recorder(self, call: Call, job: GenerationJob, *, stream: bool) -> Recorder:
        call.recorder = recorder = Recorder(job, self._upstream.provider, call.response_id)
        call.job, call.labels = job, job.request.options.labels
        call.span.requested(job.request, job.model, stream=stream, operation=self._operation)
        return recorder

    def _reader(
        self, call: Call, job: Job[Any], events: Events, recorder: Recorder, sink: Sink[Batch]
    ) -> Reader[Batch]:
        limits = self._upstream.limits(call, job.request.options)
        return self._upstream.reading(events, job, recorder, sink, limits)
