"""The budgets: second attempts, hedges, and what a provider that fails is still asked."""

from antiphon_router.core.budget import (
    CREDIT_LIFE_S,
    FLOOR_PER_S,
    HEDGE_TOKENS,
    Budget,
    Throttle,
    credited,
    hedge_earned,
    hedge_spent,
    is_spent_out,
    refusal_odds,
    spent,
    throttled,
)


def drain(budget: Budget, now: float) -> tuple[int, Budget]:
    count = 0
    while (left := spent(budget, now)) is not None:
        budget, count = left, count + 1
    return count, budget


def test_a_burst_is_bounded_and_the_floor_refills_three_a_second():
    count, budget = drain(Budget(), 0.0)
    assert count == FLOOR_PER_S * CREDIT_LIFE_S
    assert drain(budget, 1.0)[0] == 3
    assert drain(budget, 1000.0)[0] == 30


def test_ten_requests_earn_one_attempt_and_it_fades():
    _, budget = drain(Budget(), 0.0)
    for _ in range(1000):
        budget = credited(budget, 1, 0.0)
    assert drain(budget, 0.0)[0] in (99, 100)
    faded = drain(budget, 30.0)[0]
    assert 30 <= faded <= 36


def test_part_of_a_credit_from_each_pot_makes_one():
    left = spent(Budget(floor=0.5, earned=0.6, updated=0.0), 0.0)
    assert left is not None
    assert (round(left.floor, 6), left.earned) == (0.1, 0.0)
    assert spent(left, 0.0) is None


def test_a_clock_that_stands_still_or_goes_back_costs_nothing():
    assert credited(Budget(updated=5.0), 1, 4.0).floor == 30.0


def test_hedges_are_a_percentage_of_calls_to_the_call():
    credit, taken = 0.0, 0
    for _ in range(1000):
        credit = hedge_earned(credit, 5.0)
        if (left := hedge_spent(credit)) is not None:
            credit, taken = left, taken + 1
    assert taken == 50


def test_hedges_that_nobody_took_do_not_pile_up():
    credit = 0.0
    for _ in range(10_000):
        credit = hedge_earned(credit, 5.0)
    taken = 0
    while (left := hedge_spent(credit)) is not None:
        credit, taken = left, taken + 1
    assert taken == HEDGE_TOKENS


def test_a_provider_that_takes_most_attempts_is_not_throttled_and_one_that_takes_none_is():
    throttle = Throttle()
    for second in range(30):
        throttle = throttled(throttle, float(second), started=10, failed=4)
    assert refusal_odds(throttle, 30.0) == 0.0
    for second in range(30, 90):
        throttle = throttled(throttle, float(second), started=10, failed=10)
    assert refusal_odds(throttle, 90.0) > 0.7


def test_answers_under_way_for_minutes_are_no_refusals():
    throttle = throttled(Throttle(), 0.0, started=1, failed=1)
    for second in range(60):
        throttle = throttled(throttle, float(second), started=50)
    assert refusal_odds(throttle, 60.0) == 0.0


def test_recovery_ends_the_throttle_in_seconds():
    throttle = throttled(Throttle(), 0.0, started=500, failed=500)
    assert refusal_odds(throttle, 0.0) > 0.9
    assert not is_spent_out(throttle, 10.0)
    for second in range(8):
        throttle = throttled(throttle, float(second), started=20)
    assert refusal_odds(throttle, 8.0) < 0.5
    assert is_spent_out(throttled(Throttle(), 0.0, failed=1), 10.0)
    assert refusal_odds(throttled(Throttle(), 0.0, failed=3), 0.0) == 0.0, "a few failures are not most"
