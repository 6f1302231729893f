"""The router's core under virtual time: outages, recoveries and rate limits at random. A failure names its seed."""

import heapq
import random
from dataclasses import dataclass, field

import pytest

from antiphon_router.core import decide
from antiphon_router.core.balance import observed, observed_failure
from antiphon_router.core.budget import Budget, credited, spent
from antiphon_router.core.decide import Fleet
from antiphon_router.core.failover import MAX_FAILURES, NEW_TURN, Attempt, failed, stop
from antiphon_router.core.faults import Failure, Reason
from antiphon_router.core.health import Health
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import Backend, Candidate, Load, Replica, Scope, State, TargetKey

SEEDS = range(50)
TURNS = 300
RATE = 5.0
LOST = Failure(Reason.UPSTREAM_UNREACHABLE, lost=True)


@dataclass
class Suite:
    """Backends, each with replicas, and a clock that moves from call to call. An answer takes as long as its replica
    is slow, a failure no time."""

    seed: int
    shape: dict[str, int]
    now: float = 0.0
    budget: Budget = field(default_factory=Budget)
    running: list[tuple[float, TargetKey]] = field(default_factory=list)
    calls: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.backends = {name: Backend(name, "p", account=name, pool_mark=f"@{name}") for name in self.shape}
        self.replicas = {n: [Replica(n, f"{n}:{i}") for i in range(count)] for n, count in self.shape.items()}
        self.healths = {r.key: Health(proven=True) for rs in self.replicas.values() for r in rs}
        self.shared: dict[TargetKey, Health] = {}
        self.loads: dict[TargetKey, Load] = {key: Load() for key in self.healths}
        self.fleet = Fleet(self.replicas, self.healths, self.shared, self.loads)
        self.resolution = Resolution("m", (tuple(Candidate(b, "m") for b in self.backends.values()),))
        self.speed = {key: self.dice.uniform(0.1, 1.0) for key in self.healths}

    def apply(self, changes: decide.Changes) -> None:
        for key, health in changes.items():
            (self.healths if key.scope is Scope.REPLICA else self.shared)[key] = health

    def turn(self, fate) -> Attempt | Refusal | None:
        """One call; `fate(replica)` is the failure of an attempt or None. Returns who served it."""
        self.now += self.dice.expovariate(RATE)
        while self.running and self.running[0][0] <= self.now:
            _, ended = heapq.heappop(self.running)
            self.loads[ended] = self.loads[ended]._replace(in_flight=self.loads[ended].in_flight - 1)
        self.budget = credited(self.budget, 1, self.now)
        turn = NEW_TURN
        while True:
            attempt = decide.choose(self.resolution, turn, self.fleet, self.now, self.dice)
            if isinstance(attempt, Refusal):
                return attempt
            key = attempt.replica.key
            self.calls.append((self.now, attempt.replica.address))
            self.apply(decide.started(attempt, self.fleet, self.now))
            failure = fate(attempt.replica)
            if failure is None:
                load = observed(self.loads[key], self.speed[key], self.now)
                self.loads[key] = load._replace(in_flight=load.in_flight + 1)
                heapq.heappush(self.running, (self.now + self.speed[key], key))
                self.apply(decide.succeeded(attempt, self.fleet, self.now))
                return attempt
            self.loads[key] = observed_failure(self.loads[key], failure.elapsed_s, self.now)
            self.apply(decide.failed(attempt, failure, self.fleet, self.now, self.dice))
            turn = failed(turn, attempt, failure)
            assert len(turn.tried) <= MAX_FAILURES
            left = None if stop(turn, committed=False, by_route=False, left_s=30) else spent(self.budget, self.now)
            if left is None:
                return None
            self.budget = left

    def calls_to(self, address: str, since: float = 0.0) -> int:
        return sum(at >= since for at, to in self.calls if to == address)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dead_replica_is_asked_rarely_and_returns_when_it_heals(seed):
    suite = Suite(seed, {"a": 3})
    dead = suite.replicas["a"][seed % 3]
    for _ in range(TURNS):
        served = suite.turn(lambda r: LOST if r is dead else None)
        assert isinstance(served, Attempt), "two replicas are always well"
    outage_s = suite.now
    # Three to trip, then a probe after 1, 2, 4, … s, and no more than one per minute.
    assert suite.calls_to(dead.address) <= 3 + 7 + outage_s / 45
    if suite.calls_to(dead.address) > 2:
        assert suite.healths[dead.key].state is State.OPEN
    healed_at = suite.now
    while suite.now < healed_at + 75:
        assert isinstance(suite.turn(lambda _: None), Attempt)
    assert suite.healths[dead.key].at(suite.now).state is State.HEALTHY
    for replica in suite.replicas["a"]:
        assert suite.calls_to(replica.address, healed_at) > 1, "nobody starves"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rate_limit_is_never_undercut_and_one_probe_ends_it(seed):
    suite = Suite(seed, {"a": 2, "b": 2})
    until = 0.0

    def fate(replica: Replica) -> Failure | None:
        nonlocal until
        if replica.backend != "a":
            return None
        assert suite.now >= until, "asked before its time"
        if suite.dice.random() < 0.02:
            delay_s = suite.dice.uniform(0.5, 6.0)
            until = suite.now + delay_s
            return Failure(Reason.RATE_LIMITED, delay_s=delay_s, retry_other=True)
        return None

    (ways,) = suite.resolution.tiers
    for _ in range(TURNS):
        before = until
        assert isinstance(suite.turn(fate), Attempt), "b serves what a may not"
        if until > before:
            # Another call was under way meanwhile; its answer comes later and names a shorter time.
            straggler = Attempt(1, ways[0], suite.replicas["a"][0])
            hint = Failure(Reason.RATE_LIMITED, delay_s=0.1, retry_other=True)
            suite.apply(decide.failed(straggler, hint, suite.fleet, suite.now, suite.dice))
    assert sum(to.startswith("a") for _, to in suite.calls) > 20, "it comes back"


