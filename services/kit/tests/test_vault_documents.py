"""What lies in Vault, well written and not, and the rule for a process that is alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_kit.key_versions import Stage
from antiphon_kit.vault_documents import BadDocument, Staged, key_of, living, needed, stages_of, without_document

CANARY = "sk-canary-77aa"
CURRENT, GRACE = Staged(Stage.CURRENT, 1.0), Staged(Stage.GRACE)


def test_a_key_is_one_word_in_one_field() -> None:
    assert key_of({"value": CANARY}, "p") == CANARY
    assert key_of({"key": f"{CANARY}\n", "note": "x"}, "p") == CANARY


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "not an object"),
        ([CANARY], "not an object"),
        ({}, "exactly one"),
        ({"api_key": CANARY}, "exactly one"),
        ({"value": CANARY, "key": CANARY}, "exactly one"),
        ({"value": 5}, "not a text"),
        ({"value": {"value": CANARY}}, "not a text"),
        ({"value": " \n"}, "blank"),
        ({"value": f"{CANARY} {CANARY}"}, "no header"),
        ({"value": f"{CANARY}\n{CANARY}"}, "no header"),
        ({"value": f"{CANARY}é"}, "no header"),
        ({"value": CANARY * 2000}, "no header"),
    ],
)
def test_anything_else_is_refused_without_showing_it(data: object, why: str) -> None:
    with pytest.raises(BadDocument, match=why) as caught:
        key_of(data, "antiphon/p/s version 3")
    assert "antiphon/p/s version 3" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_stages_as_objects_and_as_the_texts_of_kv_patch() -> None:
    document = {
        "3": {"status": "current", "share": 1, "provider_key_id": "x"},
        "4": json.dumps({"status": "candidate", "share": 0.1, "not_before": "2026-01-31T12:00:00Z"}),
        "1": {"status": "revoked", "not_before": 17},
        "2": {"status": "bad", "not_before": ""},
    }
    assert stages_of(document, "p") == {
        3: CURRENT,
        4: Staged(Stage.CANDIDATE, 0.1, 1769860800.0),
        1: Staged(Stage.REVOKED, 0.0, 17.0),
        2: Staged(Stage.BAD),
    }


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"x": {"status": "current"}},
        {"0": {"status": "current"}},
        {3: {"status": "current"}},
        {"3": "current"},
        {"3": "[]"},
        {"3": 5},
        {"3": {}},
        {"3": {"status": "retired"}},
        {"3": {"status": ["current"]}},
        {"3": {"status": "current", "share": 2}},
        {"3": {"status": "current", "share": True}},
        {"3": {"status": "current", "share": "1"}},
        {"3": {"status": "current", "not_before": "tomorrow"}},
        {"3": {"status": "current", "not_before": "2026-01-31T12:00:00"}},
        {"3": {"status": "current", "not_before": float("inf")}},
        {"3": {"status": "current", "not_before": True}},
        {"3": {"status": "current", "not_before": [1]}},
        {"3": {"status": "current"}, "4": {"status": "current"}},
    ],
)
def test_a_document_that_is_not_understood_tells_nothing(document: object) -> None:
    with pytest.raises(BadDocument, match=r"^secret/p-state: "):
        stages_of(document, "secret/p-state")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_whatever_it_is_it_is_read_or_refused(document: object) -> None:
    for read in (stages_of, key_of, living):
        try:
            read(document, "p")
        except BadDocument:
            continue


def test_living_versions() -> None:
    rows = {
        "1": {"destroyed": True},
        "2": {"deletion_time": "2026-01-01T00:00:00Z", "destroyed": False},
        "9": {"deletion_time": "", "destroyed": False},
        "10": {"deletion_time": ""},
        "11": None,
        "x": {},
    }
    assert living({"versions": rows}, "p") == [10, 9]
    with pytest.raises(BadDocument):
        living({}, "p")
    with pytest.raises(BadDocument):
        living(None, "p")


@pytest.mark.parametrize(
    ("alive", "current", "bad", "expected"),
    [
        ([], None, [], {}),
        ([1], None, [], {1: CURRENT}),
        ([3, 2, 1], None, [], {3: CURRENT, 2: GRACE}),
        ([3, 2], 2, [], {3: Staged(Stage.CANDIDATE, 0.1), 2: CURRENT}),
        ([4, 3, 2, 1], 2, [], {4: Staged(Stage.CANDIDATE, 0.1), 2: CURRENT, 1: GRACE}),
        ([3, 2, 1], 2, [3], {2: CURRENT, 1: GRACE}),
        ([3, 2, 1], 3, [2], {3: CURRENT, 1: GRACE}),
        ([3, 2], None, [3], {2: CURRENT}),
        ([3, 2], None, [3, 2], {3: CURRENT}),
        ([3, 1], 2, [], {3: CURRENT, 1: GRACE}),
    ],
)
def test_a_process_alone(alive: list[int], current: int | None, bad: list[int], expected: dict[int, Staged]) -> None:
    assert without_document(alive, current, bad, trial_share=0.1) == expected


def test_a_process_holds_the_newest_of_each_usable_stage() -> None:
    stages = {
        1: GRACE,
        2: GRACE,
        3: CURRENT,
        4: Staged(Stage.BAD),
        5: Staged(Stage.CANDIDATE),
        6: Staged(Stage.REVOKED),
    }
    assert needed(stages) == [5, 3, 2]
