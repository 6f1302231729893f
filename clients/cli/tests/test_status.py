"""`status` and `routes`: what operators are told, and why."""

import json
import time

import pytest

from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_client.testing import ScriptedRouter, answering
from antiphon_contract.errors import Reason, call_error, failure


@pytest.fixture
def backends():
    now = time.time()
    summary = health_pb2.Target(id="openai-a", state=health_pb2.HEALTH_STATE_DISABLED)
    summary.reason = health_pb2.HEALTH_REASON_AUTH
    summary.since_time.FromSeconds(int(now) - 300)
    summary.last_error.message = "the provider refuses the key\nset OPENAI_API_KEY"
    replica = health_pb2.Target(scope=health_pb2.SCOPE_REPLICA, id="127.0.0.1:9", state=health_pb2.HEALTH_STATE_OPEN)
    replica.reason = health_pb2.HEALTH_REASON_UNREACHABLE
    replica.next_try_time.FromSeconds(int(now) + 60)
    healthy = health_pb2.Target(state=health_pb2.HEALTH_STATE_HEALTHY)
    return [
        router_pb2.Backend(id="local-a", provider="local", summary=healthy),
        router_pb2.Backend(id="openai-a", provider="openai", summary=summary, targets=[replica]),
        router_pb2.Backend(id="later-a", provider="later"),
    ]


async def test_status(antiphon, backends):
    async with ScriptedRouter(answering(), backends=backends) as router:
        ran = await antiphon("status", "--admin-address", router.address)
        as_json = await antiphon("status", "--json", "--admin-address", router.address)
    header, *lines = ran.out.splitlines()
    names = ("BACKEND", "TARGET", "STATE", "REASON", "SINCE", "NEXT TRY", "SHARE", "RUNNING", "FIRST CONTENT", "LAST")
    assert [name for name in names if name not in header] == []
    assert lines[1].split("  ")[0] == "openai-a"
    assert "disabled" in lines[1]
    assert "5 min ago" in lines[1]
    assert "not by itself" in lines[1]
    assert lines[1].endswith("the provider refuses the key set OPENAI_API_KEY")
    assert lines[2].startswith("  replica  127.0.0.1:9")
    assert "unreachable" in lines[2]
    assert "in " in lines[2]
    assert len(json.loads(as_json.out)["backends"]) == 3


def target(state: str, **facts) -> health_pb2.Target:
    made = health_pb2.Target(scope="SCOPE_POOL", id="p/m", state=f"HEALTH_STATE_{state}", **facts)
    made.since_time.FromSeconds(int(time.time()) - 10)
    return made


async def test_every_state_says_when_it_is_next_tried(antiphon):
    late, soon = target("OPEN"), target("RATE_LIMITED", reason="HEALTH_REASON_RATE_LIMIT", rule="rate_key")
    late.next_try_time.FromSeconds(int(time.time()) - 5)
    soon.next_try_time.FromSeconds(int(time.time()) + 330)
    well = target("HEALTHY", in_flight=7, reason="HEALTH_REASON_ERRORS")
    well.time_to_first_content.FromMilliseconds(250)
    cases = {
        "with the next call": late,
        "rate_limit (rate_key)": soon,
        "in 5 min": soon,
        "under way": target("HALF_OPEN"),
        "not by itself": target("DRAINING"),
        "35 %": target("SLOW_START", share=0.35),
        "0.25 s": well,
        " 7 ": well,
    }
    for words, one in cases.items():
        row = router_pb2.Backend(id="b", provider="p", targets=[one])
        async with ScriptedRouter(answering(), backends=[row]) as router:
            ran = await antiphon("status", "--admin-address", router.address)
        assert words in ran.out, ran.out
    assert "errors" not in ran.out, "of what is well no reason is told"


async def test_status_tells_of_routes_and_of_the_fleet(antiphon):
    listing = router_pb2.ListBackendsResponse()
    listing.routes.version = "a1b2"
    listing.routes.load_time.FromSeconds(int(time.time()) - 200)
    async with ScriptedRouter(answering()) as router:
        router.listing = listing
        fine = await antiphon("status", "--admin-address", router.address)
        listing.routes.problems[:] = ["r.yaml:1:1: backends: none; add one", "r.yaml:2:1: second"]
        listing.routes.problem_time.FromSeconds(int(time.time()) - 3)
        listing.fleet.store = "redis://r:1"
        listing.fleet.since_time.FromSeconds(int(time.time()) - 310)
        bad = await antiphon("status", "--admin-address", router.address)
        listing.fleet.connected, listing.fleet.facts = True, 2
        joined = await antiphon("status", "--admin-address", router.address)
    assert fine.out.splitlines()[0] == "routes a1b2, in use since 3 min ago"
    assert "NOT" not in fine.out
    assert "fleet" not in fine.out
    told = bad.out.splitlines()
    assert told[1].startswith("the routes file is NOT in use as it is now; looked at ")
    assert told[2:4] == ["  r.yaml:1:1: backends: none; add one", "  r.yaml:2:1: second"]
    assert told[4] == "fleet redis://r:1: LOST, this router decides alone, since 5 min ago"
    assert "fleet redis://r:1: shared, 2 facts of other routers" in joined.out


