"""Where copies of calls go: only where all is well, and never into the half of the room that is the callers'."""

import random

import pytest

from antiphon.llm.v1 import error_pb2, response_pb2
from antiphon_router.core import meter
from antiphon_router.core.decide import choose_aside
from antiphon_router.core.failover import NEW_TURN
from antiphon_router.core.faults import Failure, Reason
from antiphon_router.core.fleet import Fleet
from antiphon_router.core.health import Health
from antiphon_router.core.quota import Quota
from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import Backend, Candidate, Load, Replica, State
from antiphon_router.shell.roster import Roster, Running

WELL = Health(proven=True)
NOW = 100.0
ONE, TWO = Replica("a", "h:1"), Replica("a", "h:2")


def way(**facts) -> Candidate:
    return Candidate(Backend("a", "p", account="a", **facts), "m")


def fleet(first: Health = WELL, second: Health = WELL, **facts) -> Fleet:
    facts = {"shared": {}, "loads": {}, **facts}
    return Fleet({"a": [ONE, TWO]}, {ONE.key: first, TWO.key: second}, **facts)


def places(candidate: Candidate, seen: Fleet) -> set[str]:
    dice = random.Random(3)
    found = [choose_aside(candidate, seen, NOW, dice) for _ in range(30)]
    assert all(not attempt.probes and not attempt.rescues for attempt in found if attempt)
    return {attempt.replica.address for attempt in found if attempt}


def test_a_copy_goes_to_any_replica_that_is_well():
    assert places(way(), fleet()) == {"h:1", "h:2"}


@pytest.mark.parametrize(
    "health",
    [
        Health(State.OPEN, next_try=NOW - 1.0),
        Health(State.OPEN, next_try=NOW + 1.0),
        Health(State.DISABLED, next_try=NOW - 1.0),
        Health(State.HALF_OPEN, before=Health(State.OPEN)),
        Health(State.SLOW_START, since=NOW - 1.0),
        Health(State.DEGRADED, weight=0.5),
        Health(State.DRAINING),
        Health(State.UNSPECIFIED),
    ],
)
def test_what_is_out_due_or_just_back_gets_no_copy(health):
    assert places(way(), fleet(first=health)) == {"h:2"}
    assert places(way(), fleet(health, health)) == set()
    for key in way().keys:
        assert places(way(), fleet(shared={key: health})) == set()


def test_what_has_warmed_up_is_well():
    assert places(way(), fleet(first=Health(State.SLOW_START, since=NOW - 60.0))) == {"h:1", "h:2"}


def test_half_of_the_room_is_the_callers():
    loads = {ONE.key: Load(1), TWO.key: Load(1)}
    assert places(way(max_in_flight=6), fleet(loads=loads))
    assert not places(way(max_in_flight=5), fleet(loads=loads))
    candidate = way()
    assert places(candidate, fleet(quotas={candidate.pool: Quota(0.5, NOW, NOW + 60.0)}))
    assert not places(candidate, fleet(quotas={candidate.pool: Quota(0.49, NOW, NOW + 60.0)}))
    bounded = way(requests_per_minute=10)
    drawn = meter.Meter()
    for _ in range(5):
        meter.draw(drawn, bounded.backend.bounds, 0.0, NOW)
    assert places(bounded, fleet(meters={"a": drawn}))
    meter.draw(drawn, bounded.backend.bounds, 0.0, NOW)
    assert not places(bounded, fleet(meters={"a": drawn}))


@pytest.fixture
def roster() -> Roster:
    now = [NOW]
    roster = Roster(clock=lambda: now[0], dice=random.Random(1))
    roster.add(ONE)
    roster.serving(ONE)
    return roster


def test_a_copy_runs_and_draws_and_tells_nothing(roster):
    candidate = way(tokens_per_minute=10_000)
    copy = roster.aside(candidate, 4000)
    assert copy is not None
    assert roster.fleet.loads[ONE.key].in_flight == 1
    drawn_s = roster.fleet.meters["a"].tokens_due_s
    end = response_pb2.ResponseEnd()
    end.usage.input_tokens, end.usage.output_tokens = 10, 10
    copy.end = end.SerializeToString()
    roster._loads[ONE.key] = Load(1, 0.01, NOW)
    roster.clock = lambda: NOW + 0.5
    before = (dict(roster.fleet.healths), 0.01)
    copy.close()
    assert roster.fleet.loads[ONE.key].in_flight == 0
    assert roster.fleet.meters["a"].tokens_due_s < drawn_s, "what it took is put right"
    assert (dict(roster.fleet.healths), roster.fleet.loads[ONE.key].first_content_s) == before
    assert not roster.fleet.paces


def test_a_copy_leaves_the_probe_to_callers(roster):
    candidate = way()
    running = roster.begin(Resolution("r", ((candidate,),)), NEW_TURN)
    assert isinstance(running, Running)
    running.failed(Failure(Reason.PROVIDER_CREDENTIALS, retry_other=True), error_pb2.CallError())
    running.close()
    [key] = roster.fleet.shared
    roster.enable(key)
    due = roster.health_of(key)
    assert roster.aside(candidate, 0) is None
    assert roster.health_of(key) == due
    probe = roster.begin(Resolution("r", ((candidate,),)), NEW_TURN)
    assert isinstance(probe, Running)
    assert probe.attempt.probes == (key,)
    assert roster.aside(candidate, 0) is None
    probe.close()
