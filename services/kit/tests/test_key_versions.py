"""Which version of which key a call gets."""

from collections import Counter

import pytest

from antiphon.router.v1 import keys_pb2
from antiphon_contract.errors import Reason
from antiphon_kit.key_versions import KeySlot, KeyVersion, Refusal, Stage, Verdict, Wanted, choose, verdict
from antiphon_kit.secrets import Secret

NOW = Wanted("m", now_s=1000.0, wall_s=5000.0)
DICE = [each / 100 for each in range(100)]
CREDENTIALS = Reason.ERROR_REASON_PROVIDER_CREDENTIALS


def version(number: int, stage: Stage, **fields: object) -> KeyVersion:
    fields.setdefault("proven", True)
    return KeyVersion("p/s", number, Secret(f"k{number}"), f"f{number}", stage, **fields)  # type: ignore[arg-type]


def slot(*versions: KeyVersion, **fields: object) -> KeySlot:
    return KeySlot("p/s", versions=list(versions), **fields)  # type: ignore[arg-type]


def refusal(since_s: float, until_s: float) -> Refusal:
    return Refusal(CREDENTIALS, 401, since_s, until_s)


def spread(*slots: KeySlot, model: str = "m", passing: KeyVersion | None = None) -> Counter[int]:
    """How a hundred evenly thrown dice fall."""
    wanted = Wanted(model, NOW.now_s, NOW.wall_s)
    return Counter(choose(slots, wanted, roll, passing).number for roll in DICE)


def nothing(*slots: KeySlot) -> bool:
    try:
        choose(slots, NOW, 0.5)
    except LookupError:
        return True
    return False


def test_stages_are_those_of_the_contract() -> None:
    assert {stage.name: stage.value for stage in Stage} == {
        name.removeprefix("KEY_STATUS_"): number for name, number in keys_pb2.KeyStatus.items() if number
    }


def test_the_only_version_is_used() -> None:
    assert spread(slot(version(1, Stage.CURRENT))) == {1: 100}


def test_it_is_used_even_if_it_was_refused_because_the_router_keeps_calls_away() -> None:
    assert spread(slot(version(1, Stage.CURRENT, refusal=refusal(1, 2000)))) == {1: 100}
    assert spread(slot(version(1, Stage.GRACE, refusal=refusal(1, 2000)))) == {1: 100}


@pytest.mark.parametrize("stage", [Stage.BAD, Stage.REVOKED])
def test_a_bad_or_revoked_version_is_never_used(stage: Stage) -> None:
    assert nothing(slot(version(1, stage)))
    assert spread(slot(version(2, stage), version(1, Stage.GRACE))) == {1: 100}


def test_no_slot_and_no_version_give_nothing() -> None:
    assert nothing()
    assert nothing(slot())


def test_current_goes_before_grace() -> None:
    assert spread(slot(version(3, Stage.GRACE), version(2, Stage.CURRENT), version(1, Stage.GRACE))) == {2: 100}


def test_a_candidate_gets_its_share() -> None:
    assert spread(slot(version(2, Stage.CANDIDATE, share=0.1), version(1, Stage.CURRENT))) == {2: 10, 1: 90}
    two = slot(
        version(3, Stage.CANDIDATE, share=0.25), version(2, Stage.CANDIDATE, share=0.5), version(1, Stage.CURRENT)
    )
    assert spread(two) == {3: 25, 2: 50, 1: 25}


def test_an_unproven_candidate_gets_none() -> None:
    assert spread(slot(version(2, Stage.CANDIDATE, share=1.0, proven=False), version(1, Stage.CURRENT))) == {1: 100}
    assert nothing(slot(version(2, Stage.CANDIDATE, share=1.0, proven=False)))


def test_a_proven_candidate_is_better_than_nothing() -> None:
    assert spread(slot(version(2, Stage.CANDIDATE, share=0.0))) == {2: 100}


def test_a_refused_version_is_passed_over_until_its_time() -> None:
    versions = [version(2, Stage.CURRENT, refusal=refusal(1, NOW.now_s + 1)), version(1, Stage.GRACE)]
    assert spread(slot(*versions)) == {1: 100}
    versions[0].refusal = refusal(1, NOW.now_s)
    assert spread(slot(*versions)) == {2: 100}


def test_of_the_refused_ones_the_one_refused_longest_ago() -> None:
    versions = [
        version(3, Stage.CURRENT, refusal=refusal(30, 2000)),
        version(2, Stage.GRACE, refusal=refusal(20, 2000)),
        version(1, Stage.BAD, refusal=refusal(10, 2000)),
    ]
    assert spread(slot(*versions)) == {2: 100}


