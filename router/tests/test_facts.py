"""What routers tell each other, and what each makes of it."""

import pytest

from antiphon_router.core.facts import Fact, fact_of, is_over, learned, over, postponed
from antiphon_router.core.health import POLICY, Health
from antiphon_router.core.values import Cause, Scope, State, TargetKey

POOL = TargetKey(Scope.POOL, "p/m")
WELL = Health()
NOW = 1000.0


class Dice:
    def random(self) -> float:
        return 0.5

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def limited(left_s: float, since: float = NOW) -> Health:
    return WELL.limited(since, Dice(), delay_s=left_s, rule="rate")


def disabled(left_s: float) -> Health:
    return WELL.disabled(NOW, cause=Cause.AUTH, rule="auth", delay_s=left_s)


def opened() -> Health:
    health = WELL
    while health.state is not State.OPEN:
        health = health.failed(NOW, Dice(), cause=Cause.ERRORS, rule="server", weight=1.0)
    return health


def fact(state: State, left_s: float, cause: Cause = Cause.AUTH) -> Fact:
    return Fact(POOL, state, cause, "rule", left_s)


@pytest.mark.parametrize("health", [limited(5), disabled(50), opened()])
def test_what_goes_out_is_told_with_how_long_it_holds(health):
    assert health.next_try is not None
    told = fact_of(POOL, WELL, health, NOW)
    assert told == Fact(POOL, health.state, health.cause, health.rule, health.next_try - NOW)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (WELL, WELL.failed(NOW, Dice(), cause=Cause.ERRORS, rule="r", weight=1.0)),
        (limited(5), limited(5)),
        (limited(5), limited(5).started(NOW + 5)),
        (limited(5), limited(5).started(NOW + 5).recovered(NOW + 6)),
        (WELL, Health(State.DRAINING, since=NOW)),
        (WELL, Health(State.OPEN, next_try=None)),
    ],
)
def test_what_is_no_news_is_not_told(before, after):
    assert fact_of(POOL, before, after, NOW) is None


def test_what_is_over_already_is_not_told():
    assert fact_of(POOL, WELL, limited(5), NOW + 5) is None


def test_replicas_are_no_matter_of_facts():
    assert fact_of(TargetKey(Scope.REPLICA, "h:1"), WELL, opened(), NOW) is None


def test_what_others_tell_while_a_probe_is_out_is_told():
    probing = limited(5).started(NOW + 5)
    longer = probing.limited(NOW + 5, Dice(), delay_s=60, rule="rate", probe=False)
    assert longer.state is State.HALF_OPEN
    told = fact_of(POOL, probing, longer, NOW + 5)
    assert told is not None
    assert (told.state, told.left_s) == (State.RATE_LIMITED, 60)


def test_a_key_that_is_accepted_again_is_over_and_nothing_else():
    out = disabled(5)
    assert is_over(out, out.rekeyed(NOW))
    assert is_over(out.started(NOW + 5), out.rekeyed(NOW + 6))
    assert not is_over(out, out.started(NOW + 5))
    assert not is_over(limited(5), WELL)


def test_a_rate_limit_counts_as_if_it_had_been_told_here():
    known = learned(WELL, fact(State.RATE_LIMITED, 7), NOW)
    assert (known.state, known.next_try, known.cause) == (State.RATE_LIMITED, NOW + 7, Cause.RATE_LIMIT)
    assert learned(known, fact(State.RATE_LIMITED, 9), NOW).next_try == NOW + 9


def test_nothing_shortens_what_is_known_and_a_dead_key_stays_dead():
    own = limited(30)
    assert learned(own, fact(State.RATE_LIMITED, 7), NOW) is own
    dead = disabled(5)
    assert learned(dead, fact(State.RATE_LIMITED, 100), NOW) is dead
    assert learned(dead, fact(State.DISABLED, 5), NOW) is dead
    assert learned(dead, fact(State.DISABLED, 4), NOW) is dead


def test_a_rate_limit_is_bounded_here_as_anywhere():
    assert learned(WELL, fact(State.RATE_LIMITED, 1e9), NOW).next_try == NOW + POLICY.limit_max_s


def test_a_dead_key_is_dead_here_too_until_the_fact_expires():
    known = learned(limited(500), fact(State.DISABLED, 40, Cause.REVOKED), NOW)
    assert (known.state, known.cause, known.next_try) == (State.DISABLED, Cause.REVOKED, NOW + 40)
    assert learned(known, fact(State.DISABLED, 60), NOW).next_try == NOW + 60


def test_a_breaker_elsewhere_is_evidence_here():
    suspicious = learned(WELL, fact(State.OPEN, 2), NOW)
    assert suspicious.state is State.HEALTHY
    tripped = suspicious.failed(NOW, Dice(), cause=Cause.ERRORS, rule="r", weight=1.0)
    assert tripped.state is State.OPEN
    assert suspicious.succeeded().failures == 0


def test_a_probe_that_failed_elsewhere_spares_ours():
    own = opened()
    assert learned(own, fact(State.OPEN, 30), NOW).next_try == NOW + 30
    assert learned(own, fact(State.OPEN, 0.1), NOW) is own
    probing = own.started(NOW + 5)
    assert learned(probing, fact(State.OPEN, 30), NOW + 5) is probing
    assert learned(limited(1), fact(State.OPEN, 30), NOW) == limited(1)


def test_facts_that_arrive_while_our_probe_is_out_do_not_let_a_second_one_go():
    probing = limited(5).started(NOW + 5)
    known = learned(probing, fact(State.RATE_LIMITED, 60), NOW + 5)
    assert known.state is State.HALF_OPEN
    assert learned(known.before, fact(State.RATE_LIMITED, 1), NOW + 5).next_try == NOW + 65


def test_what_is_over_elsewhere_is_tried_here():
    assert over(disabled(300), NOW).next_try == NOW
    assert over(limited(300), NOW) == limited(300), "a rate limit is never undercut"
    assert over(WELL, NOW) is WELL


def test_a_probe_of_another_router_postpones_ours_and_never_hastens_it():
    assert postponed(limited(1), NOW + 3).next_try == NOW + 3
    own = limited(5)
    assert postponed(own, NOW + 3) is own
    assert postponed(WELL, NOW + 3) is WELL
    endless = Health(State.OPEN)
    assert postponed(endless, NOW + 3) is endless


def test_no_dice_are_thrown_for_a_delay_that_is_given():
    from antiphon_router.core.facts import _NoDice

    for throw in (lambda: _NoDice().random(), lambda: _NoDice().uniform(0, 1)):
        with pytest.raises(AssertionError):
            throw()
