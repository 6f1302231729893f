"""A scripted provider service on a real port, and a router over any number of them, in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from antiphon.config.v1 import suite_pb2
from antiphon.llm.v1 import chat_pb2, error_pb2, models_pb2, response_pb2
from antiphon.router.v1 import router_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, call_error, end_trailer, from_trailers, to_status
from antiphon_kit.settings import ServiceSettings
from antiphon_kit.telemetry import OFF
from antiphon_router.settings import RouterSettings
from antiphon_router.shell.routes import Routes
from antiphon_router.shell.service import Router, serving

PACKAGE = "/antiphon.llm.v1."
CHAT = f"{PACKAGE}ChatService/"
Behaviour = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]


def frame(first_sequence: int, *kinds: dict) -> bytes:
    """A serialized frame of events, each given as keyword arguments of StreamEvent."""
    events = [response_pb2.StreamEvent(**kind) for kind in kinds]
    return chat_pb2.StreamGenerateResponse(first_sequence=first_sequence, events=events).SerializeToString()


START = {"start": {"response_id": "i.1", "provider": "fake", "model": "m"}}
END = response_pb2.ResponseEnd(outcome="OUTCOME_COMPLETED", response_id="i.1", provider="fake", model="m")
KEEPALIVE = frame(0, {"keepalive": {}})
WHOLE = [
    frame(1, START, {"part_start": {"part": {"text": {}}}}, {"text_delta": "Hel"}),
    frame(4, {"text_delta": "lo"}),
    frame(5, {"part_end": {}}, {"candidate_end": {"reason": "FINISH_REASON_STOP"}}, {"end": END}),
]
ANSWER = chat_pb2.GenerateResponse(end=END)
ANSWER.candidates.add().message.parts.add().text.text = "Hello"


@dataclass
class Received:
    """A call as an adapter saw it."""

    method: str
    body: bytes
    metadata: dict
    left_s: float | None


async def answers(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    """The unary behaviour of a healthy adapter."""
    context.set_trailing_metadata((end_trailer(END),))
    return ANSWER.SerializeToString()


def streams(*frames: bytes, then: Exception | error_pb2.CallError | None = None, hang: asyncio.Event | None = None):
    """A behaviour that writes `frames`, waits for `hang`, and ends well or with the error `then`."""

    async def behaviour(request: bytes, context: grpc.aio.ServicerContext) -> None:
        for each in frames or WHOLE:
            await context.write(each)
        if hang is not None:
            await hang.wait()
        if then is not None:
            await context.abort_with_status(to_status(then))
        context.set_trailing_metadata((end_trailer(END),))

    return behaviour


def fails(reason: error_pb2.ErrorReason, *, code: int | None = None, **facts):
    """A behaviour, unary or stream, that fails with a typed error; `code` spoils the one in its details."""
    error = call_error(reason, "as scripted", **facts)
    status = to_status(error)
    if code is not None:
        error.code = code
        packed = status_pb2.Status(code=code)
        packed.details.add().Pack(error)
        trailers = ((metadata.STATUS_DETAILS, packed.SerializeToString()),)
        status = replace(status, trailing_metadata=trailers)

    async def behaviour(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return await context.abort_with_status(status)

    return behaviour


def aborts(code: grpc.StatusCode, details: str = "no details"):
    """A behaviour that fails without a typed error, as a foreign or dying process does."""

    async def behaviour(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return await context.abort(code, details)

    return behaviour


@dataclass
class Adapter(grpc.GenericRpcHandler):
    """A provider service that behaves as told; by default it answers well."""

    unary: Behaviour = answers
    stream: Behaviour = field(default_factory=lambda: streams())
    models: tuple[str, ...] = ()
    received: list[Received] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    def service(self, handler_call_details):
        method = handler_call_details.method
        if method.endswith("/ListModels"):
            return grpc.unary_unary_rpc_method_handler(self._list)
        if not method.startswith(PACKAGE):
            return None
        if method.rpartition("/")[2].startswith("Stream"):
            return grpc.unary_stream_rpc_method_handler(self._noted(method, lambda: self.stream))
        return grpc.unary_unary_rpc_method_handler(self._noted(method, lambda: self.unary))

    def _noted(self, method, behaviour):
        async def handler(request, context):
            self.received.append(
                Received(method, request, dict(context.invocation_metadata()), context.time_remaining())
            )
            self.arrived.set()
            try:
                return await behaviour()(request, context)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

        return handler

    async def _list(self, request, context):
        models = [
            models_pb2.Model(id=m, provider=m.partition("/")[0], native_id=m.partition("/")[2]) for m in self.models
        ]
        return models_pb2.ListModelsResponse(models=models).SerializeToString()

    async def start(self, port: int = 0) -> None:
        """Serve, at `port` if that is free."""
        self._server = grpc.aio.server(handlers=(self,), options=(("grpc.so_reuseport", 0),))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self.serving(True)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def serving(self, yes: bool) -> None:
        """What its health service says."""
        kind = health_pb2.HealthCheckResponse
        await self._health.set("", kind.SERVING if yes else kind.NOT_SERVING)

    async def kill(self) -> None:
        """Be gone at once, connections and all."""
        await self._server.stop(None)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@dataclass
class Suite:
    """A running router and a client of it."""

    router: Router
    channel: grpc.aio.Channel
    admin: grpc.aio.Channel

    async def generate(
        self, model: str = "fake/m", *, body: bytes | None = None, limit_s=5.0, extra=(), method="Generate"
    ):
        """A unary call; its result with `trailers`, or AioRpcError."""
        call = self.channel.unary_unary(CHAT + method)(
            chat_pb2.GenerateRequest(model=model).SerializeToString() if body is None else body,
            timeout=limit_s,
            metadata=tuple(extra),
        )
        return await call, dict(await call.trailing_metadata())

    async def stream(self, model: str = "fake/m", *, limit_s=5.0, extra=()):
        """A whole stream: frames, trailers, and the error or None."""
        call = self.call(model, limit_s=limit_s, extra=extra)
        frames, error = [], None
        try:
            async for each in call:
                frames.append(each)
        except grpc.aio.AioRpcError as raised:
            error = raised
        return frames, dict(await call.trailing_metadata()), error

    def call(self, model: str = "fake/m", *, limit_s=5.0, extra=()):
        """A stream under way."""
        body = chat_pb2.StreamGenerateRequest(model=model).SerializeToString()
        return self.channel.unary_stream(CHAT + "StreamGenerate")(body, timeout=limit_s, metadata=tuple(extra))

    async def backends(self) -> dict[str, router_pb2.Backend]:
        """What the administration service lists, by id."""
        method = "/antiphon.router.v1.RouterAdminService/ListBackends"
        data = await self.admin.unary_unary(method)(b"")
        return {b.id: b for b in router_pb2.ListBackendsResponse.FromString(data).backends}

    async def until(self, wanted: Callable[[], bool], within_s: float = 5.0) -> None:
        """Wait until the roster satisfies `wanted`."""
        async with asyncio.timeout(within_s):
            while not wanted():  # noqa: ASYNC110 - the roster is plain state, read between two awaits
                await asyncio.sleep(0.005)

    async def settled(self) -> None:
        """Wait until every replica was heard of."""
        fleet = self.router.roster.fleet
        await self.until(lambda: bool(fleet.healths) and all(h.state != "UNSPECIFIED" for h in fleet.healths.values()))


def error_of(raised: grpc.aio.AioRpcError | None) -> error_pb2.CallError:
    """The typed error of a failed call."""
    assert raised is not None
    error = from_trailers(tuple(raised.trailing_metadata() or ()))
    assert error is not None, raised
    return error


def router_end_of(trailers: dict) -> response_pb2.RouterEnd:
    """The router's record in the trailers."""
    return response_pb2.RouterEnd.FromString(trailers[metadata.ROUTER_END])


