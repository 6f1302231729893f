"""What failures do to later calls: who is asked next, who is left alone, and what the caller is told in the end."""

import asyncio

import grpc
import pytest

from antiphon.config.v1 import suite_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason

pytestmark = pytest.mark.timeout(30)


def route(model: str, *targets: str) -> suite_pb2.Route:
    rows = [suite_pb2.RouteTarget(backend=b, model="m", tier=tier) for tier, b in enumerate(targets)]
    return suite_pb2.Route(model=model, targets=rows)


async def failing(suite, kit, model="fake/m", **how):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await suite.generate(model, **how)
    return kit.error_of(raised.value), raised.value


async def test_a_rate_limited_backend_is_left_alone_until_its_time(adapters, kit):
    a, b = await adapters(2)
    a.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=30)
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)], [route("r", "a", "b")]) as suite:
        for _ in range(5):
            _, trailers = await suite.generate("r")
            assert trailers[metadata.BACKEND] == "b"
        shown = (await suite.backends())["a"]
    assert len(a.received) == 1
    (pool,) = [t for t in shown.targets if t.id == "fake/m@a"]
    assert _names(pool) == ("HEALTH_STATE_RATE_LIMITED", "HEALTH_REASON_RATE_LIMIT", "rate")
    assert 28 < pool.next_try_time.seconds - pool.since_time.seconds <= 30


async def test_with_all_rate_limited_the_caller_learns_the_earliest_time(adapters, kit):
    a, b = await adapters(2)
    a.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=30)
    b.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=20)
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:
        first, _ = await failing(suite, kit)
        second, status = await failing(suite, kit)
    assert first.reason == second.reason == Reason.ERROR_REASON_RATE_LIMITED
    assert status.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 18 <= second.retry_delay.seconds <= 20
    assert "pool fake/m@a is RATE_LIMITED" in second.message
    assert (len(a.received), len(b.received)) == (1, 1)
    assert dict(status.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"


@pytest.mark.parametrize(
    "reason",
    [
        Reason.ERROR_REASON_INVALID_REQUEST,
        Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
        Reason.ERROR_REASON_CONTENT_BLOCKED,
        Reason.ERROR_REASON_MODEL_NOT_FOUND,
    ],
)
async def test_a_callers_fault_is_not_tried_again_and_changes_nothing(adapters, kit, reason):
    a, b = await adapters(2)
    a.unary = b.unary = kit.fails(reason, param="prompt")
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)]) as suite:
        for _ in range(10):
            error, _ = await failing(suite, kit)
        fleet = suite.router.roster.fleet
        assert not fleet.shared
        assert {h.state for h in fleet.healths.values()} == {"HEALTHY"}
        assert {load.first_content_s for load in fleet.loads.values()} == {None}
    assert len(a.received) + len(b.received) == 10
    assert (error.reason, error.param, error.attempt) == (reason, "prompt", 1)
    assert error.backend in ("a", "b")


async def test_a_dead_key_is_told_as_such_only_when_nobody_else_can_serve(adapters, kit):
    a, b = await adapters(2)
    a.unary = b.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, http_status=401)
    async with kit.routing([kit.backend("a", a), kit.backend("b", b)], [route("r", "a", "b")]) as suite:
        first, status = await failing(suite, kit, "r")
        second, _ = await failing(suite, kit, "r")
        b.unary = kit.answers
        third, _ = await failing(suite, kit, "r")
        targets = {(t.id, t.rule) for t in (await suite.backends())["a"].targets}
    assert first.reason == second.reason == third.reason == Reason.ERROR_REASON_PROVIDER_CREDENTIALS
    assert status.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert not second.HasField("retry_delay")
    assert ("a", "auth") in targets
    assert (len(a.received), len(b.received)) == (1, 1), "one probe in five minutes"


async def test_at_most_three_upstream_failures_per_call(adapters, kit):
    many = await adapters(5)
    for adapter in many:
        adapter.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_OVERLOADED)
    async with kit.routing([kit.backend(f"b{n}", each) for n, each in enumerate(many)]) as suite:
        error, status = await failing(suite, kit)
    assert sum(len(each.received) for each in many) == 3
    end = kit.router_end_of(dict(status.trailing_metadata()))
    assert error.reason == Reason.ERROR_REASON_PROVIDER_OVERLOADED
    assert (len(end.attempts), end.final_attempt, error.attempt) == (2, 3, 3)
    assert len(dict(status.trailing_metadata())[metadata.ROUTER_END]) <= metadata.MAX_ROUTER_END_BYTES


async def test_a_provider_error_may_be_tried_once_more_at_the_only_backend(adapters, kit):
    (a,) = await adapters()
    a.unary = kit.fails(Reason.ERROR_REASON_PROVIDER_ERROR, http_status=500)
    async with kit.routing([kit.backend("a", a)]) as suite:
        error, _ = await failing(suite, kit)
    assert len(a.received) == 2
    assert error.attempt == 2


