"""Owns the test double of a provider and the channel to one that is served in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest

from antiphon.llm.v1 import (
    chat_pb2,
    completion_pb2,
    content_pb2,
    embedding_pb2,
    models_pb2,
    native_pb2,
    rerank_pb2,
    response_pb2,
    usage_pb2,
)
from antiphon_contract import errors
from antiphon_kit import channel_options
from antiphon_kit.egress import Egress
from antiphon_kit.provider import Batch, Job, NativeOperation, NativePiece, Turn
from antiphon_kit.server import serve
from antiphon_kit.service import Service
from antiphon_kit.settings import ServiceSettings

Step = Batch | Exception | BaseException | Callable[[Turn], Awaitable[None]]


class Events:
    """Builds events of the contract."""

    @staticmethod
    def start(**fields: Any) -> response_pb2.StreamEvent:
        return response_pb2.StreamEvent(start=response_pb2.ResponseStart(**fields))

    @staticmethod
    def part(candidate: int = 0) -> response_pb2.StreamEvent:
        part = content_pb2.Part(text=content_pb2.TextPart())
        return response_pb2.StreamEvent(part_start=response_pb2.PartStart(part=part), candidate_index=candidate)

    @staticmethod
    def text(text: str, candidate: int = 0) -> response_pb2.StreamEvent:
        return response_pb2.StreamEvent(text_delta=text, candidate_index=candidate)

    @staticmethod
    def part_end(candidate: int = 0) -> response_pb2.StreamEvent:
        return response_pb2.StreamEvent(part_end=response_pb2.PartEnd(), candidate_index=candidate)

    @staticmethod
    def stop(reason: int = response_pb2.FINISH_REASON_STOP, candidate: int = 0) -> response_pb2.StreamEvent:
        end = response_pb2.CandidateEnd(reason=reason, native_reason="stop")
        return response_pb2.StreamEvent(candidate_end=end, candidate_index=candidate)

    @staticmethod
    def usage(input_tokens: int, output_tokens: int) -> response_pb2.StreamEvent:
        usage = usage_pb2.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return response_pb2.StreamEvent(usage=usage)


@dataclass
class ScriptedProvider:
    """Plays `script`: batches are yielded, exceptions raised, coroutine functions awaited with the turn."""

    script: Sequence[Step] = ()
    name: str = "scripted"
    models: Sequence[models_pb2.Model] = ()
    counting: Callable[[Turn], Awaitable[chat_pb2.CountTokensResponse]] | None = None
    not_ready: Exception | None = None
    turns: list[Turn] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    acloses: int = 0
    probes: int = 0

    async def generate(self, turn: Turn) -> AsyncIterator[Batch]:
        self.turns.append(turn)
        ending = "returned"
        try:
            for step in self.script:
                if isinstance(step, BaseException):
                    raise step  # noqa: TRY301 - a scripted failure
                if callable(step):
                    await step(turn)
                else:
                    yield [_copy(event) for event in step]
        except BaseException as error:
            ending = type(error).__name__
            raise
        finally:
            self.closed.append(ending)
            self.released.set()

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        self.turns.append(turn)
        if self.counting is None:
            raise errors.failure(errors.Reason.ERROR_REASON_OPERATION_UNSUPPORTED, "no counting here")
        return await self.counting(turn)

    async def list_models(self) -> Sequence[models_pb2.Model]:
        return self.models

    async def ready(self) -> None:
        self.probes += 1
        if self.not_ready is not None:
            raise self.not_ready

    async def aclose(self) -> None:
        self.acloses += 1


@dataclass
class VersatileProvider(ScriptedProvider):
    """Can do everything: `complete` plays the script too, `respond` makes responses, `pieces` are played as bodies."""

    respond: Callable[[Job[Any]], Awaitable[Any]] | None = None
    pieces: Sequence[NativePiece | BaseException | Callable[[Job[Any]], Awaitable[None]]] = ()
    native_operations: Sequence[NativeOperation] = (
        NativeOperation("POST", "/chat", ["scripted/chat", "scripted"]),
        NativeOperation("GET", "/models", ["scripted/models"]),
    )

    def complete(self, job: Any) -> AsyncIterator[Batch]:
        return self.generate(job)

    async def embed(self, job: Any) -> embedding_pb2.EmbedResponse:
        return await self._respond(job)

    async def rerank(self, job: Any) -> rerank_pb2.RerankResponse:
        return await self._respond(job)

    async def _respond(self, job: Any) -> Any:
        self.turns.append(job)
        assert self.respond is not None
        try:
            return await self.respond(job)
        finally:
            self.released.set()

    async def stream_native(self, job: Any) -> AsyncIterator[NativePiece]:
        self.turns.append(job)
        try:
            for piece in self.pieces:
                if isinstance(piece, BaseException):
                    raise piece
                if callable(piece):
                    await piece(job)
                else:
                    yield piece
        finally:
            self.released.set()


def _copy(event: response_pb2.StreamEvent) -> response_pb2.StreamEvent:
    copied = response_pb2.StreamEvent()
    copied.CopyFrom(event)
    return copied


@dataclass
class Answer:
    """What a caller saw of one call."""

    frames: list[chat_pb2.StreamGenerateResponse]
    code: grpc.StatusCode
    message: str
    headers: dict[str, str | bytes]
    trailers: tuple[tuple[str, str | bytes], ...]
    response: Any = None

    @property
    def events(self) -> list[response_pb2.StreamEvent]:
        return [event for frame in self.frames for event in frame.events]

    @property
    def kinds(self) -> list[str]:
        return [event.WhichOneof("kind") for event in self.events]

    @property
    def error(self) -> Any:
        return errors.from_trailers(self.trailers)

    @property
    def reason(self) -> str:
        return errors.reason_name(self.error.reason) if self.error else ""

    @property
    def record(self) -> Any:
        return errors.end_from_trailers(self.trailers)


class Caller:
    """A client of one served provider."""

    def __init__(self, channel: grpc.aio.Channel, service: Service, provider: ScriptedProvider) -> None:
        self.channel = channel
        self.service = service
        self.provider = provider
        self._stream = self._streaming("ChatService/StreamGenerate", chat_pb2.StreamGenerateResponse)
        # Frames of both services have the same fields with the same numbers.
        self.completions = self._streaming("CompletionService/StreamComplete", chat_pb2.StreamGenerateResponse)
        self.natives = self._streaming("NativeService/StreamNative", native_pb2.StreamNativeResponse)

    def _streaming(self, method: str, kind: Any) -> Any:
        return self.channel.unary_stream(
            f"/antiphon.llm.v1.{method}", request_serializer=_serialize, response_deserializer=kind.FromString
        )

    def open(self, request: Any = None, *, deadline_s: float | None = None, **metadata: str) -> Any:
        request = self.request() if request is None else request
        return self._stream(request, timeout=deadline_s, metadata=_metadata(metadata))

    async def stream(self, request: Any = None, *, deadline_s: float | None = None, **metadata: str) -> Answer:
        return await self.collect(self.open(request, deadline_s=deadline_s, **metadata))

    async def collect(self, call: Any) -> Answer:
        frames = []
        with contextlib.suppress(grpc.aio.AioRpcError):
            while (frame := await call.read()) is not grpc.aio.EOF:
                frames.append(frame)
        return await _answer(call, frames)

    async def unary(
        self, method: str, request: Any, kind: Any, *, deadline_s: float | None = None, **metadata: str
    ) -> Answer:
        invoke = self.channel.unary_unary(method, request_serializer=_serialize, response_deserializer=kind.FromString)
        call = invoke(request, timeout=deadline_s, metadata=_metadata(metadata))
        response = None
        with contextlib.suppress(grpc.aio.AioRpcError):
            response = await call
        answer = await _answer(call, [])
        answer.response = response
        return answer

    async def embed(self, request: Any, **options: Any) -> Answer:
        method = "/antiphon.llm.v1.EmbeddingService/Embed"
        return await self.unary(method, request, embedding_pb2.EmbedResponse, **options)

    async def rerank(self, request: Any, **options: Any) -> Answer:
        return await self.unary("/antiphon.llm.v1.RerankService/Rerank", request, rerank_pb2.RerankResponse, **options)

    async def complete(self, request: Any, **options: Any) -> Answer:
        method = "/antiphon.llm.v1.CompletionService/Complete"
        return await self.unary(method, request, completion_pb2.CompleteResponse, **options)

    async def native(self, request: Any, **options: Any) -> Answer:
        method = "/antiphon.llm.v1.NativeService/CallNative"
        return await self.unary(method, request, native_pb2.CallNativeResponse, **options)

    async def generate(self, request: Any = None, *, deadline_s: float | None = None, **metadata: str) -> Answer:
        request = self.request() if request is None else request
        method = "/antiphon.llm.v1.ChatService/Generate"
        return await self.unary(method, request, chat_pb2.GenerateResponse, deadline_s=deadline_s, **metadata)

    @staticmethod
    def request(text: str = "hello there", **fields: Any) -> chat_pb2.StreamGenerateRequest:
        part = content_pb2.Part(text=content_pb2.TextPart(text=text))
        message = content_pb2.Message(role=content_pb2.ROLE_USER, parts=[part])
        return chat_pb2.StreamGenerateRequest(model="m", prompt=chat_pb2.Prompt(messages=[message]), **fields)


def _serialize(request: Any) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


def _metadata(given: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((key.replace("_", "-"), value) for key, value in given.items())


async def _answer(call: Any, frames: list[chat_pb2.StreamGenerateResponse]) -> Answer:
    return Answer(
        frames,
        await call.code(),
        await call.details(),
        dict(await call.initial_metadata()),
        tuple(await call.trailing_metadata()),
    )


@pytest.fixture
def events() -> type[Events]:
    return Events


@pytest.fixture
def scripted() -> type[ScriptedProvider]:
    return ScriptedProvider


@pytest.fixture
def versatile() -> type[VersatileProvider]:
    return VersatileProvider


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """`await until(lambda: condition)`, for what nobody signals; fails after 2 s."""

    async def waited(condition: Callable[[], Any]) -> None:
        for _ in range(400):
            if condition():
                return
            await asyncio.sleep(0.005)
        pytest.fail("the condition did not come true within 2 s")

    return waited


@pytest.fixture
def dial() -> Callable[..., contextlib.AbstractAsyncContextManager[Caller]]:
    """`async with dial(provider, keepalive_s=..., drain_grace_s=...) as caller`."""

    @contextlib.asynccontextmanager
    async def dialled(provider: ScriptedProvider, **settings: Any) -> AsyncIterator[Caller]:
        configured = replace(ServiceSettings(drain_grace_s=5.0), **settings)
        async with (
            serve(provider, configured, probe_every_s=0.02) as service,
            grpc.aio.insecure_channel(service.address, options=channel_options.ROUTER_TO_PROVIDER) as channel,
        ):
            yield Caller(channel, service, provider)

    return dialled


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    async with Egress(connect_timeout_s=2.0) as opened:
        yield opened
