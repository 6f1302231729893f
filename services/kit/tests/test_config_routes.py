"""What the routes file says beyond names and targets: policies, limits, fleet; and what is wrong with them."""

import pytest
from google.protobuf.json_format import MessageToDict

from antiphon.config.v1 import suite_pb2
from antiphon_kit.config import ConfigError, parse_suite

BACKENDS = """
backends:
  - {id: a, provider: p, addresses: ['h:1', 'h:2'], default_model: m}
  - {id: b, provider: p, addresses: ['dns:///h:1'], default_model: m}
  - {id: one, provider: q, addresses: ['h:1'], default_model: m}
  - {id: bare, provider: q, addresses: ['h:4']}
"""


def parsed(text: str) -> suite_pb2.Suite:
    return parse_suite((BACKENDS + text).encode(), "routes.yaml")


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    (only,) = caught.value.problems
    return only


def route(fields: str, targets: str = "[{backend: a}, {backend: b}]") -> str:
    return f"routes: [{{model: r, targets: {targets}, {fields}}}]"


def test_every_field_of_a_route_is_read() -> None:
    text = """
routes:
  - model: r
    targets:
      - {backend: a}
      - {backend: b, canary_percent: 2.5}
      - {backend: one, tier: 1, long_context: true}
    after_content: [restart, hold]
    hedge: {delay: 500ms, max_percent: 3}
    first_content_timeout: 1.5s
    shadows: [{backend: one, model: x, percent: 0.1}]
    order: cheapest
"""
    assert MessageToDict(parsed(text).routes[0], preserving_proto_field_name=True) == {
        "model": "r",
        "targets": [
            {"backend": "a"},
            {"backend": "b", "canary_percent": 2.5},
            {"backend": "one", "tier": 1, "long_context": True},
        ],
        "after_content": ["AFTER_CONTENT_RESTART", "AFTER_CONTENT_HOLD"],
        "hedge": {"delay": "0.500s", "max_percent": 3.0},
        "first_content_timeout": "1.500s",
        "shadows": [{"backend": "one", "model": "x", "percent": 0.1}],
        "order": "ORDER_CHEAPEST",
    }


def test_limits_fleet_and_bounds_of_a_backend_are_read() -> None:
    text = """
  - {id: k, provider: p, addresses: ['k8s:///ns/svc:grpc', 'k8s:///ns/svc:50061'], requests_per_minute: 5000000000,
     tokens_per_minute: 1, relative_cost: 0.25}
limits:
  max_in_flight: 10
  max_bytes_in_flight: 17179869184
  default_caller: {max_in_flight: 5, best_priority: 5}
  callers: [{caller: spiffe://a/b, requests_per_minute: 60, tokens_per_minute: 1000}]
  trust_caller_metadata: true
  adaptive: true
fleet: {redis_url: 'rediss://redis.internal:6379/2', password: 'env:REDIS_PASSWORD', name: blue}
"""
    shown = MessageToDict(parsed(text), preserving_proto_field_name=True)
    assert shown["backends"][-1] == {
        "id": "k",
        "provider": "p",
        "addresses": ["k8s:///ns/svc:grpc", "k8s:///ns/svc:50061"],
        "requests_per_minute": "5000000000",
        "tokens_per_minute": "1",
        "relative_cost": 0.25,
    }
    assert shown["limits"] == {
        "max_in_flight": 10,
        "max_bytes_in_flight": "17179869184",
        "default_caller": {"max_in_flight": 5, "best_priority": 5},
        "callers": [{"caller": "spiffe://a/b", "requests_per_minute": "60", "tokens_per_minute": "1000"}],
        "trust_caller_metadata": True,
        "adaptive": True,
    }
    assert shown["fleet"] == {
        "redis_url": "rediss://redis.internal:6379/2",
        "password": "env:REDIS_PASSWORD",
        "name": "blue",
    }


def test_an_empty_hedge_is_a_hedge_and_none_is_none() -> None:
    assert parsed(route("hedge: {}")).routes[0].HasField("hedge")
    assert not parsed(route("order: cheapest")).routes[0].HasField("hedge")
    assert not parsed("").HasField("fleet")


