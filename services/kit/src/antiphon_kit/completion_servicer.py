"""Owns antiphon.llm.v1.CompletionService over a CompletionProvider: two RPCs, the streaming path of chat.

Complete is read as StreamCompleteRequest, whose fields 1 to 4 are its own.
"""

from functools import partial
from typing import Final

import grpc

from antiphon.llm.v1 import completion_pb2
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.generation import Generations
from antiphon_kit.intake import model_of, parsed
from antiphon_kit.provider import CompletionJob, CompletionProvider, Job
from antiphon_kit.service_rules import validate_completion
from antiphon_kit.upstream import Upstream

SERVICE: Final = completion_pb2.DESCRIPTOR.services_by_name["CompletionService"].full_name


class CompletionServicer:
    """CompletionService of one provider."""

    def __init__(self, provider: CompletionProvider, upstream: Upstream, edge: Edge) -> None:
        self._provider = provider
        self._upstream = upstream
        self._edge = edge
        self._generations = Generations(upstream, "text_completion")

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Complete": grpc.unary_unary_rpc_method_handler(self._complete),
                "StreamComplete": grpc.unary_stream_rpc_method_handler(self._stream_complete),
            },
        )

    async def _complete(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(f"/{SERVICE}/Complete", data, context, self._whole)

    async def _stream_complete(self, data: bytes, context: Context) -> None:
        await self._edge.answer(f"/{SERVICE}/StreamComplete", data, context, self._stream)

    async def _whole(self, call: Call, data: bytes) -> bytes:
        job = self._job(call, data)
        return await self._generations.whole(call, job, partial(self._provider.complete, job))

    async def _stream(self, call: Call, data: bytes) -> None:
        job = self._job(call, data)
        await self._generations.stream(call, job, partial(self._provider.complete, job))

    def _job(self, call: Call, data: bytes) -> CompletionJob:
        settings = self._upstream.settings
        request = parsed(completion_pb2.StreamCompleteRequest, data, settings.max_request_bytes)
        model = model_of(call, request.model)
        validate_completion(request, model)
        return Job(
            request=request,
            model=model,
            state_domain=settings.state_domain,
            max_output_tokens=settings.max_output_tokens,
        )
