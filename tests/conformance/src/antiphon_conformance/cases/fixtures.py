"""Owns what every case gets: a target, a channel to it, and a way to ask that is once unary and once a stream."""

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message import Message as Protobuf

from antiphon.llm.v1 import models_pb2
from antiphon_conformance import names
from antiphon_conformance.calling import Ask
from antiphon_conformance.outcome import Target

CHANNEL_OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1))


class Models:
    """ModelService of the target."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def call(self, method: str, ask: Protobuf, answer: type[Protobuf]) -> Protobuf:
        make = self._channel.unary_unary(names.MODELS + method, type(ask).SerializeToString, answer.FromString)
        response: Protobuf = await make(ask, timeout=10.0)
        return response

    async def list(self, page_size: int = 0, page_token: str = "") -> models_pb2.ListModelsResponse:
        ask = models_pb2.ListModelsRequest(page_size=page_size, page_token=page_token)
        answer = await self.call("ListModels", ask, models_pb2.ListModelsResponse)
        assert isinstance(answer, models_pb2.ListModelsResponse)
        return answer

    async def get(self, model: str) -> models_pb2.Model:
        answer = await self.call("GetModel", models_pb2.GetModelRequest(model=model), models_pb2.GetModelResponse)
        assert isinstance(answer, models_pb2.GetModelResponse)
        return answer.model


class Suite:
    """Subclass, supply the fixture `target` (the address to judge, scope class or wider), add nothing else.

    A case that a service cannot pass yet is overridden with `pytest.mark.xfail(strict=True, reason=…)`, so that the
    day it passes the mark must go.
    """

    pytestmark = pytest.mark.asyncio(loop_scope="class")

    @pytest_asyncio.fixture(loop_scope="class")
    async def channel(self, target: Target) -> AsyncIterator[grpc.aio.Channel]:
        async with grpc.aio.insecure_channel(target.address, options=CHANNEL_OPTIONS) as channel:
            yield channel

    @pytest.fixture(params=["unary", "stream"])
    def ask(self, request: pytest.FixtureRequest, channel: grpc.aio.Channel, target: Target) -> Ask:
        return Ask(channel, target, streamed=request.param == "stream")

    @pytest.fixture
    def stream(self, channel: grpc.aio.Channel, target: Target) -> Ask:
        return Ask(channel, target, streamed=True)

    @pytest.fixture
    def unary(self, channel: grpc.aio.Channel, target: Target) -> Ask:
        return Ask(channel, target, streamed=False)

    @pytest.fixture
    def models(self, channel: grpc.aio.Channel) -> Models:
        return Models(channel)

    @pytest_asyncio.fixture(loop_scope="class")
    async def declared(self, models: Models, target: Target) -> models_pb2.Model:
        """The first model that the service lists, and with it what the service says it can do."""
        if target.declared is None:
            target.declared = (await models.list()).models[0]
        return target.declared

    async def test_no_case_is_dropped_or_quietly_overridden(self) -> None:
        quiet = quietly_overridden(type(self))
        assert not quiet, f"{quiet} need pytest.mark.xfail(strict=True, reason=…)"
        assert type(self).pytestmark is Suite.pytestmark, "a whole suite cannot be excused"


def quietly_overridden(bound: type) -> list[str]:
    """Cases of the suite that `bound` replaces or takes out without a strict xfail that says why."""
    ours = [base for base in bound.__mro__ if base.__module__.startswith("antiphon_conformance.")]
    cases = {name for base in ours for name in vars(base) if name.startswith("test_")}
    quiet = []
    for name in sorted(cases):
        case = getattr(bound, name)
        if getattr(case, "__module__", "").startswith("antiphon_conformance."):
            continue
        marks = [mark for mark in getattr(case, "pytestmark", []) if mark.name == "xfail"]
        if not any(mark.kwargs.get("strict") and mark.kwargs.get("reason") for mark in marks):
            quiet.append(name)
    return quiet