@pytest.mark.parametrize(
    ("written", "seconds", "nanos"),
    [
        ("2s", 2, 0),
        ("500ms", 0, 500_000_000),
        ("0.25s", 0, 250_000_000),
        ("1m", 60, 0),
        ("1.5m", 90, 0),
        ("1h", 3600, 0),
    ],
)
def test_durations(written: str, seconds: int, nanos: int) -> None:
    timeout = parsed(route(f"first_content_timeout: {written}")).routes[0].first_content_timeout
    assert (timeout.seconds, timeout.nanos) == (seconds, nanos)


@pytest.mark.parametrize("written", ["2", "2.5", "2 s", "s", "-1s", "2sec", "1m30s", "1_0s", "[2s]", "true", "0x2s"])
def test_what_is_no_duration(written: str) -> None:
    assert "use a number with its unit, such as 2s, 500ms or 1m" in problem(route(f"first_content_timeout: {written}"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("first_content_timeout: 0s", "0 s is out of range; use more than 0, at most 3600s"),
        ("first_content_timeout: 2h", "7200 s is out of range"),
        ("after_content: [restrt]", "after_content[0]: 'restrt' is not known here; did you mean restart?"),
        ("after_content: [RESTART]", "'RESTART' is not known here; known are restart, hold"),
        ("after_content: [unspecified]", "known are restart, hold"),
        ("after_content: [AFTER_CONTENT_RESTART]", "known are restart, hold"),
        ("after_content: restart", "use a list"),
        ("after_content: [1]", "use one of restart, hold"),
        ("after_content: ['']", "use one of restart, hold"),
        ("after_content: [hold, hold]", "hold is here 2 times; keep one"),
        ("order: cheap", "did you mean cheapest?"),
        ("hedge: {delay: 0ms}", "hedge.delay: 0 s is out of range"),
        ("hedge: {max_percent: 0}", "hedge.max_percent: 0 is no share; use a number above 0, at most 100"),
        ("hedge: {max_percent: 100.1}", "100.1 is no share"),
        ("hedge: {max_percent: '5'}", "use a number such as 5 or 0.5, without quotes"),
        ("hedge: {max_percent: .inf}", "use a number such as 5 or 0.5"),
        ("hedge: {max_percent: 0o7}", "use a number such as 5 or 0.5"),
        ("hedge: {max_percent: 010}", "use a number such as 5 or 0.5"),
        ("shadows: [{backend: a, percent: 0}]", "shadows[0].percent: 0 is no share"),
        ("shadows: [{backend: a}]", "shadows[0].percent: 0 is no share"),
        ("shadows: [{backend: x, percent: 1}]", "shadows[0].backend: there is no backend 'x'"),
        ("shadows: [{backend: bare, percent: 1}]", "backend bare has no default_model"),
        ("shadows: [{percent: 1}]", "shadows[0].backend: missing"),
    ],
)
def test_what_is_no_policy(fields: str, words: str) -> None:
    assert words in problem(route(fields))


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ("[{backend: a, canary_percent: 5}]", "tier 0 has canaries only, so nothing takes the rest"),
        ("[{backend: a}, {backend: b, tier: 1, canary_percent: 100}]", "tier 1 has canaries only"),
        (
            "[{backend: a}, {backend: b, canary_percent: 60}, {backend: one, canary_percent: 40.5}]",
            "the canaries of tier 0 sum up to 100.5 %; leave 100 at most",
        ),
        ("[{backend: a}, {backend: b, canary_percent: 0}]", "0 is no share"),
        ("[{backend: a}, {backend: b, canary_percent: 5, weight: 2}]", "canary_percent: goes not with weight"),
        (
            "[{backend: a}, {backend: b, canary_percent: 5, long_context: true}]",
            "canary_percent: goes not with long_context; delete one of the two",
        ),
        ("[{backend: a, long_context: true}]", "targets: nothing but long_context"),
    ],
)
def test_what_is_no_set_of_targets(targets: str, words: str) -> None:
    assert words in problem(route("order: cheapest", targets))


def test_canaries_of_tiers_are_summed_apart() -> None:
    targets = ", ".join(f"{{backend: a, tier: {t}}}, {{backend: b, tier: {t}, canary_percent: 60}}" for t in (0, 1))
    assert len(parsed(route("order: cheapest", f"[{targets}]")).routes[0].targets) == 4


