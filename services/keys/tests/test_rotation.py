"""The protocol of a rotation, step by step, and that no order of failures leads elsewhere."""

import itertools
from collections.abc import Mapping

import pytest

from antiphon_keys.document import Document, Row
from antiphon_keys.rotation import Held, Pace, Seen, advance, refused_of, writes_left
from antiphon_kit.key_versions import Stage

PACE = Pace(shares=(0.1, 1.0), step_successes=5, step_s=10.0, grace_s=20.0)
CURRENT, CANDIDATE, GRACE, BAD, REVOKED = Stage.CURRENT, Stage.CANDIDATE, Stage.GRACE, Stage.BAD, Stage.REVOKED
GOOD = {1: Row(CURRENT, 1.0, 1.0)}


def candidate(share: float = 0.1, since_s: float = 100.0, counted: int = 0, not_before_s: float = 0.0) -> Document:
    return {**GOOD, 2: Row(CANDIDATE, share, since_s, counted, not_before_s)}


def held(stage: Stage, **more: object) -> Held:
    return Held(stage, **{"checked": True, **more})  # type: ignore[arg-type]


def seen(*processes: Mapping[int, Held], alive: tuple[int, ...] = (1, 2), malformed: tuple[int, ...] = ()) -> Seen:
    return Seen(frozenset(alive), dict(enumerate_names(processes)), frozenset(malformed))


def enumerate_names(processes: tuple[Mapping[int, Held], ...]) -> list[tuple[str, Mapping[int, Held]]]:
    return [(f"p{number}", process) for number, process in enumerate(processes)]


def stages(document: Document | None) -> dict[int, str]:
    return {number: row.stage.name for number, row in (document or {}).items()}


LOADED = {1: held(CURRENT), 2: held(CANDIDATE)}


def test_a_newer_version_becomes_a_candidate_with_the_first_share() -> None:
    after = advance(GOOD, seen({1: held(CURRENT)}), 50.0, PACE)
    assert after == {**GOOD, 2: Row(CANDIDATE, 0.1, 50.0)}


def test_a_version_that_was_deleted_or_is_known_is_no_news() -> None:
    assert advance(GOOD, seen({1: held(CURRENT)}, alive=(1,)), 50.0, PACE) is GOOD
    rolled_back = {**GOOD, 2: Row(BAD, since_s=1.0)}
    assert advance(rolled_back, seen({1: held(CURRENT)}), 50.0, PACE) is rolled_back


def test_an_older_version_that_nobody_named_stays_out() -> None:
    only_revoked = {2: Row(REVOKED, since_s=1.0)}
    assert advance(only_revoked, seen({2: held(REVOKED)}), 50.0, PACE) is only_revoked


def test_a_version_newer_than_the_candidate_takes_over() -> None:
    after = advance(candidate(), seen(LOADED, alive=(1, 2, 3)), 101.0, PACE)
    assert stages(after) == {1: "CURRENT", 3: "CANDIDATE"}


def test_a_candidate_with_nothing_beside_it_gets_every_call() -> None:
    after = advance({1: Row(REVOKED, since_s=1.0)}, seen(), 50.0, PACE)
    assert after is not None
    assert after[2] == Row(CANDIDATE, 1.0, 50.0)


@pytest.mark.parametrize(
    ("process", "now_s", "goes_on"),
    [
        ({1: held(CURRENT), 2: held(CANDIDATE, successes=5, calls=5)}, 101.0, True),
        ({1: held(CURRENT), 2: held(CANDIDATE, successes=4, calls=4)}, 101.0, False),
        ({1: held(CURRENT), 2: held(CANDIDATE, successes=1, calls=1)}, 110.0, True),
        ({1: held(CURRENT), 2: held(CANDIDATE)}, 110.0, True),
        ({1: held(CURRENT), 2: held(CANDIDATE)}, 109.0, False),
        ({1: held(CURRENT), 2: held(CANDIDATE, calls=1, in_flight=1)}, 110.0, True),
        ({1: held(CURRENT), 2: held(CANDIDATE, calls=2, in_flight=1)}, 110.0, True),
        ({1: held(CURRENT), 2: held(CANDIDATE, checked=False)}, 110.0, False),
        ({1: held(CURRENT)}, 1000.0, False),
    ],
    ids=["successes", "too few", "time", "no calls", "too soon", "one runs", "one failed", "not checked", "not loaded"],
)
def test_the_next_share_is_due(process: Mapping[int, Held], now_s: float, goes_on: bool) -> None:
    before = candidate()
    after = advance(before, seen(process), now_s, PACE)
    assert (after is not before) is goes_on
    if goes_on:
        assert after is not None
        assert (after[2].share, after[2].since_s) == (1.0, now_s)
        assert after[2].counted == process[2].successes