@pytest.mark.parametrize(
    ("code", "details", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, "gone", Reason.ERROR_REASON_UPSTREAM_UNREACHABLE),
        (grpc.StatusCode.INTERNAL, "bug with a secret", Reason.ERROR_REASON_GATEWAY_INTERNAL),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!", Reason.ERROR_REASON_GATEWAY_OVERLOADED),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (9 vs. 4)",
         Reason.ERROR_REASON_REQUEST_TOO_LARGE),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (9 vs. 4)",
         Reason.ERROR_REASON_UPSTREAM_PROTOCOL),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", Reason.ERROR_REASON_OPERATION_UNSUPPORTED),
    ],
)  # fmt: skip
async def test_statuses_without_a_typed_error_get_one_and_no_foreign_text(adapters, kit, code, details, reason):
    (a,) = await adapters()
    a.unary = kit.aborts(code, details)
    async with kit.routing([kit.backend("a", a)]) as suite:
        error, status = await failing(suite, kit)
    assert error.reason == reason
    assert details not in error.message
    assert "a" in error.backend
    assert metadata.END in dict(status.trailing_metadata())


@pytest.mark.parametrize("code", [0, 99])
async def test_a_typed_error_with_an_impossible_code_has_that_of_its_status(adapters, kit, code):
    (a,) = await adapters()
    a.unary = kit.fails(Reason.ERROR_REASON_INVALID_REQUEST, code=code)
    async with kit.routing([kit.backend("a", a)]) as suite:
        error, status = await failing(suite, kit)
    assert status.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.code == 3


async def test_a_killed_replica_costs_no_call_and_is_listed_with_reason_and_times(adapters, kit):
    a, b = await adapters(2)
    async with kit.routing([kit.backend("one", a, b)]) as suite:
        await a.kill()
        for _ in range(20):
            await suite.generate()
        key = ("REPLICA", a.address)
        await suite.until(lambda: suite.router.roster.fleet.healths[key].state == "OPEN")
        shown = (await suite.backends())["one"]
        states = {t.id: t for t in shown.targets}
        dead, alive = states[a.address], states[b.address]
        assert _names(dead) == ("HEALTH_STATE_OPEN", "HEALTH_REASON_UNREACHABLE", "health_watch")
        assert dead.since_time.seconds > 1_600_000_000
        assert dead.next_try_time.ToNanoseconds() > dead.since_time.ToNanoseconds()
        assert dead.last_error.reason == Reason.ERROR_REASON_UPSTREAM_UNREACHABLE
        assert _names(alive)[:2] == ("HEALTH_STATE_HEALTHY", "HEALTH_REASON_UNSPECIFIED")
        assert alive.HasField("time_to_first_content")
        assert _names(shown.summary)[0] == "HEALTH_STATE_HEALTHY"
        assert shown.summary.id == "one"
        before = len(b.received)
        await a.start(a.port)
        await suite.until(lambda: suite.router.roster.fleet.healths[key].state == "SLOW_START", 10)
        for _ in range(60):
            await suite.generate()
    assert len(b.received) > before + 30, "it comes back slowly"


def _names(target):
    kinds = {f.name: f.enum_type.values_by_number for f in target.DESCRIPTOR.fields if f.enum_type}
    return kinds["state"][target.state].name, kinds["reason"][target.reason].name, target.rule


async def test_with_every_replica_gone_the_call_fails_typed_and_soon(adapters, kit):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        await a.kill()
        error, _ = await failing(suite, kit)
    assert error.reason in (Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, Reason.ERROR_REASON_NO_HEALTHY_BACKEND)


async def test_a_replica_that_is_not_serving_gets_no_calls_and_the_router_says_so(adapters, kit):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        await a.serving(False)
        key = ("REPLICA", a.address)
        await suite.until(lambda: suite.router.roster.fleet.healths[key].state == "DRAINING")
        error, _ = await failing(suite, kit)
        assert _names((await suite.backends())["a"].summary)[:2] == (
            "HEALTH_STATE_DRAINING",
            "HEALTH_REASON_NOT_SERVING",
        )
    assert error.reason == Reason.ERROR_REASON_NO_HEALTHY_BACKEND
    assert a.address in error.message
    assert not a.received


async def test_public_health_follows_the_replicas(adapters, kit):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        stub = health_pb2_grpc.HealthStub(suite.channel)
        for name in ("", "antiphon.llm.v1.ChatService", "antiphon.llm.v1.ModelService"):
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=name))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            await a.serving(False)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            await a.serving(True)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()


async def test_a_bound_of_calls_at_once_is_kept(adapters, kit):
    (a,) = await adapters()
    hang = asyncio.Event()
    a.stream = kit.streams(kit.WHOLE[0], hang=hang)
    async with kit.routing([kit.backend("a", a, max_in_flight=1)]) as suite:
        call = suite.call()
        await call.read()
        error, _ = await failing(suite, kit)
        shown = (await suite.backends())["a"]
        call.cancel()
    assert error.reason == Reason.ERROR_REASON_GATEWAY_OVERLOADED
    assert (shown.max_in_flight, shown.summary.in_flight) == (1, 1)


