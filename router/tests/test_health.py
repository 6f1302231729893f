"""Every state and every arrow of the health machine."""

import random

import pytest

from antiphon_router.core.health import POLICY, REMOVED, UNOBSERVED, WATCH, Admission, Health
from antiphon_router.core.values import Cause, State

DICE = random.Random(7)
HEALTHY = Health(proven=True)


class Middle:
    """Dice that always fall in the middle."""

    def random(self) -> float:
        return 0.5

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def fail(health: Health, now: float, times: int = 1, weight: float = 1.0, dice=DICE) -> Health:
    for _ in range(times):
        health = health.failed(now, dice, cause=Cause.ERRORS, rule="row", weight=weight)
    return health


def test_three_failures_in_a_row_open_and_two_do_not():
    assert fail(HEALTHY, 5.0, 2).state is State.HEALTHY
    out = fail(HEALTHY, 5.0, 3)
    assert (out.state, out.cause, out.rule, out.since) == (State.OPEN, Cause.ERRORS, "row", 5.0)
    assert out.next_try is not None
    assert 5.8 <= out.next_try <= 6.2


def test_a_success_between_failures_starts_the_count_anew():
    health = fail(HEALTHY, 1.0, 2).succeeded()
    assert health.failures == 0
    assert fail(health, 2.0, 2).state is State.HEALTHY
    assert HEALTHY.succeeded() is HEALTHY


def test_half_weights_need_twice_as_many():
    assert fail(HEALTHY, 0, 5, weight=0.5).state is State.HEALTHY
    assert fail(HEALTHY, 0, 6, weight=0.5).state is State.OPEN


def test_open_admits_nobody_until_due_and_then_exactly_one_probe():
    out = fail(HEALTHY, 0.0, 3)
    assert out.admission(0.5) is Admission.OUT
    assert out.started(0.5) is out
    assert out.admission(2.0) is Admission.PROBE
    probing = out.started(2.0)
    assert probing.state is State.HALF_OPEN
    assert probing.admission(100.0) is Admission.OUT
    assert probing.started(100.0) is probing


def test_a_probe_in_vain_doubles_the_time_up_to_the_cap():
    health, now, times = fail(HEALTHY, 0.0, 3, dice=Middle()), 0.0, []
    for _ in range(9):
        assert health.next_try is not None
        times.append(round(health.next_try - now, 6))
        now = health.next_try
        health = fail(health.started(now), now, dice=Middle())
    assert times == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_calm_makes_the_next_outage_short_again():
    health = fail(HEALTHY, 0.0, 3, dice=Middle())
    for _ in range(3):
        health = fail(health.started(health.next_try), health.next_try, dice=Middle())
    assert health.level == 4
    back = health.started(100.0).recovered(100.0).at(111.0)
    assert (back.state, back.level, back.since) == (State.HEALTHY, 4, 110.0)
    soon, later = fail(back, 115.0, 3, dice=Middle()), fail(back, 110.0 + 95.0, 3, dice=Middle())
    assert soon.next_try == 115.0 + 16
    assert later.next_try == 205.0 + 2


def test_slow_start_grows_from_a_tenth_to_all():
    slow = fail(HEALTHY, 0.0, 3).started(2.0).recovered(2.0)
    assert slow.state is State.SLOW_START
    assert slow.admission(2.0) is Admission.IN
    assert slow.share(2.0) == pytest.approx(0.1)
    assert slow.share(7.0) == pytest.approx(0.55)
    assert slow.share(99.0) == 1.0
    assert slow.at(11.9) is slow
    assert slow.at(12.0).state is State.HEALTHY
    assert HEALTHY.share(0.0) == 1.0


def test_stragglers_change_nothing_about_a_target_that_is_out():
    out = fail(HEALTHY, 0.0, 3)
    assert out.succeeded() is out
    assert fail(out, 0.5) is out
    assert out.abandoned(0.5) is out


def test_an_abandoned_probe_is_made_again_soon():
    out = fail(HEALTHY, 0.0, 3)
    back = out.started(2.0).abandoned(9.0)
    assert (back.state, back.next_try, back.level) == (State.OPEN, 9.0 + POLICY.abandoned_s, out.level)


