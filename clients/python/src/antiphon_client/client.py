"""Owns the async face: one method per thing that can be asked of a router."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, Unpack

import grpc

from antiphon.llm.v1 import (
    chat_pb2,
    chat_pb2_grpc,
    completion_pb2,
    content_pb2,
    embedding_pb2,
    embedding_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    native_pb2,
    native_pb2_grpc,
    rerank_pb2,
    rerank_pb2_grpc,
)
from antiphon.router.v1 import health_pb2, router_pb2, router_pb2_grpc
from antiphon_client.answer import Answer
from antiphon_client.connection import Connection, router_end_of
from antiphon_client.requests import (
    DEFAULT_TIMEOUT_S,
    CallArguments,
    Defaults,
    Prepared,
    Prompt,
    RouteArguments,
    prepare,
    prepare_raw,
    route,
)
from antiphon_client.results import Embeddings, Ranking
from antiphon_client.service_requests import (
    CompleteArguments,
    EmbedArguments,
    Input,
    NativeArguments,
    RerankArguments,
    prepare_completion,
    prepare_embed,
    prepare_native,
    prepare_rerank,
)
from antiphon_client.stream import AsyncStream
from antiphon_contract.tls import TlsFiles

_PAGE_SIZE: Final = 1000
_COMPLETIONS: Final = "/antiphon.llm.v1.CompletionService"


class AsyncClient:
    """A client of one router; use with `async with`, or `open()` and `close()`.

    address: "host:port" or a gRPC target. timeout_s: deadline of calls that give none; None: no deadline.
    default_model: asked for when a call names neither model nor provider; "": the router's own default.
    metadata: sent with every call, lower-case keys. tls: certificate files, followed as they change. credentials: for
    any other kind of TLS.

    A prompt is a text, or a sequence of messages and ("user" | "assistant" | ..., text) pairs. Keyword arguments of
    calls are those of `CallArguments` and `RouteArguments`. Calls raise AntiphonError; nothing is retried here.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        default_model: str = "",
        metadata: Mapping[str, str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        self._connection = Connection(address, credentials, tls)
        self._defaults = Defaults(default_model, timeout_s, dict(metadata or {}))

    async def open(self) -> Self:
        """Make the channel; it connects with the first call."""
        await self._connection.__aenter__()
        return self

    async def close(self) -> None:
        """Cancel what runs and close the channel."""
        await self._connection.__aexit__(None, None, None)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def stream(self, prompt: Prompt, **call: Unpack[CallArguments]) -> AsyncStream:
        """An answer as it comes. The call begins on entering the stream."""
        prepared = prepare(chat_pb2.StreamGenerateRequest, prompt, call, self._defaults)
        return AsyncStream(self._connection, self._chat.StreamGenerate, prepared)

    def stream_raw(self, request: chat_pb2.StreamGenerateRequest, **call: Unpack[RouteArguments]) -> AsyncStream:
        """The same for the contract's own request; `frames()` of the stream gives its own answers."""
        prepared = prepare_raw(request, call, self._defaults)
        return AsyncStream(self._connection, self._chat.StreamGenerate, prepared)

    async def generate(self, prompt: Prompt, **call: Unpack[CallArguments]) -> Answer:
        """A whole answer."""
        return await self._answer(self._chat.Generate, prepare(chat_pb2.GenerateRequest, prompt, call, self._defaults))

    def stream_complete(self, prompt: str | Sequence[int], **call: Unpack[CompleteArguments]) -> AsyncStream:
        """A text (or tokens) completed as it comes. The call begins on entering the stream."""
        prepared = prepare_completion(completion_pb2.StreamCompleteRequest, prompt, call, self._defaults)
        # Same fields with the same numbers as the frames of a chat.
        method = self._connection.channel.unary_stream(
            f"{_COMPLETIONS}/StreamComplete",
            request_serializer=completion_pb2.StreamCompleteRequest.SerializeToString,
            response_deserializer=chat_pb2.StreamGenerateResponse.FromString,
        )
        return AsyncStream(self._connection, method, prepared)

    async def complete(self, prompt: str | Sequence[int], **call: Unpack[CompleteArguments]) -> Answer:
        """A text (or tokens) completed; with `suffix`, what fits in between."""
        prepared = prepare_completion(completion_pb2.CompleteRequest, prompt, call, self._defaults)
        method = self._connection.channel.unary_unary(
            f"{_COMPLETIONS}/Complete",
            request_serializer=completion_pb2.CompleteRequest.SerializeToString,
            response_deserializer=chat_pb2.GenerateResponse.FromString,
        )
        return await self._answer(method, prepared)

    async def _answer(self, method: Any, prepared: Prepared[Any]) -> Answer:
        started_at_s = time.monotonic()
        response, trailers = await self._connection.unary(
            method, prepared.request, prepared.route, chat_pb2.GenerateResponse
        )
        router_end = router_end_of(trailers)
        return Answer(
            response=response,
            request_id=prepared.route.request_id,
            attempts=tuple(router_end.attempts) if router_end else (),
            restarts=0,
            duration_s=time.monotonic() - started_at_s,
            router_end=router_end,
        )

    async def embed(self, inputs: Sequence[Input], **call: Unpack[EmbedArguments]) -> Embeddings:
        """A vector for each text, token list or EmbedInput."""
        prepared = prepare_embed(inputs, call, self._defaults)
        stub = embedding_pb2_grpc.EmbeddingServiceStub(self._connection.channel)
        started_at_s = time.monotonic()
        response, trailers = await self._connection.unary(
            stub.Embed, prepared.request, prepared.route, embedding_pb2.EmbedResponse
        )
        duration_s = time.monotonic() - started_at_s
        return Embeddings(response, prepared.route.request_id, duration_s, router_end_of(trailers))

    async def rerank(
        self, query: str, documents: Sequence[str | content_pb2.Document], **call: Unpack[RerankArguments]
    ) -> Ranking:
        """The documents by how well they answer the query."""
        prepared = prepare_rerank(query, documents, call, self._defaults)
        stub = rerank_pb2_grpc.RerankServiceStub(self._connection.channel)
        started_at_s = time.monotonic()
        response, trailers = await self._connection.unary(
            stub.Rerank, prepared.request, prepared.route, rerank_pb2.RerankResponse
        )
        duration_s = time.monotonic() - started_at_s
        return Ranking(response, prepared.route.request_id, duration_s, router_end_of(trailers))

    async def native(self, method: str, path: str, **call: Unpack[NativeArguments]) -> native_pb2.CallNativeResponse:
        """One exchange in a provider's own HTTP API. An HTTP status from 400 on is an answer, not an error."""
        prepared = prepare_native(method, path, call, self._defaults)
        stub = native_pb2_grpc.NativeServiceStub(self._connection.channel)
        response, _ = await self._connection.unary(
            stub.CallNative, prepared.request, prepared.route, native_pb2.CallNativeResponse
        )
        return response

    async def count_tokens(self, prompt: Prompt, **call: Unpack[CallArguments]) -> chat_pb2.CountTokensResponse:
        """Input tokens that `generate` with the same arguments would have."""
        prepared = prepare(chat_pb2.CountTokensRequest, prompt, call, self._defaults)
        response, _ = await self._connection.unary(
            self._chat.CountTokens, prepared.request, prepared.route, chat_pb2.CountTokensResponse
        )
        return response

    async def models(self, provider: str = "", *, timeout_s: float | None = None) -> list[models_pb2.Model]:
        """All models, or those of one provider, ordered by id."""
        stub = models_pb2_grpc.ModelServiceStub(self._connection.channel)
        way = route({"timeout_s": timeout_s}, self._defaults)
        request = models_pb2.ListModelsRequest(provider=provider, page_size=_PAGE_SIZE)
        found: list[models_pb2.Model] = []
        while True:
            page, _ = await self._connection.unary(stub.ListModels, request, way, models_pb2.ListModelsResponse)
            found.extend(page.models)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    @property
    def _chat(self) -> chat_pb2_grpc.ChatServiceStub:
        return chat_pb2_grpc.ChatServiceStub(self._connection.channel)


class AdminClient:
    """A client of a router's administration, which has an address of its own; use with `async with`."""

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float = 10.0,
        credentials: grpc.ChannelCredentials | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        self._connection = Connection(address, credentials, tls)
        self._defaults = Defaults(timeout_s=timeout_s)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(None, None, None)

    async def backends(self) -> list[router_pb2.Backend]:
        """Every backend with its targets, their states and the reasons for them, ordered by id."""
        return list((await self.status()).backends)

    async def status(self) -> router_pb2.ListBackendsResponse:
        """All pages as one: every backend, the routes in use, and the link to other routers."""
        stub = router_pb2_grpc.RouterAdminServiceStub(self._connection.channel)
        way = route({}, self._defaults)
        request = router_pb2.ListBackendsRequest(page_size=_PAGE_SIZE)
        found: list[router_pb2.Backend] = []
        while True:
            page, _ = await self._connection.unary(stub.ListBackends, request, way, router_pb2.ListBackendsResponse)
            found.extend(page.backends)
            if not page.next_page_token:
                del page.backends[:]
                page.backends.extend(found)
                return page
            request.page_token = page.next_page_token

    async def explain(self, request: router_pb2.ExplainRouteRequest) -> router_pb2.ExplainRouteResponse:
        """What the router would do with such a call now. Raises NotFound for a name that leads nowhere."""
        stub = router_pb2_grpc.RouterAdminServiceStub(self._connection.channel)
        way = route({}, self._defaults)
        answer, _ = await self._connection.unary(stub.ExplainRoute, request, way, router_pb2.ExplainRouteResponse)
        return answer

    async def enable(self, id: str) -> list[health_pb2.Target]:
        """Have the targets with this id, or all of the backend with this id, tried with the next call.

        As they are now, ordered by scope and id. Raises NotFound for an id that nothing has, InvalidRequest for none.
        """
        stub = router_pb2_grpc.RouterAdminServiceStub(self._connection.channel)
        request, way = router_pb2.EnableTargetRequest(id=id), route({}, self._defaults)
        answer, _ = await self._connection.unary(stub.EnableTarget, request, way, router_pb2.EnableTargetResponse)
        return list(answer.targets)
