"""What has been drawn of requests and tokens per minute."""

import pytest

from antiphon_router.core.meter import (
    LEAST_SHARE,
    NEW,
    TYPICAL_OUTPUT,
    Bounds,
    corrected,
    drawn,
    estimate,
    headroom,
    is_full,
    wait,
)


def test_without_bounds_nothing_waits_and_nothing_is_drawn():
    bounds = Bounds()
    assert wait(NEW, bounds, 10**9, 0.0) is None
    assert drawn(NEW, bounds, 10**9, 0.0) == NEW
    assert corrected(NEW, Bounds(requests=1), 10, (1, 1), 0.0) == NEW


def test_each_bound_is_told_by_its_name():
    meter = drawn(NEW, Bounds(1, 1000), 1000.0, 0.0)
    waits = wait(meter, Bounds(1, 1000), 0, 0.0)
    assert waits is not None
    assert (waits.bound, waits.seconds) == ("1 requests per minute", pytest.approx(60.0))
    waits = wait(meter, Bounds(2, 1000), 0, 30.0)
    assert waits is None
    waits = wait(meter, Bounds(0, 1000), 0, 0.0)
    assert waits is not None
    assert waits.bound == "1000 tokens per minute"


def test_the_estimate_follows_what_answers_have_lately():
    assert estimate(NEW, 400) == 100 + TYPICAL_OUTPUT
    meter = NEW
    for _ in range(100):
        meter = corrected(meter, Bounds(0, 10), 0.0, (0, 1000), 0.0)
    assert estimate(meter, 0) == pytest.approx(1000.0, rel=0.01)


def test_a_meter_is_full_again_after_its_minute():
    meter = drawn(NEW, Bounds(1, 0), 5.0, 0.0)
    assert is_full(NEW, 0.0)
    assert not is_full(meter, 59.0)
    assert is_full(meter, 60.0)


def test_headroom_is_what_is_left_of_the_tighter_bound():
    bounds = Bounds(10, 1000)
    meter = drawn(NEW, bounds, 700.0, 0.0)
    assert headroom(NEW, bounds, 0.0) == 1.0
    assert headroom(NEW, Bounds(), 0.0) == 1.0
    assert headroom(drawn(NEW, bounds, 500.0, 0.0), bounds, 0.0) == 1.0
    assert headroom(meter, bounds, 0.0) == pytest.approx(0.6)
    assert headroom(drawn(meter, bounds, 9000.0, 0.0), bounds, 0.0) == LEAST_SHARE
