"""What people may order, and what they are told instead."""

import pytest

from antiphon_keys.document import Document, Row
from antiphon_keys.orders import Refused, Why, promote, revoke, rotate
from antiphon_keys.rotation import Pace, Seen
from antiphon_kit.key_versions import Stage

PACE = Pace()
SEEN = Seen(frozenset({1, 2, 3}))
CURRENT, CANDIDATE, GRACE, BAD, REVOKED = Stage.CURRENT, Stage.CANDIDATE, Stage.GRACE, Stage.BAD, Stage.REVOKED
PLAIN: Document = {1: Row(GRACE), 2: Row(CURRENT, 1.0)}


def stages(document: Document) -> dict[int, str]:
    return {number: row.stage.name for number, row in document.items()}


def test_the_newest_version_is_meant_where_none_is_named() -> None:
    after, number = rotate(PLAIN, 0, SEEN, 5.0, PACE)
    assert (number, after[3]) == (3, Row(CANDIDATE, 0.01, 5.0))


def test_back_to_the_one_before() -> None:
    after, _ = rotate(PLAIN, 1, SEEN, 5.0, PACE)
    assert stages(after) == {2: "CURRENT", 1: "CANDIDATE"}


def test_what_is_done_or_under_way_is_not_begun_again() -> None:
    under_way = {**PLAIN, 3: Row(CANDIDATE, 0.5)}
    assert rotate(under_way, 0, SEEN, 5.0, PACE) == (under_way, 3)
    assert rotate(PLAIN, 2, SEEN, 5.0, PACE) == (PLAIN, 2)
    assert promote(PLAIN, 2, SEEN, 5.0) == (PLAIN, 2)


def test_promotion_is_at_once() -> None:
    after, number = promote({**PLAIN, 3: Row(CANDIDATE, 0.5)}, 3, SEEN, 5.0)
    assert (number, stages(after)) == (3, {1: "REVOKED", 2: "GRACE", 3: "CURRENT"})
    assert stages(promote({}, 0, SEEN, 5.0)[0]) == {3: "CURRENT"}


@pytest.mark.parametrize(
    ("document", "number", "why", "words"),
    [
        (PLAIN, 9, Why.MISSING, "there is no version 9; there is 1, 2, 3"),
        ({**PLAIN, 3: Row(BAD)}, 3, Why.STATE, "version 3 is bad; write"),
        ({**PLAIN, 3: Row(REVOKED)}, 0, Why.STATE, "version 3 is revoked; write"),
        ({**PLAIN, 3: Row(CANDIDATE)}, 1, Why.STATE, "version 3 is on its way; wait"),
    ],
)
def test_an_order_that_does_not_fit(document: Document, number: int, why: Why, words: str) -> None:
    for order in (lambda: rotate(document, number, SEEN, 5.0, PACE), lambda: promote(document, number, SEEN, 5.0)):
        with pytest.raises(Refused, match=words) as caught:
            order()
        assert caught.value.why is why


def test_where_there_is_no_version_at_all() -> None:
    with pytest.raises(Refused, match="there is none"):
        rotate({}, 0, Seen(), 5.0, PACE)


def test_the_one_behind_takes_the_place_of_a_revoked_one() -> None:
    assert stages(revoke(PLAIN, 2, SEEN, 5.0)) == {1: "CURRENT", 2: "REVOKED"}
    leaked = {1: Row(CURRENT), 2: Row(CANDIDATE)}
    assert stages(revoke(leaked, 1, SEEN, 5.0)) == {1: "REVOKED", 2: "CURRENT"}
    assert stages(revoke(PLAIN, 1, SEEN, 5.0)) == {1: "REVOKED", 2: "CURRENT"}
    assert stages(revoke(PLAIN, 3, SEEN, 5.0)) == {**stages(PLAIN), 3: "REVOKED"}


def test_the_last_one_only_by_force() -> None:
    only: Document = {1: Row(CURRENT), 2: Row(BAD)}
    with pytest.raises(Refused, match="the only usable one") as caught:
        revoke(only, 1, SEEN, 5.0)
    assert caught.value.why is Why.STATE
    assert stages(revoke(only, 1, SEEN, 5.0, force=True)) == {1: "REVOKED", 2: "BAD"}
    with pytest.raises(Refused, match="there is no version 7") as caught:
        revoke(only, 7, SEEN, 5.0, force=True)
    assert caught.value.why is Why.MISSING