@pytest.fixture
async def adapters():
    """Starts adapters: `a, b = await adapters(2)`."""
    started: list[Adapter] = []

    async def start(count: int = 1) -> list[Adapter]:
        new = [Adapter() for _ in range(count)]
        for adapter in new:
            await adapter.start()
        started.extend(new)
        return new

    yield start
    for adapter in started:
        await adapter.kill()


def route(model: str, *backends: str, **policy) -> suite_pb2.Route:
    """A route to `backends`, each a tier of its own, with what it permits."""
    rows = [suite_pb2.RouteTarget(backend=b, model="m", tier=tier) for tier, b in enumerate(backends)]
    return suite_pb2.Route(model=model, targets=rows, **policy)


def events_in(frames: Iterable[bytes]) -> list[response_pb2.StreamEvent]:
    """All events of `frames`."""
    return [event for each in frames for event in chat_pb2.StreamGenerateResponse.FromString(each).events]


def kinds_in(frames: Iterable[bytes]) -> list[str]:
    """The kinds of all events of `frames`."""
    return [event.WhichOneof("kind") or "" for event in events_in(frames)]


def backend(id: str, *adapters: Adapter, provider: str = "fake", **facts) -> suite_pb2.Backend:
    """A row of the routes file."""
    return suite_pb2.Backend(id=id, provider=provider, addresses=[a.address for a in adapters], **facts)