@pytest.mark.parametrize(
    ("process", "goes_on"),
    [
        (held(CANDIDATE, calls=2, successes=1), True),
        (held(CANDIDATE, calls=2, checked=False, successes=1), True),
        (held(CANDIDATE, calls=1, in_flight=1), True),
        (held(CANDIDATE), True),
        (held(CANDIDATE, calls=2, in_flight=1), False),
        (held(CANDIDATE, checked=False), False),
    ],
    ids=["a success", "unchecked", "one runs", "no calls", "none went well", "nothing known"],
)
def test_into_service_only_with_a_success_where_there_are_calls(process: Held, goes_on: bool) -> None:
    before = candidate(share=1.0)
    after = advance(before, seen({1: held(CURRENT), 2: process}, LOADED), 200.0, PACE)
    assert stages(after)[2] == ("CURRENT" if goes_on else "CANDIDATE")


def test_one_process_that_lags_holds_it_up() -> None:
    before = candidate()
    assert advance(before, seen(LOADED, {1: held(CURRENT)}), 1000.0, PACE) is before


def test_with_no_process_nothing_goes_on() -> None:
    before = candidate()
    assert advance(before, seen(), 1000.0, PACE) is before


def test_successes_are_counted_from_the_share_on() -> None:
    before = candidate(counted=3)
    process = {1: held(CURRENT), 2: held(CANDIDATE, successes=7, calls=7)}
    assert advance(before, seen(process), 101.0, PACE) is before


def test_a_candidate_for_later_waits() -> None:
    before = candidate(not_before_s=500.0)
    assert advance(before, seen(LOADED), 499.0, PACE) is before
    assert advance(before, seen(LOADED), 500.0, PACE) is not before


def test_after_the_last_share_it_is_in_service_and_only_the_one_before_is_behind_it() -> None:
    before = {0: Row(GRACE, since_s=90.0), **candidate(share=1.0), 9: Row(BAD, since_s=1.0)}
    after = advance(before, seen(LOADED, alive=(0, 1, 2)), 110.0, PACE)
    assert stages(after) == {0: "REVOKED", 1: "GRACE", 2: "CURRENT", 9: "BAD"}
    assert after is not None
    assert after[1].since_s == 110.0


@pytest.mark.parametrize(
    "there",
    [
        seen(LOADED, {1: held(CURRENT), 2: held(BAD)}),
        seen(LOADED, malformed=(2,)),
        seen(LOADED, alive=(1,)),
    ],
    ids=["refused by one process", "malformed", "deleted"],
)
def test_a_candidate_is_rolled_back(there: Seen) -> None:
    after = advance(candidate(), there, 1000.0, PACE)
    assert stages(after) == {1: "CURRENT", 2: "BAD"}
    assert after is not None
    assert refused_of(after) == 2


def test_what_came_into_service_later_ends_the_alarm() -> None:
    assert refused_of({2: Row(BAD), 3: Row(CURRENT)}) is None
    assert refused_of({3: Row(CURRENT)}) is None
    assert refused_of({2: Row(BAD)}) == 2


REPLACED = {1: Row(GRACE, since_s=100.0), 2: Row(CURRENT, 1.0, 100.0)}


