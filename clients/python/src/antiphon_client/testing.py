"""Owns a router without providers: it speaks the contract and plays scenes, for tests of what calls a router.

async def scene(call: SceneCall) -> AsyncGenerator[StreamGenerateResponse, None]   # may raise CallFailure
async with ScriptedRouter(scene) as router: AsyncClient(router.address) ...

Forbids itself: to be imported by anything but tests.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc

from antiphon.llm.v1 import (
    chat_pb2,
    chat_pb2_grpc,
    content_pb2,
    error_pb2,
    models_pb2,
    models_pb2_grpc,
    response_pb2,
    usage_pb2,
)
from antiphon.router.v1 import router_pb2, router_pb2_grpc
from antiphon_contract import errors, metadata
from antiphon_contract.fold import Fold

StreamEvent = response_pb2.StreamEvent
Frame = chat_pb2.StreamGenerateResponse
FAILED = response_pb2.ResponseEnd.OUTCOME_FAILED


@dataclass(slots=True)
class SceneCall:
    """One call as the router sees it. Once `done` is set, `cancelled` tells whether the caller left before the end.

    A scene that waits for `done` never goes on by itself.
    """

    request: chat_pb2.StreamGenerateRequest
    metadata: dict[str, str]
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Sent with the first frame, if there are any by then."""
    trailers: list[tuple[str, str | bytes]] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False

    @property
    def prompt(self) -> str:
        """Text of the last message."""
        return self.request.prompt.messages[-1].parts[0].text.text


Scene = Callable[[SceneCall], AsyncGenerator[Frame, None]]