@contextlib.asynccontextmanager
async def routing(
    backends: Iterable[suite_pb2.Backend],
    routes: Iterable[suite_pb2.Route] = (),
    *,
    settle: bool = True,
    telemetry=OFF,
    fleet: suite_pb2.Fleet | None = None,
    limits: suite_pb2.Limits | None = None,
    secret=lambda reference: None,
    **settings,
) -> AsyncIterator[Suite]:
    """A router over `backends`, settled, for the body of the `with`."""
    in_use = Routes.of(suite_pb2.Suite(backends=backends, routes=routes, fleet=fleet, limits=limits))
    routers = {name: settings.pop(name) for name in ("hold_bytes",) if name in settings}
    service = replace(ServiceSettings(), **settings)
    own = RouterSettings(service=service, admin_listen="127.0.0.1:0", config="unused", **routers)
    async with serving(own, in_use, secret=secret, telemetry=telemetry) as router:
        public, admin = f"127.0.0.1:{router.public.port}", f"127.0.0.1:{router.admin.port}"
        async with grpc.aio.insecure_channel(public) as channel, grpc.aio.insecure_channel(admin) as operators:
            suite = Suite(router, channel, operators)
            if settle:
                await suite.settled()
            yield suite


@pytest.fixture
def kit():
    """Everything a test file needs of this module, which it cannot import."""
    return Kit()


async def rest_of(call: grpc.aio.Call) -> tuple[list[bytes], grpc.aio.AioRpcError | None]:
    """What is left of a stream, and how it ends."""
    frames: list[bytes] = []
    try:
        while (each := await call.read()) is not grpc.aio.EOF:
            frames.append(each)
    except grpc.aio.AioRpcError as raised:
        return frames, raised
    return frames, None


class Kit:
    """The names above."""

    rest_of = staticmethod(rest_of)

    START, END, KEEPALIVE, WHOLE, ANSWER = START, END, KEEPALIVE, WHOLE, ANSWER
    Reason = Reason
    frame, streams, fails, aborts = (
        staticmethod(frame),
        staticmethod(streams),
        staticmethod(fails),
        staticmethod(aborts),
    )
    backend, route, routing = staticmethod(backend), staticmethod(route), staticmethod(routing)
    events_in, kinds_in = staticmethod(events_in), staticmethod(kinds_in)
    error_of, router_end_of = staticmethod(error_of), staticmethod(router_end_of)
    answers = staticmethod(answers)
