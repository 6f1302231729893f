"""Owns antiphon.llm.v1.EmbeddingService and RerankService: one request, one upstream call, one response.

The response passes the same reader as a stream does, so limits, drain, cancellation and errors are the same.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final, Generic, TypeVar

import grpc

from antiphon.llm.v1 import embedding_pb2, rerank_pb2
from antiphon_contract.errors import CallFailure
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.exchange_recorder import ResponseRecorder
from antiphon_kit.intake import model_of, parsed
from antiphon_kit.provider import EmbeddingProvider, Job, RerankProvider
from antiphon_kit.service_rules import validate_embedding, validate_rerank
from antiphon_kit.stream import ResponseSink
from antiphon_kit.upstream import Upstream

EMBEDDING: Final = embedding_pb2.DESCRIPTOR.services_by_name["EmbeddingService"].full_name
RERANK: Final = rerank_pb2.DESCRIPTOR.services_by_name["RerankService"].full_name

RequestT = TypeVar("RequestT", embedding_pb2.EmbedRequest, rerank_pb2.RerankRequest)
ResponseT = TypeVar("ResponseT", embedding_pb2.EmbedResponse, rerank_pb2.RerankResponse)


class ResponseServicer(Generic[RequestT, ResponseT]):
    """A service with one unary RPC, `method` ("/package.Service/Method")."""

    def __init__(
        self,
        method: str,
        kind: type[RequestT],
        ask: Callable[[Job[RequestT]], Awaitable[ResponseT]],
        *,
        validate: Callable[[RequestT, str], None],
        operation: str,
        upstream: Upstream,
        edge: Edge,
    ) -> None:
        self._method = method
        self._kind: type[RequestT] = kind
        self._ask: Callable[[Job[RequestT]], Awaitable[ResponseT]] = ask
        self._validate: Callable[[RequestT, str], None] = validate
        self._operation = operation
        self._upstream = upstream
        self._edge = edge

    def handler(self) -> grpc.GenericRpcHandler:
        """What to register with a server."""
        _, service, name = self._method.split("/")
        return grpc.method_handlers_generic_handler(service, {name: grpc.unary_unary_rpc_method_handler(self._answer)})

    async def _answer(self, data: bytes, context: Context) -> bytes:
        return await self._edge.answer(self._method, data, context, self._whole)

    async def _whole(self, call: Call, data: bytes) -> bytes:
        job = self._job(call, data)
        recorder: ResponseRecorder[ResponseT] = ResponseRecorder(job, self._upstream.provider, call.response_id)
        call.recorder = recorder
        call.job, call.labels = job, job.request.options.labels
        call.span.requested(job.request, job.model, stream=False, operation=self._operation)
        sink: ResponseSink[ResponseT] = ResponseSink()
        limits = self._upstream.limits(call, job.request.options)
        async with self._upstream.reading(partial(_once, self._ask, job), job, recorder, sink, limits) as reader:
            await sink.closed()
            error = reader.error(call.unexpected)
        if error is not None:
            raise CallFailure(error)
        response = sink.response
        assert response is not None, "a read without an error is a response"
        response.end.CopyFrom(call.finish(None))
        await call.send_headers()
        return response.SerializeToString()

    def _job(self, call: Call, data: bytes) -> Job[RequestT]:
        settings = self._upstream.settings
        request = parsed(self._kind, data, settings.max_request_bytes)
        model = model_of(call, request.model)
        self._validate(request, model)
        return Job(request=request, model=model, state_domain=settings.state_domain)


async def _once(ask: Callable[[Job[RequestT]], Awaitable[ResponseT]], job: Job[RequestT]) -> AsyncIterator[ResponseT]:
    yield await ask(job)


def embedding_servicer(provider: EmbeddingProvider, upstream: Upstream, edge: Edge) -> grpc.GenericRpcHandler:
    """EmbeddingService of one provider, to be registered with a server."""
    return ResponseServicer(
        f"/{EMBEDDING}/Embed",
        embedding_pb2.EmbedRequest,
        provider.embed,
        validate=validate_embedding,
        operation="embeddings",
        upstream=upstream,
        edge=edge,
    ).handler()


def rerank_servicer(provider: RerankProvider, upstream: Upstream, edge: Edge) -> grpc.GenericRpcHandler:
    """RerankService of one provider, to be registered with a server."""
    return ResponseServicer(
        f"/{RERANK}/Rerank",
        rerank_pb2.RerankRequest,
        provider.rerank,
        validate=validate_rerank,
        operation="rerank",
        upstream=upstream,
        edge=edge,
    ).handler()
