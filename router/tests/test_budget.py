"""The retry budget: a floor per second, a share of requests, credits that fade."""

from antiphon_router.core.budget import CREDIT_LIFE_S, FLOOR_PER_S, Budget, credited, spent


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
