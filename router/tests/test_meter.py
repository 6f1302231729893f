"""What has been drawn of requests and tokens per minute."""

import itertools

import pytest

from antiphon_router.core import rates
from antiphon_router.core.meter import (
    LEAST_SHARE,
    NEW,
    TYPICAL_OUTPUT,
    Bounds,
    Meter,
    correct,
    draw,
    estimate,
    headroom,
    is_full,
    wait,
)


def drawn(bounds: Bounds, *tokens: float) -> Meter:
    """A meter of which so many tokens were drawn at once at 0."""
    meter = Meter()
    for each in tokens:
        draw(meter, bounds, each, 0.0)
    return meter


def test_without_bounds_nothing_waits_and_nothing_is_drawn():
    bounds = Bounds()
    assert wait(NEW, bounds, 10.0**9, 0.0) is None
    meter = drawn(bounds, 10**9)
    correct(meter, Bounds(requests=1), 10, (1, 1), 0.0)
    assert meter == NEW == Meter()


def test_each_bound_is_told_by_its_name():
    meter = drawn(Bounds(1, 1000), 1000.0)
    waits = wait(meter, Bounds(1, 1000), estimate(meter, 0), 0.0)
    assert waits is not None
    assert (waits.bound, waits.seconds) == ("1 requests per minute", pytest.approx(60.0))
    waits = wait(meter, Bounds(2, 1000), estimate(meter, 0), 30.0)
    assert waits is None
    waits = wait(meter, Bounds(0, 1000), estimate(meter, 0), 0.0)
    assert waits is not None
    assert waits.bound == "1000 tokens per minute"


def test_the_estimate_follows_what_answers_have_lately():
    assert estimate(NEW, 400) == 100 + TYPICAL_OUTPUT
    meter = Meter()
    for _ in range(100):
        correct(meter, Bounds(0, 10), 0.0, (0, 1000), 0.0)
    assert estimate(meter, 0) == pytest.approx(1000.0, rel=0.01)


def test_a_meter_is_full_again_after_its_minute():
    meter = drawn(Bounds(1, 0), 5.0)
    assert is_full(NEW, 0.0)
    assert not is_full(meter, 59.0)
    assert is_full(meter, 60.0)


def test_headroom_is_what_is_left_of_the_tighter_bound():
    bounds = Bounds(10, 1000)
    assert headroom(NEW, bounds, 0.0) == 1.0
    assert headroom(NEW, Bounds(), 0.0) == 1.0
    assert headroom(drawn(bounds, 500.0), bounds, 0.0) == 1.0
    assert headroom(drawn(bounds, 700.0), bounds, 0.0) == pytest.approx(0.6)
    assert headroom(drawn(bounds, 700.0, 9000.0), bounds, 0.0) == LEAST_SHARE


DUE_S = (rates.FULL, 0.0, 99.0, 100.0, 129.9, 130.0, 130.1, 160.0, 220.0)


@pytest.mark.parametrize("tokens", [0, 1, 255, 256, 511, 512, 513, 4000])
@pytest.mark.parametrize("requests", range(5))
def test_the_short_look_says_what_both_buckets_say(requests, tokens):
    now, bounds = 100.0, Bounds(requests, tokens)
    for requests_due_s, tokens_due_s, size in itertools.product(DUE_S, DUE_S, (0, 1, 1000, 9000)):
        meter = Meter(requests_due_s, tokens_due_s)
        slow = [
            requests and rates.wait_s(requests_due_s, 1.0, requests, now),
            tokens and rates.wait_s(tokens_due_s, estimate(meter, size), tokens, now),
        ]
        waits = wait(meter, bounds, estimate(meter, size), now)
        assert (0.0 if waits is None else waits.seconds) == next(filter(None, slow), 0.0)