@pytest.mark.parametrize("seed", SEEDS)
def test_random_trouble_never_admits_two_probes_and_ends_in_health(seed):
    suite = Suite(seed, {"a": 3, "b": 2})
    kinds = [
        LOST,
        Failure(Reason.UPSTREAM_UNREACHABLE, retry_same=True, retry_other=True),
        Failure(Reason.PROVIDER_ERROR, http_status=500, retry_same=True, retry_other=True),
        Failure(Reason.PROVIDER_ERROR, http_status=503, retry_same=True, retry_other=True, elapsed_s=0.2),
        Failure(Reason.PROVIDER_OVERLOADED, retry_other=True),
        Failure(Reason.RATE_LIMITED, retry_other=True),
        Failure(Reason.INVALID_REQUEST),
    ]
    trouble: dict[str, tuple[float, Failure]] = {}

    def fate(replica: Replica) -> Failure | None:
        ends, failure = trouble.get(replica.address, (0.0, LOST))
        return failure if suite.now < ends else None

    for _ in range(TURNS):
        if suite.dice.random() < 0.02:
            replica = suite.dice.choice([r for own in suite.replicas.values() for r in own])
            trouble[replica.address] = (suite.now + suite.dice.uniform(1, 8), suite.dice.choice(kinds))
        suite.turn(fate)
        assert all(h.state is not State.HALF_OPEN for h in (*suite.healths.values(), *suite.shared.values())), (
            "a probe that ended is no longer out"
        )
    trouble.clear()
    calm_from = suite.now
    while suite.now < calm_from + 90:
        suite.turn(fate)
    assert {h.at(suite.now).state for h in suite.healths.values()} == {State.HEALTHY}
    assert {h.at(suite.now).state for h in suite.shared.values()} <= {State.HEALTHY}


@pytest.mark.parametrize("seed", SEEDS)
def test_while_a_probe_is_out_nobody_else_is_sent_there(seed):
    suite = Suite(seed, {"a": 2})
    sick = suite.replicas["a"][0]
    while suite.healths[sick.key].state is not State.OPEN:
        suite.turn(lambda r: LOST if r is sick else None)
    suite.now = suite.healths[sick.key].next_try or 0.0
    probe = decide.choose(suite.resolution, NEW_TURN, suite.fleet, suite.now, suite.dice)
    assert isinstance(probe, Attempt)
    assert probe.replica is sick
    suite.apply(decide.started(probe, suite.fleet, suite.now))
    for _ in range(50):
        served = suite.turn(lambda _: None)
        assert isinstance(served, Attempt)
        assert served.replica is not sick
    suite.apply(decide.succeeded(probe, suite.fleet, suite.now))
    assert suite.healths[sick.key].state is State.SLOW_START


def test_a_total_outage_does_not_multiply_calls():
    suite = Suite(1, {"a": 3})
    for _ in range(4_000):
        suite.turn(lambda _: LOST)
    turns, seconds = 4_000, suite.now
    assert len(suite.calls) <= turns * 1.1 + 3 * seconds + 40
