"""Who takes the call, and what counts as an observation."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest

from antiphon_router.core import balance
from antiphon_router.core.balance import observe, observe_cancel, observe_failure, pick
from antiphon_router.core.values import Load


class One(NamedTuple):
    load: Load
    share: float = 1.0


def picks(choices: list[One], now: float = 0.0, times: int = 6000) -> Counter[int]:
    dice = random.Random(3)
    return Counter(pick(choices, now, dice) for _ in range(times))


def test_a_single_choice_is_taken_without_dice():
    assert pick([One(Load(99, 9.0))], 0.0, None) == 0  # type: ignore[arg-type]


def test_of_two_the_cheaper_is_always_taken():
    assert picks([One(Load(3, 1.0)), One(Load(0, 1.0))]) == Counter({1: 6000})
    assert picks([One(Load(0, 0.1)), One(Load(0, 1.0))]) == Counter({0: 6000})


def test_equals_share_evenly_and_of_three_the_worst_is_never_drawn_twice():
    even = picks([One(Load(0, 1.0))] * 3)
    assert all(1700 <= count <= 2300 for count in even.values())
    assert picks([One(Load(0, 1.0)), One(Load(0, 1.0)), One(Load(9, 1.0))])[2] == 0


def test_times_count_only_where_all_are_known_and_fresh():
    assert picks([One(Load(1, 0.001)), One(Load(0, None))]) == Counter({1: 6000})
    assert picks([One(Load(1, 0.001, updated=0.0)), One(Load(0, 60.0, updated=0.0))], now=31.0) == Counter({1: 6000})


def test_unequal_shares_get_their_part_at_equal_cost():
    count = picks([One(Load(0, 1.0), 3.0), One(Load(0, 1.0), 1.0)])
    assert count[0] / 6000 == pytest.approx(0.75, abs=0.03)


def test_load_moves_calls_away_from_the_heavier_share():
    count = picks([One(Load(8, 1.0), 3.0), One(Load(0, 1.0), 1.0)])
    assert count[0] < count[1]


class Highest:
    def random(self) -> float:
        return 1.0

    def uniform(self, a: float, b: float) -> float:
        return b


def test_rounding_never_draws_beyond_the_last():
    assert pick([One(Load(), 0.1), One(Load(), 0.2)], 0.0, Highest()) == 1


def after(observation: Callable[[Load, float, float], None], load: Load, elapsed_s: float, now: float) -> Load:
    """A copy of `load` that has seen it."""
    copy = replace(load)
    observation(copy, elapsed_s, now)
    return copy


def test_the_average_moves_towards_what_is_seen_the_faster_the_longer_ago():
    load = Load(2)
    observe(load, 1.0, 10.0)
    assert load == Load(2, 1.0, 10.0)
    assert after(observe, load, 3.0, 10.1) == Load(2, pytest.approx(1.1), 10.1)
    assert after(observe, load, 3.0, 30.0) == Load(2, pytest.approx(2.73, abs=0.01), 30.0)
    assert after(observe, load, 3.0, 10.0 + 31) == Load(2, 3.0, 41.0), "forgotten"


def test_a_fast_failure_is_a_penalty_and_a_slow_one_counts_as_long_as_it_took():
    assert after(observe_failure, Load(), 0.001, 1.0) == Load(0, balance.FAILURE_S, 1.0)
    assert after(observe_failure, Load(), 30.0, 1.0) == Load(0, 30.0, 1.0)


def test_a_cancelled_call_can_only_make_the_average_worse():
    known = Load(0, 1.0, 0.0)
    assert after(observe_cancel, known, 0.5, 1.0) == known
    assert after(observe_cancel, known, 4.0, 1.0).first_content_s > 1.0
    assert after(observe_cancel, Load(), 4.0, 1.0) == Load()