async def test_status_without_a_router_names_the_right_setting(antiphon):
    for command in (("status",), ("routes", "explain", "fast")):
        ran = await antiphon(*command, "--admin-address", "127.0.0.1:1")
        assert ran.code == 3
        assert ran.err == (
            "antiphon: the router's administration: no connection to 127.0.0.1:1; "
            "start it with `make up`, or tell where it is with --admin-address or ANTIPHON_ADMIN_ADDRESS\n"
        )


EXPLANATION = router_pb2.ExplainRouteResponse(
    model="fast",
    rule="route",
    after_content="restart",
    candidates=[
        router_pb2.RouteCandidate(backend="a", replica="h:1", native_id="m", share=2 / 3, why="takes calls"),
        router_pb2.RouteCandidate(backend="b", native_id="n", tier=1, why="waits in reserve"),
    ],
)


async def test_explain(antiphon):
    async with ScriptedRouter(answering()) as router:
        router.explanation = EXPLANATION
        options = ("--provider", "p", "--affinity", "d;hard", "--cache-affinity", "c", "--after-content", "restart")
        ran = await antiphon("routes", "explain", "fast", *options, "--admin-address", router.address)
        as_json = await antiphon("routes", "explain", "--json", "--admin-address", router.address)
        named, bare = router.asked
    assert ran.out.splitlines() == [
        "fast: understood as route; after content: restart",
        "SHARE    BACKEND  REPLICA  MODEL  TIER  WHY",
        "66.67 %  a        h:1      m      0     takes calls",
        "0 %      b        -        n      1     waits in reserve",
    ]
    assert named == router_pb2.ExplainRouteRequest(
        model="fast", provider="p", affinity="d;hard", cache_affinity="c", after_content="restart"
    )
    assert (bare.model, bare.after_content) == ("", "fail")
    assert json.loads(as_json.out)["candidates"][1]["backend"] == "b"


async def test_explain_tells_a_refusal_and_a_name_that_leads_nowhere(antiphon):
    async with ScriptedRouter(answering()) as router:
        router.explanation = router_pb2.ExplainRouteResponse(model="fast", rule="route", after_content="fail")
        router.explanation.refusal.CopyFrom(call_error(Reason.ERROR_REASON_RATE_LIMITED, "pool p/m is RATE_LIMITED"))
        refused = await antiphon("routes", "explain", "fast", "--admin-address", router.address)
        router.explanation = failure(Reason.ERROR_REASON_MODEL_NOT_FOUND, "there is no model 'x'; name another")
        unknown = await antiphon("routes", "explain", "x", "--admin-address", router.address)
    assert refused.code == 0
    assert "a call would be refused now: RATE_LIMITED, pool p/m is RATE_LIMITED" in refused.out
    assert unknown.code == 5
    assert "there is no model 'x'" in unknown.err


async def test_check(antiphon, tmp_path):
    path = tmp_path / "routes.yaml"
    path.write_text("backends: [{id: a, provider: p, addresses: ['h:1'], default_model: m}]\n")
    fine = await antiphon("routes", "check", str(path))
    assert (fine.code, fine.out) == (0, f"{path} is fine: backends 1, routes 0\n")
    assert json.loads((await antiphon("routes", "check", str(path), "--json")).out) == {"problems": []}
    path.write_text("backends: [{id: A, provider: p, addresses: ['h:1']}]\nroutes: [{model: r, targets: [{}]}]\n")
    wrong = await antiphon("routes", "check", str(path))
    assert wrong.code == 78
    assert [line.split(": ")[1] for line in wrong.out.splitlines()] == [
        "backends[0].id",
        "routes[0].targets[0].backend",
    ]
    assert wrong.err == f"antiphon: {path} has 2 mistakes; mend each as its line says\n"
    as_json = await antiphon("routes", "check", "--json", str(path))
    assert as_json.code == 78
    assert len(json.loads(as_json.out)["problems"]) == 2
    missing = await antiphon("routes", "check", str(tmp_path / "nosuch.yaml"))
    assert missing.code == 78
    assert "no such file" in missing.out
    assert missing.err.startswith(f"antiphon: {tmp_path}/nosuch.yaml has one mistake")


async def test_routes_alone_is_a_wrong_command_line(antiphon):
    ran = await antiphon("routes")
    assert ran.code == 2
    assert "antiphon routes --help" in ran.err