@pytest.mark.parametrize(
    ("process", "now_s", "retires"),
    [
        ({1: held(GRACE), 2: held(CURRENT)}, 120.0, True),
        ({2: held(CURRENT)}, 120.0, True),
        ({1: held(GRACE), 2: held(CURRENT)}, 119.0, False),
        ({1: held(GRACE, in_flight=1), 2: held(CURRENT)}, 1000.0, False),
        ({1: held(CURRENT), 2: held(CANDIDATE)}, 1000.0, False),
        ({1: held(CURRENT)}, 1000.0, False),
        ({1: held(GRACE), 2: held(CURRENT, refused=True)}, 1000.0, False),
    ],
    ids=["over", "dropped", "too soon", "in flight", "not told", "not loaded", "its heir is refused"],
)
def test_a_replaced_version_is_retired(process: Mapping[int, Held], now_s: float, retires: bool) -> None:
    after = advance(REPLACED, seen(process), now_s, PACE)
    assert stages(after) == {1: "REVOKED" if retires else "GRACE", 2: "CURRENT"}


def test_without_processes_or_without_a_version_in_service_nothing_is_retired() -> None:
    assert advance(REPLACED, seen(), 1000.0, PACE) is REPLACED
    lonely = {2: Row(GRACE, since_s=1.0)}
    assert advance(lonely, seen({2: held(GRACE)}), 1000.0, PACE) is lonely


def test_rows_that_people_wrote_are_dated_first() -> None:
    before = {1: Row(GRACE), 2: Row(CURRENT)}
    after = advance(before, seen({1: held(GRACE), 2: held(CURRENT)}), 500.0, PACE)
    assert after == {1: Row(GRACE, since_s=500.0), 2: Row(CURRENT)}


def test_what_processes_do_by_themselves_becomes_the_document() -> None:
    alone = {1: held(GRACE), 2: held(CURRENT), 3: held(BAD), 0: held(REVOKED)}
    after = advance(None, seen(alone, {2: held(CURRENT), 1: held(CURRENT)}, alive=(1, 2, 3)), 50.0, PACE)
    assert stages(after) == {1: "GRACE", 2: "CURRENT", 3: "BAD"}


def test_a_trial_that_is_under_way_becomes_a_rotation() -> None:
    after = advance(None, seen(LOADED), 50.0, PACE)
    assert stages(after) == {1: "CURRENT", 2: "CANDIDATE"}
    assert stages(advance(None, seen({2: held(CURRENT)}), 50.0, PACE)) == {2: "CURRENT"}


def test_without_processes_there_is_nothing_to_adopt() -> None:
    assert advance(None, seen(), 50.0, PACE) is None
    assert advance(None, seen({1: held(CANDIDATE)}), 50.0, PACE) is None


def test_room_is_counted_to_the_oldest_version_in_service() -> None:
    assert writes_left(REPLACED, newest=2, max_versions=4) == 2
    assert writes_left({4: Row(CURRENT)}, newest=4, max_versions=4) == 3
    assert writes_left({}, newest=4, max_versions=4) == 3


class World:
    """Processes that follow the document, and a coordinator that may die anywhere."""

    def __init__(self, bad: frozenset[int]) -> None:
        self.bad = bad
        self.document: Document = dict(GOOD)
        self.now_s = 1000.0
        self.used: set[int] = set()

    def seen(self) -> Seen:
        process = {}
        for number, row in self.document.items():
            refused = row.stage is CANDIDATE and number in self.bad
            process[number] = held(BAD if refused else row.stage)
            if row.stage in (CANDIDATE, CURRENT) and not refused:
                self.used.add(number)
        return seen(process, process, alive=(1, 2, 3))

    def round(self) -> Document:
        after = advance(self.document, self.seen(), self.now_s, PACE)
        assert after is not None
        return after


@pytest.mark.parametrize("bad", [frozenset[int](), frozenset({2}), frozenset({3}), frozenset({2, 3})])
def test_a_crash_between_any_two_steps_leads_to_the_same_end(bad: frozenset[int]) -> None:
    ends = set()
    # In each round the coordinator dies before it writes, writes, or writes and is followed by a second one.
    for habits in itertools.product(("dies", "writes", "twice"), repeat=4):
        world = World(bad)
        for habit in itertools.islice(itertools.cycle((*habits, "writes")), 60):
            after = world.round()
            if habit != "dies":
                world.document = after
            if habit == "twice":
                world.document = world.round()
            assert sum(row.stage is CURRENT for row in world.document.values()) == 1
            world.now_s += 5.0
        assert not world.used & bad
        ends.add(tuple(sorted(stages(world.document).items())))
    assert len(ends) == 1
    (end,) = ends
    assert dict(end)[1 if 3 in bad else 3] == "CURRENT"
