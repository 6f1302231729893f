"""State documents as they are read and written, by us and by people."""

import pytest

from antiphon_keys.document import Row, parsed, rendered
from antiphon_kit.key_versions import Stage
from antiphon_kit.vault_documents import BadDocument, stages_of

ROWS = {
    1: Row(Stage.GRACE, since_s=1_700_000_000.5),
    2: Row(Stage.CURRENT, 1.0, 1_700_000_001.0, others={"provider_key_id": "k"}),
    3: Row(Stage.CANDIDATE, 0.01, 1_700_000_002.0, 7, 1_700_000_003.0),
}


def test_what_was_written_is_read() -> None:
    found = parsed(rendered(ROWS), "p")
    assert found[3] == ROWS[3]
    assert found[1] == ROWS[1]
    assert (found[2].stage, found[2].others) == (Stage.CURRENT, {"provider_key_id": "k"})


def test_a_row_without_a_time_is_written_without_one() -> None:
    assert rendered({1: Row(Stage.CURRENT, 1.0)}) == {"1": {"status": "current"}}


def test_provider_processes_read_it_too() -> None:
    stages = stages_of(rendered(ROWS), "p")
    assert [(number, each.stage.name, each.share) for number, each in stages.items()] == [
        (1, "GRACE", 0.0),
        (2, "CURRENT", 0.0),
        (3, "CANDIDATE", 0.01),
    ]


@pytest.mark.parametrize("since", ["yesterday", "2026-01-31T12:00:00", None, 7])
def test_times_and_counts_that_mean_nothing_are_not_told(since: object) -> None:
    rows = parsed({"1": {"status": "current", "since": since, "counted": "many"}, "2": '{"status": "grace"}'}, "p")
    assert rows == {1: Row(Stage.CURRENT), 2: Row(Stage.GRACE)}


def test_a_document_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(BadDocument, match="p: version 1: field status"):
        parsed({"1": {"status": "new"}}, "p")
