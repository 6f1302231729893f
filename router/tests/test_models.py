"""ModelService of the router: everybody's models once, routes among them, and an answer even when some are down."""

import asyncio

import grpc
import pytest

from antiphon.config.v1 import suite_pb2
from antiphon.llm.v1 import models_pb2
from antiphon_contract.errors import Reason
from antiphon_router.core.values import Load

LIST = "/antiphon.llm.v1.ModelService/ListModels"
GET = "/antiphon.llm.v1.ModelService/GetModel"


def route(model: str, *targets: tuple[str, str]) -> suite_pb2.Route:
    return suite_pb2.Route(model=model, targets=[suite_pb2.RouteTarget(backend=b, model=m) for b, m in targets])


async def listed(suite, **request) -> models_pb2.ListModelsResponse:
    data = await suite.channel.unary_unary(LIST)(models_pb2.ListModelsRequest(**request).SerializeToString())
    return models_pb2.ListModelsResponse.FromString(data)


async def got(suite, model: str) -> models_pb2.Model:
    data = await suite.channel.unary_unary(GET)(models_pb2.GetModelRequest(model=model).SerializeToString())
    return models_pb2.GetModelResponse.FromString(data).model


async def test_models_of_all_backends_and_routes_are_listed_once_in_order_and_in_pages(adapters, kit):
    a, b, c = await adapters(3)
    a.models, b.models, c.models = ("p/x", "p/y"), ("p/y", "p/z"), ("q/k",)
    backends = [kit.backend("a", a, provider="p"), kit.backend("b", b, provider="p"), kit.backend("c", c, provider="q")]
    routes = [route("fast", ("a", "x")), route("any", ("a", "x"), ("c", "k")), route("own", ("b", "unlisted"))]
    async with kit.routing(backends, routes) as suite:
        whole = await listed(suite)
        first = await listed(suite, page_size=4)
        rest = await listed(suite, page_size=4, page_token=first.next_page_token)
        only = await listed(suite, provider="q")
        fast, unlisted = await got(suite, "fast"), await got(suite, "own")
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await got(suite, "nosuch")
        assert not a.received
    assert [m.id for m in whole.models] == ["any", "fast", "own", "p/x", "p/y", "p/z", "q/k"]
    assert [m.id for m in (*first.models, *rest.models)] == [m.id for m in whole.models]
    assert [m.id for m in only.models] == ["q/k"]
    assert (fast.provider, fast.native_id) == ("p", "x")
    assert (unlisted.provider, whole.models[0].provider) == ("p", "")
    assert "p/x" in whole.models[0].display_name
    assert kit.error_of(unknown.value).reason == Reason.ERROR_REASON_MODEL_NOT_FOUND


async def test_who_does_not_answer_is_left_out_and_with_nobody_left_it_is_an_error(adapters, kit):
    a, b = await adapters(2)
    a.models = ("p/x",)
    b.models = ("q/y",)
    async with kit.routing([kit.backend("a", a, provider="p"), kit.backend("b", b, provider="q")]) as suite:
        await b.kill()
        assert [m.id for m in (await listed(suite)).models] == ["p/x"]
        await a.kill()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await listed(suite)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert kit.error_of(raised.value).backend in ("a", "b", "")


async def test_a_connection_that_is_being_made_anew_is_waited_for_where_nobody_else_answers(adapters, kit, caplog):
    """As after a stall of the machine, which costs the connections to all backends at once."""
    (a,) = await adapters()
    a.models = ("p/x",)
    async with kit.routing([kit.backend("a", a, provider="p")]) as suite:
        await suite.settled()
        await a.kill()
        listing = asyncio.create_task(listed(suite))
        await suite.until(lambda: "models_unknown" in caplog.text)
        await a.start(a.port)
        assert [m.id for m in (await listing).models] == ["p/x"]


async def test_who_is_lost_while_others_answer_is_asked_once(adapters, kit):
    a, b = await adapters(2)
    a.models, asked = ("p/x",), []

    async def dies(request, context):
        asked.append(request)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "going")

    b._list = dies
    async with kit.routing([kit.backend("a", a, provider="p"), kit.backend("b", b, provider="q")]) as suite:
        assert [m.id for m in (await listed(suite)).models] == ["p/x"]
    assert len(asked) == 1


async def test_listing_says_nothing_about_how_fast_or_well_a_backend_serves(adapters, kit):
    (a,) = await adapters()

    async def nonsense(request, context):
        return b"\xff\xff"

    a._list = nonsense
    async with kit.routing([kit.backend("a", a)]) as suite:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await listed(suite)
        fleet = suite.router.roster.fleet
        assert list(fleet.loads.values()) == [Load()]
        assert not fleet.shared
    assert kit.error_of(raised.value).reason == Reason.ERROR_REASON_UPSTREAM_PROTOCOL
