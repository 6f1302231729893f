"""Who is let in when there are too many."""

import pytest

from antiphon_router.core.crowd import (
    CLOSED_FOR_S,
    DEFAULT,
    ENOUGH,
    KEPT_FOR_S,
    LATE_S,
    LEAST,
    LONG_S,
    NO_SHORTER,
    NORM_AT_MOST,
    PACE_RATE,
    PIPE_KEEPS,
    SETTLES_AT_MOST_S,
    SETTLES_S,
    SLOW,
    Crowd,
    Cut,
    Limit,
    Seen,
    adapted,
    admits,
    noticed,
    tells,
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
    assert admits(crowd, 9, Limit(9, 9))
    assert not admits(crowd, 9, Limit(8, 8))
    later = noticed(crowd, running(p9=2), 1.0 + KEPT_FOR_S + 0.1)
    assert not admits(later, 9, Limit(8, 8)), "kept for one more span"
    assert admits(noticed(later, running(p9=2), 2.0 + 2 * KEPT_FOR_S + 0.2), 9, Limit(8, 8))
    assert admits(noticed(later, running(p9=2), 100.0), 9, Limit(3, 3))


def test_no_worse_call_comes_in_right_after_a_better_one_was_turned_away() -> None:
    crowd = turned_away(noticed(Crowd(), running(), 1.0), 2, 1.0)
    assert turned_away(crowd, 7, 1.5) is crowd
    assert not admits(noticed(crowd, running(), 1.0 + CLOSED_FOR_S), 3, Limit(10, 10))
    assert admits(noticed(crowd, running(), 1.0 + CLOSED_FOR_S), 2, Limit(10, 10))
    assert admits(noticed(crowd, running(), 1.1 + CLOSED_FOR_S), 3, Limit(10, 10))


def test_while_a_queue_drains_the_best_priority_comes_in_below_the_wall() -> None:
    limit = Limit(100, 20, cut=Cut(9.0, 60, 20.0, wall=50))
    assert admits(noticed(Crowd(), running(p0=30, p5=19), 1.0), 0, limit)
    assert not admits(noticed(Crowd(), running(p0=30, p5=20), 1.0), 0, limit)
    assert not admits(noticed(Crowd(), running(p1=20, p5=9), 1.0), 1, limit)
    assert not admits(noticed(Crowd(), running(p0=30, p5=19), 1.0), 0, limit._replace(cut=None))


def test_room_is_kept_of_the_bound_that_stays_not_of_the_limit_that_moves() -> None:
    crowd = noticed(noticed(Crowd(), running(p1=12), 1.0), running(p1=2), 2.0)
    assert admits(crowd, 9, Limit(20, 3))
    assert not admits(crowd, 9, Limit(20, 2))
    assert not admits(crowd, 9, Limit(12, 12))


def waits(stretch: float, calls: int = 40, usual_s: float = 0.5, over_s: float = 0.5, **more: float) -> Seen:
    """Forty calls in half a second, of which a usual one waits as long as that: a pipe of forty."""
    seen = Seen(over_s, 100, 0, calls=calls, waited_s=calls * usual_s * stretch, usual_s=calls * usual_s)
    return seen._replace(**more)


OPEN = Limit(2000, 2000, pipe=40.0, pace=40.0)


@pytest.mark.parametrize(
    ("seen", "enough"),
    [
        (waits(1.0), True),
        (waits(9.0, calls=ENOUGH - 1), False),
        (waits(9.0, calls=ENOUGH - 1, over_s=LONG_S), True),
        (waits(1.0, over_s=0.4), False),
        (waits(SLOW + 0.1, over_s=0.4), True),
        (waits(1.0, usual_s=9.0, over_s=LONG_S), True),
    ],
)
def test_what_is_enough_to_go_by(seen: Seen, enough: bool) -> None:
    assert tells(OPEN, seen) is enough
    after_a_cut = OPEN._replace(cut=Cut(9.0, 100, 40.0, 100))
    assert tells(after_a_cut, seen) is (enough and seen.over_s != 0.4)


def test_long_waits_cut_it_to_what_is_being_answered_and_what_is_answered_in_a_usual_wait() -> None:
    cut = adapted(OPEN, waits(SLOW + 0.1, running=150, answering=30), 9.0)
    # 120 wait, and 80 of them are answered in a second.
    assert cut == OPEN._replace(now=70, cut=Cut(10.5, 150, 40.0, wall=187, stretch=SLOW + 0.1))
    assert adapted(OPEN, waits(SLOW), 9.0) == OPEN
    few = waits(9.0, calls=ENOUGH - 1)
    assert adapted(OPEN, few, 9.0) == OPEN


def test_a_span_that_is_too_short_says_nothing_of_the_pace() -> None:
    cut = adapted(OPEN, waits(SLOW + 0.1, over_s=0.1), 9.0)
    assert (cut.now, cut.pipe) == (40, 40.0)
    assert adapted(OPEN, waits(1.0, calls=80), 9.0).pipe == 80.0
    assert adapted(OPEN, waits(1.0, calls=20), 9.0).pipe == 40.0 * PIPE_KEEPS


def test_it_never_falls_below_the_least_nor_rises_by_a_cut() -> None:
    assert adapted(OPEN._replace(pipe=1.0), waits(2.0, calls=10, over_s=1.0), 9.0).now == LEAST
    assert adapted(Limit(4, 4), waits(2.0), 9.0).now == 4
    assert adapted(Limit(2000, 30), waits(2.0), 9.0).now == 30


def test_nothing_moves_but_the_wall_until_the_effect_of_a_cut_can_show() -> None:
    cut = OPEN._replace(now=40, cut=Cut(9.0, 150, 40.0, wall=60))
    same = adapted(cut, waits(9.0), 9.4)
    assert same == cut._replace(cut=Cut(9.0, 150, 40.0, wall=50))
    assert adapted(same, waits(1.0, running=10), 9.6) == cut._replace(cut=None)
    lower = Limit(2000, 55, pipe=40.0, cut=Cut(9.0, 150, 40.0, wall=60))
    assert adapted(lower, waits(9.0), 9.4).cut == Cut(9.0, 150, 40.0, wall=55)


def test_a_cut_that_shortened_nothing_and_cost_answers_is_taken_back_and_the_wait_is_the_norm() -> None:
    cut = Limit(2000, 50, pipe=40.0, cut=Cut(9.0, 100, 40.0, wall=60))
    # Half of what ran is left: below three quarters of the answers it was the cut.
    fewer = adapted(cut, waits(2.0, calls=29), 9.6)
    assert (fewer.now, fewer.norm, fewer.cut) == (100, 2.0, None)
    as_many = adapted(cut, waits(2.0, calls=31), 9.6)
    assert as_many.cut is not None
    assert (as_many.now, as_many.norm, as_many.cut.running) == (38, 1.0, 100)
    assert adapted(cut, waits(9.0, calls=20), 9.6).norm == NORM_AT_MOST


def test_what_came_in_bursts_is_no_measure_of_what_a_cut_has_cost() -> None:
    # Of an upstream that gives 20 answers at once after 0.31 s each, seen for 0.4 s at a time: one burst or two. The
    # spans were seen in a run of G14, but there the queue began after a span with one burst.
    limit, now = Limit(2000, 2000), 0.0
    for running, calls, stretch in (
        *((25, 20, 1.22), (25, 21, 1.23), (25, 39, 1.2)) * 4,
        (77, 18, 1.92),
        *((68, 22, 2.34), (56, 25, 2.94), (37, 32, 3.56), (27, 23, 3.19), (21, 25, 2.03), (24, 30, 1.06)),
    ):
        now += 0.4
        limit = adapted(limit, waits(stretch, calls, 0.31, 0.4, running=running), now)
        assert limit.norm == 1.0
    assert LEAST < limit.now < 40


def test_the_pace_is_that_of_the_last_spans_on_average() -> None:
    first = adapted(Limit(2000, 2000), waits(1.0), 9.0)
    assert first.pace == 40.0
    assert adapted(first, waits(1.0, calls=80), 9.0).pace == 40.0 + PACE_RATE * 40.0
    assert adapted(first, waits(SLOW + 0.1, over_s=0.1, calls=10), 9.0).pace == 40.0


def test_a_cut_that_shortened_the_waits_was_not_in_vain_however_few_the_answers() -> None:
    cut = Limit(2000, 50, pipe=40.0, cut=Cut(9.0, 100, 40.0, wall=60, stretch=2.0 / NO_SHORTER))
    assert adapted(cut, waits(2.0, calls=20), 9.6).cut is None
    assert adapted(cut, waits(1.9, calls=20), 9.6).cut is not None


def test_of_a_small_cut_nobody_can_tell_what_it_cost() -> None:
    cut = Limit(2000, 70, pipe=40.0, cut=Cut(9.0, 100, 40.0, wall=70))
    assert adapted(cut, waits(2.0, calls=20), 9.6).cut is not None


def test_the_norm_falls_with_the_waits_and_never_below_the_usual() -> None:
    limit = OPEN._replace(norm=2.0)
    assert adapted(limit, waits(2.9), 9.0).norm == 2.0
    assert adapted(limit, waits(1.4), 9.0).norm == 1.4
    assert adapted(limit, waits(0.7), 9.0).norm == 1.0
    assert adapted(limit, waits(3.1), 9.0).now == 80


def test_work_that_is_late_cuts_it_from_what_runs() -> None:
    late = Seen(0.5, 100, late_s=2 * LATE_S)
    assert adapted(Limit(2000, 2000), late, 9.0) == Limit(2000, 80, cut=Cut(9.0 + SETTLES_S, 100, 0.0, wall=125))
    assert adapted(Limit(2000, 50), late, 9.0).now == 40
    assert adapted(Limit(2000, 2000), late._replace(late_s=LATE_S), 9.0).now == 2000


def test_what_does_not_drain_is_not_waited_for_for_ever() -> None:
    cut = adapted(OPEN._replace(pipe=1.0), waits(2.0, calls=10, over_s=0.1, running=900), 9.0).cut
    assert cut is not None
    assert cut.settles_at == 9.0 + SETTLES_AT_MOST_S


def test_the_limit_grows_again_only_while_it_is_used() -> None:
    def after(limit: Limit, calls: int) -> int:
        return adapted(limit, Seen(1.0, calls), 9.0).now

    assert after(Limit(2000, 100), 80) == 105
    assert after(Limit(2000, 10), 10) == 11
    assert after(Limit(2000, 100), 79) == 100
    assert after(Limit(102, 100), 100) == 102
    assert after(Limit(100, 100), 100) == 100
