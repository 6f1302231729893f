"""The administration service: what it lists, in which order, in pages."""

import grpc
import pytest

from antiphon.config.v1 import suite_pb2
from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason
from antiphon_router.core.values import Scope, State, TargetKey

LIST = "/antiphon.router.v1.RouterAdminService/ListBackends"
ENABLE = "/antiphon.router.v1.RouterAdminService/EnableTarget"


async def test_backends_come_in_order_with_their_models_and_targets(adapters, kit):
    a, b = await adapters(2)
    backends = [kit.backend("b", b), kit.backend("a", a, default_model="m0", state_domain="acc", max_in_flight=9)]
    routes = [suite_pb2.Route(model="fast", targets=[suite_pb2.RouteTarget(backend="a", model="m1")])]
    async with kit.routing(backends, routes) as suite:
        shown = await suite.backends()
    assert list(shown) == ["a", "b"]
    one = shown["a"]
    assert (one.provider, one.state_domain, one.max_in_flight, one.address) == ("fake", "acc", 9, a.address)
    assert [(m.model, m.native_id, m.pool) for m in one.models] == [
        ("fast", "m1", "fake/m1@acc"),
        ("fake/m0", "m0", "fake/m0@acc"),
    ]
    scopes = [health_pb2.Scope.Name(t.scope) for t in one.targets]
    assert scopes == ["SCOPE_REPLICA", "SCOPE_ENDPOINT", "SCOPE_POOL", "SCOPE_POOL", "SCOPE_KEY", "SCOPE_ACCOUNT"]
    assert {health_pb2.HealthState.Name(t.state) for t in one.targets} == {"HEALTH_STATE_HEALTHY"}
    assert one.summary.scope == health_pb2.SCOPE_UNSPECIFIED


async def test_what_a_call_put_out_is_shown_even_for_a_model_that_only_a_caller_named(adapters, kit):
    (a,) = await adapters()
    a.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=403, native_body=b"body")
    async with kit.routing([kit.backend("a", a)]) as suite:
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("fake/rare")
        a.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=20)
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("fake/other")
        a.unary = kit.fails(Reason.ERROR_REASON_QUOTA_EXHAUSTED)
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("fake/third")
        shown = (await suite.backends())["a"]
    targets = {t.id: t for t in shown.targets if t.state != health_pb2.HEALTH_STATE_HEALTHY}
    assert set(targets) == {"a/rare", "fake/other", "a"}
    assert targets["a/rare"].reason == health_pb2.HEALTH_REASON_PERMISSION
    assert targets["a/rare"].last_error.http_status == 403
    assert not targets["a/rare"].last_error.native_body
    assert targets["a/rare"].HasField("last_error_time")
    assert shown.summary.reason == health_pb2.HEALTH_REASON_BILLING, "the account keeps everything out"
    assert shown.summary.state == health_pb2.HEALTH_STATE_DISABLED


async def test_a_backend_without_replicas_has_a_summary_without_a_state(kit, monkeypatch):
    from antiphon_router.shell.discovery import Dns

    async def nobody(self):
        return ()

    monkeypatch.setattr(Dns, "addresses", nobody)
    lonely = suite_pb2.Backend(id="a", provider="fake", addresses=["dns:///nowhere:1"])
    monkeypatch.setattr("antiphon_router.shell.roster.Roster.any_takes_calls", lambda self: False)
    async with kit.routing([lonely], settle=False) as suite:
        shown = (await suite.backends())["a"]
    assert (shown.summary.id, shown.summary.state) == ("a", health_pb2.HEALTH_STATE_UNSPECIFIED)


async def test_pages_and_what_is_no_page(adapters, kit):
    (a,) = await adapters()
    async with kit.routing([kit.backend(f"b{n}", a) for n in range(3)]) as suite:

        async def page(data: bytes) -> router_pb2.ListBackendsResponse:
            return router_pb2.ListBackendsResponse.FromString(await suite.admin.unary_unary(LIST)(data))

        first = await page(router_pb2.ListBackendsRequest(page_size=2).SerializeToString())
        token = first.next_page_token
        rest = await page(router_pb2.ListBackendsRequest(page_size=2, page_token=token).SerializeToString())
        assert [b.id for b in (*first.backends, *rest.backends)] == ["b0", "b1", "b2"]
        assert not rest.next_page_token
        for bad in (
            router_pb2.ListBackendsRequest(page_token="nosuch").SerializeToString(),
            router_pb2.ListBackendsRequest(page_size=-1).SerializeToString(),
            b"\xff\xff",
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await page(bad)
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_clients_cannot_reach_administration(adapters, kit):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await suite.channel.unary_unary(LIST)(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def enabled(suite, id: str) -> list[tuple[str, str]]:
    """Scope and state of what EnableTarget gives back."""
    request = router_pb2.EnableTargetRequest(id=id).SerializeToString()
    response = router_pb2.EnableTargetResponse.FromString(await suite.admin.unary_unary(ENABLE)(request))
    return [(health_pb2.Scope.Name(t.scope)[6:], health_pb2.HealthState.Name(t.state)[13:]) for t in response.targets]


async def test_what_an_operator_has_mended_is_tried_with_the_next_call(adapters, kit):
    (a,) = await adapters()
    a.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=401)
    async with kit.routing([kit.backend("a", a), kit.backend("ab", a)]) as suite:
        request = ((metadata.PROVIDER, "fake"),)
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("m", extra=request)
        roster = suite.router.roster
        out = [key for key, health in roster.fleet.shared.items() if health.state is State.DISABLED]
        assert len(out) == 2
        a.unary = kit.answers
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("m", extra=request)
        assert await enabled(suite, "ab") == [
            ("REPLICA", "HEALTHY"), ("ENDPOINT", "HEALTHY"), ("KEY", "DISABLED"), ("ACCOUNT", "HEALTHY"),
        ]  # fmt: skip
        left = roster.health_of(TargetKey(Scope.KEY, "a"))
        assert left.next_try > roster.clock() + 60, "the other one waits as before"
        _, trailers = await suite.generate("m", extra=request)
        assert trailers[metadata.BACKEND] == "ab"
        shown = {t.scope: t.state for t in (await suite.backends())["ab"].targets}
        assert shown[health_pb2.SCOPE_KEY] == health_pb2.HEALTH_STATE_SLOW_START


async def test_a_rate_limit_is_not_undercut_and_one_target_is_named_by_its_own_id(adapters, kit):
    (a,) = await adapters()
    a.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=20)
    async with kit.routing([kit.backend("a", a)]) as suite:
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("fake/m")
        assert await enabled(suite, "fake/m") == [("POOL", "RATE_LIMITED")]
        assert await enabled(suite, a.address) == [("REPLICA", "HEALTHY")]
        with pytest.raises(grpc.aio.AioRpcError):
            await suite.generate("fake/m")
        assert len(a.received) == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (router_pb2.EnableTargetRequest(id="nosuch").SerializeToString(), grpc.StatusCode.NOT_FOUND),
        (b"", grpc.StatusCode.INVALID_ARGUMENT),
        (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_what_cannot_be_enabled(adapters, kit, data, code):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await suite.admin.unary_unary(ENABLE)(data)
        with pytest.raises(grpc.aio.AioRpcError) as public:
            await suite.channel.unary_unary(ENABLE)(data)
    assert raised.value.code() is code
    assert public.value.code() is grpc.StatusCode.UNIMPLEMENTED, "administration is on its own port"