def test_a_hedge_needs_another_replica() -> None:
    assert "but here is only one; add an address or delete hedge" in problem(route("hedge: {}", "[{backend: one}]"))
    shared = "[{backend: one}, {backend: a, long_context: true}]"
    assert "here is only one" in problem(route("hedge: {}", shared))
    for able in ("[{backend: a}]", "[{backend: b}]", "[{backend: one}, {backend: a}]"):
        assert parsed(route("hedge: {}", able)).routes[0].HasField("hedge")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limits: {max_in_flight: -1}", "limits.max_in_flight: -1 is below 0; use 0 for the default"),
        ("limits: {max_bytes_in_flight: -1}", "limits.max_bytes_in_flight: -1 is below 0"),
        ("limits: {max_bytes_in_flight: 9223372036854775808}", "use a whole number"),
        ("limits: {adaptive: 1}", "use true or false"),
        ("limits: {default_caller: {caller: x}}", "default_caller.caller: is for everyone else; delete it"),
        ("limits: {default_caller: {best_priority: 10}}", "10 is no priority; use 0 (first) to 9 (last)"),
        ("limits: {default_caller: {tokens_per_minute: -5}}", "-5 is below 0; use 0 for no bound"),
        ("limits: {callers: [{max_in_flight: 1}]}", "callers[0].caller: '' names no caller"),
        ('limits: {callers: [{caller: "a\\nb"}]}', "names no caller; use 1 to 128 printable characters"),
        ("limits: {callers: [{caller: x}, {caller: x}]}", "callers[1].caller: 'x' is taken by limits.callers[0]"),
        ("fleet: {}", "fleet.redis_url: not a plain URL (not shown)"),
        ("fleet: {redis_url: 'redis://h'}", "use redis://host:port/number"),
        ("fleet: {redis_url: 'redis://h:0'}", "use redis://host:port/number"),
        ("fleet: {redis_url: 'http://h:1'}", "use redis://host:port/number"),
        ("fleet: {redis_url: 'redis://h:1', name: A}", "fleet.name: 'A' is no name; use 1 to 63 of a-z, 0-9 and -"),
    ],
)
def test_what_are_no_limits_and_no_fleet(text: str, words: str) -> None:
    assert words in problem(text)


@pytest.mark.parametrize(
    "fields",
    [
        "redis_url: 'redis://:canary@h:1'",
        "redis_url: 'redis://user:canary@h:1/0'",
        "redis_url: 'redis://h:1/0?password=canary'",
        "redis_url: 'redis://h:1', password: canary",
    ],
)
def test_a_password_is_not_shown(fields: str) -> None:
    line = problem(f"fleet: {{{fields}}}")
    assert "not shown" in line
    assert "canary" not in line


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("relative_cost: 0", "relative_cost: 0 is not above 0; use 1 for the usual price"),
        ("relative_cost: -1.5", "-1.5 is not above 0"),
        ("requests_per_minute: -1", "requests_per_minute: -1 is below 0; use 0 for no bound"),
        ("tokens_per_minute: 1.5", "use a whole number"),
    ],
)
def test_what_bounds_no_backend(fields: str, words: str) -> None:
    assert words in problem(f"  - {{id: k, provider: p, addresses: ['h:1'], {fields}}}")


@pytest.mark.parametrize(
    "address",
    ["k8s:///ns/svc", "k8s://ns/svc:1", "k8s:///svc:1", "k8s:///ns/svc:0", "k8s:///ns/svc:65536", "k8s:///N/svc:1",
     "k8s:///ns/svc:-a", "k8s:///ns/svc:a-", "k8s:///ns/svc:grpc-is-very-long", "k8s:///ns/a/b:1"],
)  # fmt: skip
def test_what_is_no_kubernetes_service(address: str) -> None:
    line = problem(f"  - {{id: k, provider: p, addresses: ['{address}']}}")
    assert "is no address; use host:port, dns:///host:port or k8s:///namespace/service:port" in line


def test_all_mistakes_of_a_route_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(route("order: cheap, hedge: {delay: 0s, max_percent: 0}", "[{backend: a, canary_percent: 200}]"))
    assert len(caught.value.problems) == 5
