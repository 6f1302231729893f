"""Who is let in when there are too many."""

from antiphon_router.core.crowd import (
    CLOSED_FOR_S,
    CUT_AGAIN_S,
    DEFAULT,
    KEPT_FOR_S,
    LATE_S,
    LEAST,
    SLOW_SHARE,
    Crowd,
    Limit,
    adapted,
    admits,
    noticed,
    turned_away,
)


def running(**calls: int) -> tuple[int, ...]:
    return tuple(calls.get(f"p{priority}", 0) for priority in range(10))


def test_without_priorities_the_whole_limit_is_used() -> None:
    crowd = noticed(Crowd(), running(p5=9), 1.0)
    assert admits(crowd, DEFAULT, Limit(10, 10))
    assert not admits(noticed(crowd, running(p5=10), 1.0), DEFAULT, Limit(10, 10))
    assert not admits(noticed(crowd, running(p5=9), 1.0), DEFAULT, Limit(10, 9))


def test_worse_calls_that_are_inside_keep_a_better_one_out_only_when_there_is_no_room_at_all() -> None:
    crowd = noticed(Crowd(), running(p1=3, p9=6), 1.0)
    assert admits(crowd, 1, Limit(10, 4))
    assert not admits(crowd, 1, Limit(10, 3))
    assert not admits(crowd, 1, Limit(9, 4))


def test_room_that_better_calls_had_lately_is_kept_for_them() -> None:
    crowd = noticed(noticed(Crowd(), running(p1=6), 1.0), running(p1=2, p9=2), 2.0)
    # Six are kept, whether they are there or not, and two worse ones are inside.
    assert admits(crowd, 9, Limit(20, 9))
    assert not admits(crowd, 9, Limit(20, 8))
    later = noticed(crowd, running(p9=2), 1.0 + KEPT_FOR_S + 0.1)
    assert not admits(later, 9, Limit(20, 8)), "kept for one more span"
    assert admits(noticed(later, running(p9=2), 2.0 + 2 * KEPT_FOR_S + 0.2), 9, Limit(20, 8))
    assert admits(noticed(later, running(p9=2), 100.0), 9, Limit(20, 3))


def test_no_worse_call_comes_in_right_after_a_better_one_was_turned_away() -> None:
    crowd = turned_away(noticed(Crowd(), running(), 1.0), 2, 1.0)
    assert turned_away(crowd, 7, 1.5) is crowd
    assert not admits(noticed(crowd, running(), 1.0 + CLOSED_FOR_S), 3, Limit(10, 10))
    assert admits(noticed(crowd, running(), 1.0 + CLOSED_FOR_S), 2, Limit(10, 10))
    assert admits(noticed(crowd, running(), 1.1 + CLOSED_FOR_S), 3, Limit(10, 10))


def after(limit: Limit, calls: int, now: float = 9.0, late_s: float = 0.0, slow_share: float = 0.0) -> Limit:
    return adapted(limit, calls, now, late_s=late_s, slow_share=slow_share)


def test_the_limit_falls_from_what_runs_while_work_is_late_and_never_below_the_least() -> None:
    assert after(Limit(2000, 2000), 100, late_s=2 * LATE_S) == Limit(2000, 80, 9.0)
    assert after(Limit(2000, LEAST), 100, late_s=2 * LATE_S).now == LEAST
    assert after(Limit(4, 4), 4, late_s=2 * LATE_S).now == 4


def test_it_falls_when_most_calls_are_slow_to_begin_and_not_again_before_that_can_show() -> None:
    assert after(Limit(2000, 2000), 100, slow_share=SLOW_SHARE).now == 2000
    cut = after(Limit(2000, 2000), 100, slow_share=SLOW_SHARE + 0.1)
    assert cut == Limit(2000, 80, 9.0)
    assert after(cut, 100, 9.0 + CUT_AGAIN_S - 0.1, slow_share=1.0) is cut
    assert after(cut, 80, 9.0 + CUT_AGAIN_S, slow_share=1.0).now == 64


def test_the_limit_grows_again_only_while_it_is_used() -> None:
    assert after(Limit(2000, 100), 80).now == 105
    assert after(Limit(2000, 10), 10).now == 11
    assert after(Limit(2000, 100), 79).now == 100
    assert after(Limit(102, 100), 100).now == 102
    assert after(Limit(100, 100), 100).now == 100
