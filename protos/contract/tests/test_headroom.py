"""The trailer about a vendor's limits: what is told, what is not, and what a reader makes of it."""

import pytest

from antiphon.llm.v1 import error_pb2
from antiphon_contract.headroom import Headroom, read, told


def limit(name: str = "requests", left: int | None = 10, of: int = 100, reset_s: float | None = 30.0):
    made = error_pb2.RateLimit(name=name, limit=of)
    if left is not None:
        made.remaining = left
    if reset_s is not None:
        made.reset_after.FromMilliseconds(int(reset_s * 1000))
    return made


@pytest.mark.parametrize(
    ("limits", "value"),
    [
        ([], ""),
        ([limit(left=50)], ""),
        ([limit(left=49)], "0.490;30"),
        ([limit(left=0)], "0.000;30"),
        ([limit(left=-3)], "0.000;30"),
        ([limit(left=300)], ""),
        ([limit(left=None)], ""),
        ([limit(of=0)], ""),
        ([limit(reset_s=None)], "0.100;60"),
        ([limit(reset_s=0.0)], ""),
        ([limit(reset_s=0.25)], "0.100;1"),
        ([limit("concurrency"), limit("requests_per_month")], ""),
        ([limit(left=40), limit("tokens", 20), limit("input_tokens", 30), limit("output_tokens", 90)], "0.200;30"),
    ],
)
def test_the_least_part_is_told_if_it_is_small(limits, value):
    assert told(limits, 0.0) == value


def test_what_was_told_a_while_ago_has_filled_up_since():
    assert told([limit(left=10)], 10.0) == "0.400;20"
    assert told([limit(left=10)], 14.0) == ""
    assert told([limit(left=0)], 30.0) == ""
    assert told([limit(left=10)], -1.0) == "0.100;30", "a clock that goes back"


@pytest.mark.parametrize("value", ["", "0.5", "0.5;", "x;1", "1.5;1", "2;1", "-0.1;1", "0.1;-1", "0.1;1e9", "0.1;1;2"])
def test_what_is_no_value_is_none(value):
    assert read(value) is None


def test_what_is_written_is_read():
    assert read(told([limit(left=7)], 0.0)) == Headroom(0.07, 30.0)
    assert read("1;0") == Headroom(1.0, 0.0)
    assert read("0;5") == Headroom(0.0, 5.0)