async def test_names_that_lead_nowhere_are_refused_with_what_is_known(adapters, kit):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)], [route("fast", "a")]) as suite:
        error, status = await failing(suite, kit, "nosuch")
        restricted, _ = await failing(suite, kit, "", extra=[(metadata.PROVIDER, "nosuch")])
        none, _ = await failing(suite, kit, "")
        broken, _ = await failing(suite, kit, body=b"\xff\xff")
        foreign, _ = await failing(suite, kit, "fake/mödel")
        odd_id, _ = await failing(suite, kit, extra=[(metadata.REQUEST_ID, "x" * 129)])
        odd_word, _ = await failing(suite, kit, extra=[(metadata.AFTER_CONTENT, "maybe")])
        await suite.generate("fast", extra=[(metadata.AFTER_CONTENT, "hold")])
        await suite.generate("m", extra=[(metadata.PROVIDER, " fake ,")])
    assert status.code() is grpc.StatusCode.NOT_FOUND
    assert "fast" in error.message
    assert "known providers: fake" in error.message
    assert "known providers: fake" in restricted.message
    assert none.reason == Reason.ERROR_REASON_MODEL_NOT_FOUND
    for each in (broken, foreign, odd_id, odd_word):
        assert each.reason == Reason.ERROR_REASON_INVALID_REQUEST
    assert [each.metadata[metadata.MODEL_NATIVE] for each in a.received] == ["m", "m"]


async def test_too_large_a_request_is_refused_with_the_bound(adapters, kit):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)], max_request_bytes=5000) as suite:
        error, _ = await failing(suite, kit, body=b"\x0a\x06fake/m" + b"\xa2\x06\x90\x4e" + b"x" * 10000)
    assert error.reason == Reason.ERROR_REASON_REQUEST_TOO_LARGE
    assert "ANTIPHON_MAX_REQUEST_BYTES" in error.message
    assert not a.received


async def test_a_failed_call_and_a_change_of_health_are_one_log_line_each(adapters, kit, caplog):
    (a,) = await adapters()
    a.unary = kit.fails(Reason.ERROR_REASON_RATE_LIMITED, retry_delay_s=9)
    with caplog.at_level("INFO"):
        async with kit.routing([kit.backend("a", a)]) as suite:
            caplog.clear()
            await failing(suite, kit)
            a.unary = kit.answers
    lines = [r for r in caplog.records if r.message in ("call_failed", "health_changed")]
    assert [r.message for r in lines[:2]] == ["health_changed", "call_failed"]
    assert (lines[0].state, lines[0].reason, lines[0].target) == ("RATE_LIMITED", "RATE_LIMIT", "fake/m")
    assert lines[1].code == "RESOURCE_EXHAUSTED"


async def test_more_calls_than_admitted_are_refused(adapters, kit):
    (a,) = await adapters()
    hang = asyncio.Event()
    a.stream = kit.streams(kit.WHOLE[0], hang=hang)
    async with kit.routing([kit.backend("a", a)], max_concurrency=1) as suite:
        call = suite.call()
        await call.read()
        error, _ = await failing(suite, kit)
        call.cancel()
    assert error.reason == Reason.ERROR_REASON_GATEWAY_OVERLOADED


@pytest.mark.parametrize("committed", [True, False])
async def test_a_drain_ends_what_runs_with_a_typed_error(adapters, kit, committed):
    (a,) = await adapters()
    first = kit.WHOLE[0] if committed else kit.KEEPALIVE
    a.stream = kit.streams(first, hang=asyncio.Event())
    async with kit.routing([kit.backend("a", a)], drain_grace_s=0.2) as suite:
        call = suite.call()
        frames = [await call.read()]
        drain = asyncio.create_task(suite.router.public.drain())
        rest, raised = await kit.rest_of(call)
        await drain
        fleet = suite.router.roster.fleet
        assert {h.state for h in fleet.healths.values()} == {"HEALTHY"}, "nobody else's fault"
    error = kit.error_of(raised)
    assert "stopping" in error.message
    if committed:
        assert error.reason == Reason.ERROR_REASON_STREAM_INTERRUPTED
        assert len(rest) == 1
    else:
        assert error.reason == Reason.ERROR_REASON_GATEWAY_DRAINING
        assert (frames, rest) == ([kit.KEEPALIVE], [])


async def test_a_bug_of_the_router_leaves_as_a_plain_status(adapters, kit, monkeypatch):
    (a,) = await adapters()
    async with kit.routing([kit.backend("a", a)]) as suite:
        monkeypatch.setattr(suite.router.roster, "begin", lambda *_: 1 / 0)
        error, status = await failing(suite, kit)
    assert error.reason == Reason.ERROR_REASON_GATEWAY_INTERNAL
    assert "division" not in str(status.details())
