"""What the answers before taught changes what an answer costs, never what it says."""

import pytest
from cohere_recording import closed, end, event, opened, said, start

from antiphon_contract.errors import CallFailure
from antiphon_contract.fold import Fold
from antiphon_provider_cohere.codec import ChatStream
from antiphon_wires.known_deltas import KnownDeltas
from antiphon_wires.plain_delta import PlainDelta


def read(known, *pieces):
    """The folded answer."""
    fold, stream = Fold(), ChatStream(mint=lambda: "minted", known=known)
    for piece in pieces:
        fold.feed_events(stream.feed(piece))
        stream.check()
    fold.feed_events(stream.close())
    return fold.response()


@pytest.fixture
def known():
    known = KnownDeltas()
    read(known, start() + opened() + said("a") + closed() + end())
    thinking = event("content-start", {"content": {"type": "thinking", "thinking": ""}}, index=0)
    read(known, start() + thinking + said("t", 0, "thinking") + closed() + opened(1) + said("a", 1) + closed(1) + end())
    return known


@pytest.mark.parametrize(
    "said_so",
    [
        [opened(), said("one "), said("two"), closed()],
        [opened(), said(""), closed()],
        [opened(), closed()],
        [opened(), said("ä"), said("日本"), closed()],
        [opened(), said("one", logprobs={"text": "one", "token_ids": [1], "logprobs": [-0.5]}), said("two"), closed()],
        # Announced one after the other, said in turn.
        [opened(), opened(1), said("one", 1), said("two", 0), said("three", 1), closed(), closed(1)],
        # After its end.
        [opened(), said("one"), closed(), said("two"), opened(1), said("three", 1), said("four"), closed(1)],
        [said("never announced"), said("more")],
        [said("thought", 0, "thinking"), closed(), said("again", 0, "thinking"), opened(1), said("text", 1)],
        [opened(), said("unlike", extra=1), said("like")],
    ],
)
def test_the_answer_is_the_same(known, said_so):
    data = start() + b"".join(said_so) + end()
    learned_anew = read(KnownDeltas(), data)
    assert read(known, data) == learned_anew
    assert read(known, *(data[at : at + 1] for at in range(len(data)))) == learned_anew


def test_the_first_words_are_content(known):
    """What waited for content goes out with them, and they begin their part."""
    stream = ChatStream(known=known)
    early = stream.feed(start() + b'event: news\ndata: {"type":"news"}\n\n' + opened())
    assert [one.WhichOneof("kind") for one in early] == ["start"]
    kinds = [one.WhichOneof("kind") for one in stream.feed(said("one"))]
    assert kinds == ["part_start", "text_delta", "native_event"]


def test_nothing_is_learned_twice(known, monkeypatch):
    data = start() + opened() + said("one") + said("two") + closed() + end()
    lessons = []
    monkeypatch.setattr(PlainDelta, "learn", lambda *lesson: lessons.append(lesson))
    assert read(known, data).candidates[0].message.parts[0].text.text == "onetwo"
    assert lessons == []
    # A vendor that writes otherwise from now on is learned from.
    read(known, data.replace(b'"index":0', b'"index": 0'))
    assert len(lessons) == 1


def test_a_broken_answer_breaks_as_ever(known):
    with pytest.raises(CallFailure):
        read(known, start() + opened() + said("one"))
