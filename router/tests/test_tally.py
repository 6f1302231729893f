"""When the last calls say that a target gets less, or is out."""

from antiphon_router.core.tally import (
    SIZE,
    Sample,
    Tally,
    cause,
    is_breached,
    is_calm,
    is_failing,
    is_stale,
    noted,
    unsaid,
)
from antiphon_router.core.values import Cause


def tally(marks: str, replica: str = "r", begins: float = 0.0, step_s: float = 0.1) -> Tally:
    """`.` is well, `s` slow, `o` refused as overload, `x` failed."""
    misses = {"s": Cause.SLOW, "o": Cause.OVERLOADED}
    made: Tally = ()
    for number, mark in enumerate(marks):
        made = noted(made, Sample(begins + number * step_s, replica, misses.get(mark), mark == "x"))
    return made


def test_only_the_last_twenty_are_kept():
    assert len(tally("." * 50)) == SIZE


def test_more_than_a_tenth_of_the_last_twenty_is_too_much():
    assert not is_breached(tally("ss" + "." * 18), 2.0)
    assert is_breached(tally("sss" + "." * 17), 2.0)
    assert not is_breached(tally("sss" + "." * 30), 5.0), "they are no longer among the last"


def test_what_was_well_before_counts_too_and_a_handful_is_needed():
    assert not is_breached(tally("ss..."), 1.0)
    assert not is_breached(tally("ssss"), 1.0)
    assert is_breached(tally("sssss"), 1.0)


def test_ten_seconds_are_forgotten():
    assert is_breached(tally("sssss"), 9.9)
    assert not is_breached(tally("sssss"), 10.6)
    assert is_calm(tally("sssss"), 10.6)
    assert is_stale(tally("sssssx"), 11.0)
    assert not is_stale(tally("x"), 1.0)
    assert not is_stale(tally("s"), 1.0)
    assert is_stale(tally("..."), 1.0)


def test_one_slow_replica_of_several_is_its_own_trouble():
    mixed = tally("sssss", "a") + tally(".....", "b") + tally(".....", "c")
    assert not is_breached(mixed, 1.0)
    assert is_breached(mixed + tally("s", "b"), 1.0)
    assert is_breached(tally("sssss", "a"), 1.0)


def test_calm_is_without_a_single_miss():
    assert is_calm(tally("......"), 1.0)
    assert is_calm((), 1.0)
    assert not is_calm(tally("s" + "." * 19), 2.0)


def test_half_of_enough_calls_failing_is_failing():
    assert is_failing(tally("x.x.x.x."), 1.0)
    assert not is_failing(tally("x.x.x.x"), 1.0), "seven are too few"
    assert not is_failing(tally("x.x.x..."), 1.0)
    assert not is_failing(tally("x.x.x.x."), 11.0)


def test_a_success_that_broke_later_is_taken_back():
    assert [s.failed for s in unsaid(tally("x."), "r")] == [True]
    assert unsaid(tally("x."), "other") == tally("x.")
    assert len(unsaid(tally(".s"), "r")) == 1
    assert unsaid(tally("xs"), "r") == tally("xs")


def test_the_last_miss_names_the_cause():
    assert cause(tally("so.")) is Cause.OVERLOADED
    assert cause(tally("..")) is Cause.UNSPECIFIED