def test_a_rate_limit_is_extended_and_never_undercut():
    first = HEALTHY.limited(0.0, DICE, delay_s=20.0, rule="rate")
    assert (first.state, first.cause, first.next_try) == (State.RATE_LIMITED, Cause.RATE_LIMIT, 20.0)
    shorter = first.limited(5.0, DICE, delay_s=1.0, rule="rate")
    assert (shorter.next_try, shorter.since) == (20.0, 0.0)
    assert first.limited(5.0, DICE, delay_s=60.0, rule="rate").next_try == 65.0
    assert first.limited(0.0, DICE, delay_s=4000.0, rule="rate").next_try == 300.0


def test_a_rate_limit_without_a_time_doubles_and_is_never_shorter_than_that():
    health, now = HEALTHY, 0.0
    for expected in (1, 2, 4, 8):
        health = health.limited(now, DICE, delay_s=None, rule="rate")
        assert health.next_try is not None
        assert expected <= health.next_try - now <= expected * 1.2
        assert health.limited(now, DICE, delay_s=None, rule="rate") is health
        now = health.next_try
        health = health.started(now)
        assert health.state is State.HALF_OPEN


def test_a_rate_limit_probe_that_fails_otherwise_goes_back_to_rate_limited():
    limited = HEALTHY.limited(0.0, DICE, delay_s=1.0, rule="rate").started(1.0)
    assert fail(limited, 1.0).state is State.RATE_LIMITED


def test_disabled_is_probed_every_five_minutes_and_keeps_its_since():
    out = HEALTHY.disabled(10.0, cause=Cause.AUTH, rule="auth")
    assert (out.state, out.cause, out.since, out.next_try) == (State.DISABLED, Cause.AUTH, 10.0, 310.0)
    again = out.started(310.0).disabled(311.0, cause=Cause.AUTH, rule="auth")
    assert (again.since, again.next_try) == (10.0, 611.0)
    assert fail(out.started(310.0), 312.0).next_try >= 312.0 + 300 * 0.8
    assert out.started(310.0).recovered(311.0).state is State.SLOW_START
    assert out.recovered(20.0) is out


def test_the_health_stream_brings_a_new_replica_in_at_once_and_one_that_was_lost_slowly():
    assert UNOBSERVED.admission(0.0) is Admission.OUT
    new = UNOBSERVED.serving(1.0)
    assert (new.state, new.since, new.proven) == (State.HEALTHY, 1.0, True)
    assert new.serving(2.0) is new
    lost = new.unreachable(3.0, 3.1)
    assert (lost.state, lost.cause, lost.rule, lost.since, lost.next_try) == (
        State.OPEN, Cause.UNREACHABLE, WATCH, 3.0, 3.1,
    )  # fmt: skip
    assert lost.unreachable(3.1, 3.3).since == 3.0
    assert lost.admission(99.0) is Admission.OUT, "the health stream is its probe"
    assert lost.serving(4.0).state is State.SLOW_START


def test_a_replica_that_is_loading_at_first_becomes_healthy_without_a_slow_start():
    loading = UNOBSERVED.unreachable(0.0, 0.1).not_serving(1.0)
    assert (loading.state, loading.cause) == (State.DRAINING, Cause.NOT_SERVING)
    assert loading.not_serving(2.0) is loading
    assert loading.serving(5.0).state is State.HEALTHY


def test_the_health_stream_does_not_close_what_calls_opened():
    out = fail(HEALTHY, 0.0, 3)
    assert out.serving(0.5) is out
    probing = out.started(2.0)
    assert probing.serving(2.0) is probing


def test_a_removed_replica_drains():
    out = HEALTHY.not_serving(4.0, cause=Cause.OPERATOR, rule=REMOVED)
    assert (out.state, out.cause, out.rule, out.admission(99.0)) == (
        State.DRAINING, Cause.OPERATOR, REMOVED, Admission.OUT,
    )  # fmt: skip
    assert out.recovered(5.0) is out


def test_what_is_unremarkable():
    assert Health().unremarkable
    assert not HEALTHY.unremarkable
    assert not fail(Health(), 0).unremarkable
