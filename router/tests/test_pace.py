"""What is usual, what is late, and what the size of a request adds."""

import random

import pytest

from antiphon_router.core.pace import LATE_AT_LEAST_S, USUAL_AT_LEAST_S, Pace, size_class


def fed(*times: float, size: int = 0, pace: Pace | None = None, now: float = 0.0, every_s: float = 0.0) -> Pace:
    pace = pace or Pace()
    for number, elapsed_s in enumerate(times):
        pace.observed(elapsed_s, size, now + number * every_s)
    return pace


def test_classes_are_powers_of_four_from_four_kibibytes_on():
    assert [size_class(size) for size in (0, 4095, 4096, 16383, 16384, 65536, 10**9)] == [0, 0, 1, 1, 2, 3, 7]


def test_a_few_calls_tell_nothing():
    pace = fed(*[1.0] * 15)
    assert (pace.p50_s, pace.p95_s, pace.late_s) == (None, None, None)
    assert pace.expected_s(pace.p50_s, 0) is None


def test_quantiles_of_the_last_calls():
    pace = fed(*[9.0] * 144, *[1.0 + number / 128 for number in range(128)])
    assert pace.p50_s == pytest.approx(1.5)
    assert pace.p95_s == pytest.approx(1.95, abs=0.02)


def test_late_is_three_times_the_usual_and_more_where_the_usual_has_a_long_tail():
    assert fed(*[1.0] * 16).late_s == pytest.approx(3.0)
    assert fed(*[1.0] * 13, *[8.0] * 3).late_s == pytest.approx(12.0)
    assert fed(*[0.001] * 16).late_s == LATE_AT_LEAST_S


def test_the_usual_falls_at_once_and_rises_slowly():
    pace = fed(*[1.0] * 144)
    fed(*[10.0] * 512, pace=pace, now=10.0, every_s=0.1)
    assert pace.late_s < 3.0 * 1.2, "a minute of brownout is not the usual"
    fed(*[10.0] * 128, pace=pace, now=3000.0)
    assert pace.late_s == pytest.approx(30.0), "an hour of it is"
    fed(*[1.0] * 128, pace=pace, now=3010.0)
    assert pace.late_s == pytest.approx(3.0)


def test_a_large_request_that_takes_its_time_looks_like_a_small_one():
    dice = random.Random(2)
    pace = Pace()
    for _ in range(1500):
        small = dice.random() < 0.5
        pace.observed(0.3 if small else 1.5, 500 if small else 100_000, 0.0)
    assert pace.observed(0.3, 500, 0.0) == pytest.approx(0.3)
    assert pace.observed(1.5, 100_000, 0.0) == pytest.approx(0.3, rel=0.15)
    assert pace.expected_s(pace.p50_s, 100_000) == pytest.approx(1.5, rel=0.2)


def test_large_requests_alone_are_their_own_measure():
    pace = fed(*[2.0] * 200, size=100_000)
    assert pace.observed(2.0, 100_000, 0.0) == pytest.approx(2.0)


def test_an_answer_in_no_time_breaks_nothing():
    assert fed(*[0.0] * 40, size=100_000).p50_s == 0.0


def test_a_brownout_shows_in_large_requests_too():
    pace = fed(*[2.0] * 200, size=100_000)
    seen = [pace.observed(20.0, 100_000, 0.0) for _ in range(30)]
    assert min(seen) > 3.0 * 2.0


def test_what_is_usual_follows_the_waits_down_at_once_and_is_never_next_to_nothing() -> None:
    assert fed(*[0.3] * 8).usual_s is None
    pace = fed(*[0.3] * 128)
    assert pace.usual_s == 0.3
    assert fed(*[0.2] * 128, pace=pace).usual_s == 0.2
    assert fed(*[0.9] * 128, pace=pace).usual_s == 0.2
    assert fed(*[0.001] * 128, pace=pace).usual_s == USUAL_AT_LEAST_S
