"""Owns the list of what a provider service serves: every service of the contract, whatever its adapter can do.

A service whose port the adapter lacks answers OPERATION_UNSUPPORTED, typed and recorded like any other answer.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from antiphon.llm.v1 import completion_pb2, embedding_pb2, native_pb2, rerank_pb2
from antiphon_contract.errors import Reason, failure
from antiphon_kit import chat_servicer, completion_servicer, models_servicer, native_servicer, response_servicer
from antiphon_kit.call import Call, Context, Edge
from antiphon_kit.chat_servicer import ChatServicer
from antiphon_kit.completion_servicer import CompletionServicer
from antiphon_kit.models_servicer import ModelsServicer
from antiphon_kit.native_servicer import NativeServicer
from antiphon_kit.provider import (
    ChatProvider,
    CompletionProvider,
    EmbeddingProvider,
    NativeProvider,
    RerankProvider,
)
from antiphon_kit.upstream import Upstream

NAMES: Final = (
    chat_servicer.SERVICE,
    models_servicer.SERVICE,
    response_servicer.EMBEDDING,
    response_servicer.RERANK,
    completion_servicer.SERVICE,
    native_servicer.SERVICE,
)
"""What health reports."""


class _Served(NamedTuple):
    provider: ChatProvider
    upstream: Upstream
    edge: Edge

    def unsupported(self, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        handlers = {method.name: _refusing(method, self) for method in service.methods}
        return grpc.method_handlers_generic_handler(service.full_name, handlers)


def handlers(provider: ChatProvider, upstream: Upstream, edge: Edge) -> Sequence[grpc.GenericRpcHandler]:
    """What to register with a server."""
    served = _Served(provider, upstream, edge)
    return (
        ChatServicer(provider, upstream, edge).handler(),
        ModelsServicer(provider, edge, limit_s=upstream.settings.first_event_timeout_s).handler(),
        response_servicer.embedding_servicer(provider, upstream, edge)
        if isinstance(provider, EmbeddingProvider)
        else served.unsupported(embedding_pb2.DESCRIPTOR.services_by_name["EmbeddingService"]),
        response_servicer.rerank_servicer(provider, upstream, edge)
        if isinstance(provider, RerankProvider)
        else served.unsupported(rerank_pb2.DESCRIPTOR.services_by_name["RerankService"]),
        CompletionServicer(provider, upstream, edge).handler()
        if isinstance(provider, CompletionProvider)
        else served.unsupported(completion_pb2.DESCRIPTOR.services_by_name["CompletionService"]),
        NativeServicer(provider, upstream, edge).handler()
        if isinstance(provider, NativeProvider)
        else served.unsupported(native_pb2.DESCRIPTOR.services_by_name["NativeService"]),
    )


def _refusing(method: MethodDescriptor, served: _Served) -> "grpc.RpcMethodHandler[bytes, bytes]":
    path = f"/{method.containing_service.full_name}/{method.name}"

    async def refuse(call: Call, data: bytes) -> Any:
        raise failure(
            Reason.ERROR_REASON_OPERATION_UNSUPPORTED,
            f"{served.provider.name} has no {method.name}; ask another provider",
        )

    async def answer(data: bytes, context: Context) -> Any:
        return await served.edge.answer(path, data, context, refuse)

    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(answer)
    return grpc.unary_unary_rpc_method_handler(answer)