class ScriptedRouter:
    """Serves chat, models and administration on one ephemeral port; an async context manager."""

    def __init__(
        self, scene: Scene, *, models: Sequence[models_pb2.Model] = (), backends: Sequence[router_pb2.Backend] = ()
    ) -> None:
        self.scene = scene
        self.models = list(models)
        self.backends = list(backends)
        self.listing = router_pb2.ListBackendsResponse()
        """What ListBackends says beside the backends."""
        self.explanation: router_pb2.ExplainRouteResponse | errors.CallFailure = router_pb2.ExplainRouteResponse()
        self.asked: list[router_pb2.ExplainRouteRequest] = []
        self.enabled: list[str] = []
        self.calls: asyncio.Queue[SceneCall] = asyncio.Queue()
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        options = (("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0))
        server = self._server = grpc.aio.server(options=options)
        chat_pb2_grpc.add_ChatServiceServicer_to_server(_Chat(self), server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(_Models(self), server)
        router_pb2_grpc.add_RouterAdminServiceServicer_to_server(_Admin(self), server)
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Cut every connection and call. A second call does nothing."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)


class _Chat(chat_pb2_grpc.ChatServiceServicer):
    def __init__(self, router: ScriptedRouter) -> None:
        self._router = router

    async def StreamGenerate(self, request: Any, context: Any) -> AsyncGenerator[Frame, None]:  # noqa: N802
        async with aclosing(self._play(request, context)) as frames:
            async for frame in frames:
                yield frame

    async def Generate(self, request: Any, context: Any) -> Any:  # noqa: N802
        fold = Fold()
        stream_request = chat_pb2.StreamGenerateRequest.FromString(request.SerializeToString())
        async with aclosing(self._play(stream_request, context)) as frames:
            async for frame in frames:
                fold.feed(frame)
        return fold.response()

    async def CountTokens(self, request: Any, context: Any) -> Any:  # noqa: N802
        words = sum(len(part.text.text.split()) for message in request.prompt.messages for part in message.parts)
        return chat_pb2.CountTokensResponse(input_tokens=words, estimated=True)

    async def _play(self, request: chat_pb2.StreamGenerateRequest, context: Any) -> AsyncGenerator[Frame, None]:
        call = SceneCall(request, dict(context.invocation_metadata()))
        self._router.calls.put_nowait(call)
        call.cancelled = True
        try:
            async with aclosing(self._router.scene(call)) as frames:
                async for frame in frames:
                    if call.headers:
                        await context.send_initial_metadata(tuple(call.headers))
                        call.headers = []
                    yield frame
            context.set_trailing_metadata(tuple(call.trailers))
            call.cancelled = False
        except errors.CallFailure as failure:
            call.cancelled = False
            await context.abort_with_status(errors.to_status(failure.error, *call.trailers))
        finally:
            call.done.set()


class _Models(models_pb2_grpc.ModelServiceServicer):
    def __init__(self, router: ScriptedRouter) -> None:
        self._router = router

    async def ListModels(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Pages of two, so that readers have to turn them."""
        known = [model for model in self._router.models if request.provider in ("", model.provider)]
        begin = int(request.page_token or 0)
        token = str(begin + 2) if begin + 2 < len(known) else ""
        return models_pb2.ListModelsResponse(models=known[begin : begin + 2], next_page_token=token)


class _Admin(router_pb2_grpc.RouterAdminServiceServicer):
    def __init__(self, router: ScriptedRouter) -> None:
        self._router = router

    async def ListBackends(self, request: Any, context: Any) -> Any:  # noqa: N802
        begin = int(request.page_token or 0)
        token = str(begin + 2) if begin + 2 < len(self._router.backends) else ""
        page = router_pb2.ListBackendsResponse(backends=self._router.backends[begin : begin + 2], next_page_token=token)
        page.MergeFrom(self._router.listing)
        return page

    async def ExplainRoute(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._router.asked.append(request)
        if isinstance(self._router.explanation, errors.CallFailure):
            await context.abort_with_status(errors.to_status(self._router.explanation.error))
        return self._router.explanation

    async def EnableTarget(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._router.enabled.append(request.id)
        all_ = self._router.backends
        meant = [t for b in all_ for t in b.targets if request.id in (b.id, t.id)]
        if not meant:
            message = f"there is no target and no backend {request.id!r}"
            error = error_pb2.CallError(code=grpc.StatusCode.NOT_FOUND.value[0], message=message)
            await context.abort_with_status(errors.to_status(error))
        return router_pb2.EnableTargetResponse(targets=meant)


def frame(first_sequence: int, *events: StreamEvent) -> Frame:
    return Frame(first_sequence=first_sequence, events=events)


def begin(text: str = "", *, model: str = "m-1", provider: str = "scripted") -> list[StreamEvent]:
    """`start`, an open text part and, with a text, its first delta."""
    start = response_pb2.ResponseStart(response_id="i.1", provider=provider, model=model, state_domain="scripted-a")
    part = content_pb2.Part(text=content_pb2.TextPart())
    events = [StreamEvent(start=start), StreamEvent(part_start=response_pb2.PartStart(part=part))]
    return [*events, delta(text)] if text else events


def delta(text: str) -> StreamEvent:
    return StreamEvent(text_delta=text)


def finish(reason: int = response_pb2.FINISH_REASON_STOP, *, event_count: int = 0) -> list[StreamEvent]:
    """The part's end, the candidate's end and `end` with usage."""
    end = response_pb2.ResponseEnd(
        outcome=response_pb2.ResponseEnd.OUTCOME_COMPLETED,
        usage=usage_pb2.Usage(input_tokens=3, output_tokens=5, source=usage_pb2.Usage.SOURCE_PROVIDER),
        provider="scripted",
        model="m-1",
        event_count=event_count,
    )
    stop = response_pb2.CandidateEnd(reason=reason)  # type: ignore[arg-type]
    return [
        StreamEvent(part_end=response_pb2.PartEnd()),
        StreamEvent(candidate_end=stop),
        StreamEvent(end=end),
    ]


def failed_end(failure: errors.CallFailure) -> StreamEvent:
    usage = usage_pb2.Usage(input_tokens=3, output_tokens=1, source=usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL)
    return StreamEvent(end=response_pb2.ResponseEnd(outcome=FAILED, error=failure.error, usage=usage))


def answering(*deltas: str) -> Scene:
    """A scene that says `deltas`, one per frame, and ends well."""

    async def scene(call: SceneCall) -> AsyncGenerator[Frame, None]:
        yield frame(1, *begin())
        for index, text in enumerate(deltas):
            yield frame(3 + index, delta(text))
        last = frame(3 + len(deltas), *finish(event_count=5 + len(deltas)))
        call.trailers.append(errors.end_trailer(last.events[-1].end))
        call.trailers.append((metadata.BACKEND, "scripted-a"))
        yield last

    return scene


def failing(failure: errors.CallFailure) -> Scene:
    """A scene that fails before any content."""

    async def scene(call: SceneCall) -> AsyncGenerator[Frame, None]:
        nothing: list[Frame] = []
        for each in nothing:
            yield each
        raise failure

    return scene