def test_not_before_its_time() -> None:
    later = version(2, Stage.CURRENT, not_before_s=NOW.wall_s + 1)
    assert nothing(slot(later))
    assert spread(slot(later, version(1, Stage.GRACE))) == {1: 100}
    later.not_before_s = NOW.wall_s
    assert spread(slot(later)) == {2: 100}


def test_exactly_at_its_greatest_age_a_slot_is_out() -> None:
    one = slot(version(1, Stage.CURRENT), max_staleness_s=60.0, confirmed_s=NOW.now_s - 59.9)
    assert spread(one) == {1: 100}
    assert one.staleness_s(NOW.now_s) == pytest.approx(59.9)
    one.confirmed_s = NOW.now_s - 60.0
    assert nothing(one)
    assert spread(one, slot(version(9, Stage.CURRENT))) == {9: 100}
    assert slot().staleness_s(NOW.now_s) == 0.0


def test_slots_share_by_weight_and_their_candidates_within() -> None:
    first = slot(version(12, Stage.CANDIDATE, share=0.5), version(11, Stage.CURRENT), weight=1.0)
    second = slot(version(21, Stage.CURRENT), weight=3.0)
    counted = spread(first, second)
    assert counted[21] == 75
    assert counted[12] + counted[11] == 25
    assert abs(counted[12] - counted[11]) <= 1
    assert set(spread(second, first)) == {21, 11, 12}


def test_a_slot_whose_versions_are_all_refused_leaves_its_calls_to_the_others() -> None:
    first = slot(version(11, Stage.CURRENT, refusal=refusal(1, 2000)))
    assert spread(first, slot(version(21, Stage.CURRENT))) == {21: 100}


def test_any_but_this_one() -> None:
    current, grace = version(2, Stage.CURRENT), version(1, Stage.GRACE)
    assert spread(slot(current, grace), passing=current) == {1: 100}
    with pytest.raises(LookupError):
        choose([slot(current)], NOW, 0.5, passing=current)


def test_a_candidate_gets_no_calls_of_a_model_it_may_lack() -> None:
    candidate = version(2, Stage.CANDIDATE, share=1.0)
    both = slot(candidate, version(1, Stage.CURRENT))
    candidate.doubt("m")
    assert spread(both) == {1: 100}
    assert spread(both, model="other") == {2: 100}
    for number in range(100):
        candidate.doubt(f"made up {number}")
    assert len(candidate.doubted) == 64


def test_a_move_tells_whether_it_is_one() -> None:
    one = version(1, Stage.CANDIDATE)
    assert not one.move(Stage.CANDIDATE, 7.0)
    assert one.move(Stage.CURRENT, 8.0)
    assert (one.stage, one.stage_time_s) == (Stage.CURRENT, 8.0)


@pytest.mark.parametrize(
    ("reason", "status", "stage", "expected"),
    [
        (CREDENTIALS, 401, Stage.CURRENT, Verdict.REFUSED),
        (CREDENTIALS, 403, Stage.CANDIDATE, Verdict.REFUSED),
        (CREDENTIALS, 0, Stage.CURRENT, Verdict.NONE),
        (Reason.ERROR_REASON_QUOTA_EXHAUSTED, 429, Stage.CANDIDATE, Verdict.REFUSED),
        (Reason.ERROR_REASON_QUOTA_EXHAUSTED, 429, Stage.CURRENT, Verdict.LIMITED),
        (Reason.ERROR_REASON_RATE_LIMITED, 429, Stage.CANDIDATE, Verdict.LIMITED),
        (Reason.ERROR_REASON_MODEL_NOT_FOUND, 404, Stage.CANDIDATE, Verdict.UNKNOWN_MODEL),
        (Reason.ERROR_REASON_MODEL_NOT_FOUND, 404, Stage.BAD, Verdict.UNKNOWN_MODEL),
        (Reason.ERROR_REASON_MODEL_NOT_FOUND, 404, Stage.REVOKED, Verdict.UNKNOWN_MODEL),
        (Reason.ERROR_REASON_MODEL_NOT_FOUND, 404, Stage.CURRENT, Verdict.NONE),
        (Reason.ERROR_REASON_MODEL_NOT_FOUND, 404, Stage.GRACE, Verdict.NONE),
        (Reason.ERROR_REASON_INVALID_REQUEST, 400, Stage.CANDIDATE, Verdict.NONE),
    ],
)
def test_what_an_error_says_about_the_key(reason: int, status: int, stage: Stage, expected: Verdict) -> None:
    assert verdict(reason, status, stage) is expected  # type: ignore[arg-type]
