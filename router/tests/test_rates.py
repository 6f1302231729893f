"""Buckets of a minute's worth."""

import pytest

from antiphon_router.core.rates import FULL, MINUTE_S, drawn, wait_s


def left(due_s: float, per_minute: int, now: float) -> float:
    """What may be drawn now; negative in debt."""
    return (MINUTE_S - max(0.0, due_s - now)) * per_minute / MINUTE_S


def test_a_full_bucket_gives_a_minutes_worth_at_once_and_then_one_at_a_time() -> None:
    due = FULL
    for _ in range(6):
        assert wait_s(due, 1, 6, 100.0) == 0.0
        due = drawn(due, 1, 6, 100.0)
    assert wait_s(due, 1, 6, 100.0) == pytest.approx(10.0)
    assert wait_s(due, 1, 6, 110.0) == 0.0
    assert left(due, 6, 130.0) == pytest.approx(3.0)
    assert left(FULL, 6, 0.0) == 6.0


def test_no_minute_gives_more_than_twice_the_bound_and_no_long_time_more_than_the_bound() -> None:
    due, given = FULL, []
    for tick in range(6000):
        now = tick / 10
        if not wait_s(due, 1, 30, now):
            due = drawn(due, 1, 30, now)
            given.append(now)
    assert len(given) == pytest.approx(30 * 10 + 30, abs=1)
    assert max(sum(1 for t in given if start <= t < start + 60) for start in range(540)) <= 60


def test_what_costs_more_than_a_minutes_worth_waits_for_a_full_bucket_and_leaves_a_debt() -> None:
    assert wait_s(FULL, 500, 100, 0.0) == 0.0
    due = drawn(FULL, 500, 100, 0.0)
    assert left(due, 100, 0.0) == pytest.approx(-400.0)
    assert wait_s(due, 1, 100, 0.0) == pytest.approx(240.6)
    assert wait_s(due, 500, 100, 300.0) == 0.0


def test_what_was_drawn_too_much_comes_back_but_never_more_than_a_full_bucket() -> None:
    due = drawn(drawn(FULL, 80, 100, 0.0), -70, 100, 0.0)
    assert left(due, 100, 0.0) == pytest.approx(90.0)
    assert left(drawn(due, -500, 100, 0.0), 100, 0.0) == 100.0
