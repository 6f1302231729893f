"""What callers ask of the router by metadata."""

import pytest

from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure, Reason
from antiphon_router.core.values import NO_ASK, AfterContent, Ask
from antiphon_router.shell.ask import Wishes, wishes_of


def test_without_a_word_nothing_is_asked_for():
    assert wishes_of({metadata.MODEL: "m", "x": "y"}, 7) == Wishes(Ask(size=7), AfterContent.FAIL)
    assert NO_ASK.priority == 5


@pytest.mark.parametrize(
    ("key", "word", "wishes"),
    [
        (metadata.AFTER_CONTENT, "fail", Wishes(Ask(size=7))),
        (metadata.AFTER_CONTENT, "restart", Wishes(Ask(size=7), AfterContent.RESTART)),
        (metadata.AFTER_CONTENT, "hold", Wishes(Ask(size=7), AfterContent.HOLD)),
        (metadata.AFFINITY, "openai-a", Wishes(Ask(affinity="openai-a", size=7))),
        (metadata.AFFINITY, "openai-a;hard", Wishes(Ask(affinity="openai-a", hard=True, size=7))),
        (metadata.CACHE_AFFINITY, "x" * 64, Wishes(Ask(cache_affinity="x" * 64, size=7))),
        (metadata.PRIORITY, "0", Wishes(Ask(size=7, priority=0))),
        (metadata.PRIORITY, "9", Wishes(Ask(size=7, priority=9))),
    ],
)
def test_each_word_is_taken_as_meant(key, word, wishes):
    assert wishes_of({key: word}, 7) == wishes


@pytest.mark.parametrize(
    ("key", "word"),
    [
        (metadata.AFTER_CONTENT, "maybe"),
        (metadata.AFTER_CONTENT, ""),
        (metadata.AFFINITY, "a;soft"),
        (metadata.AFFINITY, "a;"),
        (metadata.AFFINITY, ";hard"),
        (metadata.AFFINITY, "x" * 256),
        (metadata.CACHE_AFFINITY, "x" * 65),
        (metadata.PRIORITY, "10"),
        (metadata.PRIORITY, "-1"),
        (metadata.PRIORITY, "first"),
        (metadata.PRIORITY, "٣"),
        (metadata.PRIORITY, ""),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(key, word):
    with pytest.raises(CallFailure) as raised:
        wishes_of({key: word}, 7)
    assert (raised.value.error.reason, raised.value.error.param) == (Reason.ERROR_REASON_INVALID_REQUEST, key)
    assert "use" in raised.value.error.message
