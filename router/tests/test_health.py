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


def test_a_probe_after_a_rate_limit_that_fails_otherwise_tells_of_an_outage_and_no_longer_of_a_limit():
    out = fail(HEALTHY, 0.0, 3)
    after = fail(out.limited(0.5, DICE, delay_s=1.0, rule="rate").started(1.5), 1.5)
    assert (after.state, after.cause, after.level) == (State.OPEN, Cause.ERRORS, out.level + 1)
    assert after.ejected, "so that panic does not heed it"


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


# The probe and what others tell meanwhile.

DUE = Health(State.OPEN, Cause.ERRORS, "row", 0.0, 5.0, level=1)


def test_only_the_probe_decides_while_it_is_out():
    probing = DUE.started(6.0)
    assert probing.failed(7.0, DICE, cause=Cause.ERRORS, rule="row", weight=1.0, probe=False) is probing
    assert fail(probing, 7.0).state is State.OPEN


def test_what_others_tell_meanwhile_outlives_the_success_of_the_probe():
    limited = DUE.started(6.0).limited(7.0, DICE, delay_s=30.0, rule="rate", probe=False)
    assert (limited.state, limited.admission(99.0)) == (State.HALF_OPEN, Admission.OUT)
    after = limited.recovered(8.0)
    assert (after.state, after.next_try) == (State.RATE_LIMITED, 37.0)
    assert fail(limited, 8.0) == after
    assert limited.abandoned(8.0).next_try == 37.0
    shorter = limited.limited(8.0, DICE, delay_s=1.0, rule="rate")
    assert (shorter.state, shorter.next_try) == (State.RATE_LIMITED, 37.0), "the probe's own, shorter hint"
    refused = DUE.started(6.0).disabled(7.0, cause=Cause.AUTH, rule="auth", probe=False)
    assert refused.state is State.HALF_OPEN
    assert refused.recovered(8.0).state is State.DISABLED


def test_only_the_probe_ends_the_trial_of_what_is_not_out_for_failures():
    limited = DUE.started(6.0).limited(7.0, DICE, delay_s=1.0, rule="rate", probe=False)
    assert limited.recovered(9.0, probe=False) is limited, "its probe is still out"
    refused = HEALTHY.disabled(0.0, cause=Cause.AUTH, rule="auth").started(300.0)
    assert refused.recovered(301.0, probe=False) is refused
    assert DUE.started(6.0).recovered(7.0, probe=False).state is State.SLOW_START


def test_most_calls_failing_is_enough_whatever_their_order():
    out = HEALTHY.failed(1.0, DICE, cause=Cause.ERRORS, rule="row", weight=0.5, mostly=True)
    assert out.state is State.OPEN


def test_a_failure_of_no_weight_puts_nothing_out_but_ends_a_probe():
    assert HEALTHY.failed(1.0, DICE, cause=Cause.OVERLOADED, rule="row", weight=0.0, mostly=True) is HEALTHY
    assert fail(DUE.started(6.0), 7.0, weight=0.0).state is State.OPEN


def test_what_fails_while_it_starts_has_not_been_well():
    back = DUE.started(6.0).recovered(6.0)
    again = fail(back, 7.0, 3, dice=Middle())
    assert again.next_try == 7.0 + 2.0 ** (1 + POLICY.relapse)


def test_a_rate_limit_without_a_time_is_never_longer_than_an_outage():
    health = Health(State.SLOW_START, Cause.RATE_LIMIT, level=12).limited(0.0, DICE, delay_s=None, rule="rate")
    assert health.next_try is not None
    assert POLICY.open_max_s <= health.next_try <= 1.2 * POLICY.open_max_s
    back = DUE.started(6.0).recovered(6.0).limited(7.0, Middle(), delay_s=None, rule="rate")
    assert back.next_try == pytest.approx(7.0 + 1.1), "other trouble has not made it longer"


def test_a_limit_told_for_an_account_ends_its_being_disabled():
    out = HEALTHY.disabled(10.0, cause=Cause.BILLING, rule="billing", delay_s=3600.0)
    assert out.next_try == 3610.0
    assert HEALTHY.disabled(10.0, cause=Cause.BILLING, rule="billing", delay_s=1e9).next_try == 10.0 + 86_400


# Shares.


def reviewed(health: Health, now: float, breached: bool = False, calm: bool = True, steps: int = 1) -> Health:
    return health.reviewed(now, breached=breached, calm=calm, cause=Cause.SLOW, steps=steps)


def test_a_breach_takes_a_fifth_at_every_review_down_to_a_floor():
    health = reviewed(HEALTHY, 2.0, breached=True)
    assert (health.state, health.cause, health.since, health.share(2.0)) == (State.DEGRADED, Cause.SLOW, 2.0, 0.8)
    assert health.admission(2.0) is Admission.IN
    for _ in range(30):
        health = reviewed(health, 9.0, breached=True)
    assert (health.share(9.0), health.since) == (0.05, 2.0)


def test_calm_gives_back_a_twentieth_at_every_review_until_all_is_back():
    health = reviewed(HEALTHY, 2.0, breached=True)
    assert reviewed(health, 4.0, calm=False) is health
    times = 0
    while health.state is State.DEGRADED:
        health, times = reviewed(health, 4.0 + times), times + 1
    assert times == 4
    assert health == Health(since=7.0, proven=True)
    assert reviewed(health, 9.0) is health
    down = reviewed(HEALTHY, 2.0, breached=True)
    assert reviewed(down, 90.0, steps=10).state is State.HEALTHY


def test_what_is_out_is_not_reviewed():
    assert reviewed(DUE, 2.0, breached=True) is DUE


# People and keys.


def test_a_person_may_have_what_calls_put_out_tried_but_not_undercut_a_limit():
    assert fail(HEALTHY, 0.0, 3).enabled(0.1).admission(0.1) is Admission.PROBE
    assert HEALTHY.disabled(0.0, cause=Cause.AUTH, rule="auth").enabled(1.0).next_try == 1.0
    limited = HEALTHY.limited(0.0, DICE, delay_s=9.0, rule="rate")
    assert limited.enabled(1.0) is limited
    lost = HEALTHY.unreachable(0.0, 1.0)
    assert lost.enabled(0.5) is lost


def test_a_new_key_ends_what_was_said_of_the_old_one():
    out = HEALTHY.disabled(0.0, cause=Cause.AUTH, rule="auth")
    assert out.rekeyed(5.0).state is State.SLOW_START
    assert out.started(300.0).rekeyed(301.0).state is State.SLOW_START
    limited = HEALTHY.limited(0.0, DICE, delay_s=9.0, rule="rate")
    assert limited.rekeyed(5.0) is limited


def test_ejected_is_out_for_failures_of_calls_alone():
    assert DUE.ejected
    assert DUE.started(6.0).ejected
    assert not HEALTHY.ejected
    assert not HEALTHY.unreachable(0.0, 1.0).ejected
    assert not HEALTHY.disabled(0.0, cause=Cause.AUTH, rule="auth").ejected
