"""Who is let in when there are too many."""

from antiphon_router.core.crowd import (
    CLOSED_FOR_S,
    DEFAULT,
    KEPT_FOR_S,
    LATE_S,
    LEAST,
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
    assert admits(crowd, DEFAULT, 10)
    assert not admits(noticed(crowd, running(p5=10), 1.0), DEFAULT, 10)


def test_room_that_better_calls_had_lately_is_kept_for_them() -> None:
    crowd = noticed(noticed(Crowd(), running(p1=6), 1.0), running(p1=2, p9=2), 2.0)
    # Six are kept, two of them are in use: four free places and four calls inside make eight.
    assert admits(crowd, 9, 9)
    assert not admits(crowd, 9, 8)
    assert admits(crowd, 1, 5)
    later = noticed(crowd, running(p9=4), 1.0 + KEPT_FOR_S + 0.1)
    assert not admits(later, 9, 8), "kept for one more span"
    assert admits(noticed(later, running(p9=4), 2.0 + 2 * KEPT_FOR_S + 0.2), 9, 8)
    assert admits(noticed(later, running(p9=4), 100.0), 9, 5)


def test_no_worse_call_comes_in_right_after_a_better_one_was_turned_away() -> None:
    crowd = turned_away(noticed(Crowd(), running(), 1.0), 2, 1.0)
    assert turned_away(crowd, 7, 1.5) is crowd
    assert not admits(noticed(crowd, running(), 1.0 + CLOSED_FOR_S), 3, 10)
    assert admits(noticed(crowd, running(), 1.0 + CLOSED_FOR_S), 2, 10)
    assert admits(noticed(crowd, running(), 1.1 + CLOSED_FOR_S), 3, 10)


def test_the_limit_falls_from_what_runs_while_work_is_late_and_never_below_the_least() -> None:
    assert adapted(Limit(2000, 2000), 2 * LATE_S, 100) == Limit(2000, 80)
    assert adapted(Limit(2000, LEAST), 2 * LATE_S, 100).now == LEAST
    assert adapted(Limit(4, 4), 2 * LATE_S, 4).now == 4


def test_the_limit_grows_again_only_while_it_is_used() -> None:
    assert adapted(Limit(2000, 100), 0.0, 80).now == 105
    assert adapted(Limit(2000, 10), 0.0, 10).now == 11
    assert adapted(Limit(2000, 100), 0.0, 79).now == 100
    assert adapted(Limit(102, 100), 0.0, 100).now == 102
    assert adapted(Limit(100, 100), 0.0, 100).now == 100
