"""What providers tell of their limits: how it fills up, what is newer, and that it never penalises for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_router.core.meter import LEAST_SHARE
from antiphon_router.core.quota import LONGEST_S, Quota, headroom, updated

LOW = Quota(0.2, 100.0, 160.0)


def test_it_fills_up_evenly_and_is_full_in_the_end():
    assert headroom(LOW, 100.0) == pytest.approx(0.2)
    assert headroom(LOW, 130.0) == pytest.approx(0.6)
    assert headroom(LOW, 160.0) == headroom(LOW, 1e9) == 1.0
    assert headroom(Quota(0.0, 100.0, 160.0), 100.0) == LEAST_SHARE


def test_nothing_is_short_until_somebody_says_so():
    assert updated(None, 1.0, 0.0, begun=90.0, now=100.0) is None
    assert updated(None, 0.2, 0.0, begun=90.0, now=100.0) is None, "it is full at once"
    assert updated(None, 0.2, 60.0, begun=90.0, now=100.0) == LOW


def test_no_answer_is_believed_for_long():
    assert updated(None, 0.2, 1e6, begun=90.0, now=100.0) == Quota(0.2, 100.0, 100.0 + LONGEST_S)


def test_newer_answers_make_it_better_or_worse():
    assert updated(LOW, 1.0, 0.0, begun=100.0, now=110.0) is None
    assert updated(LOW, 0.45, 30.0, begun=100.0, now=110.0) == Quota(0.45, 110.0, 140.0)
    assert updated(LOW, 0.1, 30.0, begun=100.0, now=110.0) == Quota(0.1, 110.0, 140.0)


def test_what_began_before_the_news_makes_it_worse_at_most():
    assert updated(LOW, 1.0, 0.0, begun=99.9, now=110.0) is LOW
    assert updated(LOW, 0.45, 30.0, begun=99.9, now=110.0) is LOW
    assert updated(LOW, 0.1, 30.0, begun=99.9, now=110.0) == Quota(0.1, 110.0, 140.0)
    assert updated(LOW, 0.45, 30.0, begun=99.9, now=160.0) == Quota(0.45, 160.0, 190.0), "the news are history"
    assert updated(LOW, 1.0, 0.0, begun=99.9, now=160.0) is None


@given(st.floats(0.0, 1.0), st.floats(0.0, 1e9), st.floats(0.0, 1e6), st.floats(0.0, 1e6))
def test_whatever_is_told_it_is_a_share_and_it_ends(left, full_in_s, begun, later_s):
    told = updated(None, left, full_in_s, begun=begun, now=begun)
    if told is not None:
        assert LEAST_SHARE <= headroom(told, begun + later_s) <= 1.0
        assert headroom(told, begun + LONGEST_S + 1.0) == 1.0
