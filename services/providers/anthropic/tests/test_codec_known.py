"""What the answers before taught changes what an answer costs, never what it says."""

import json

import pytest
from anthropic_reading import answer, kinds
from anthropic_speech import CITATION, begin, delta, end, event, said, start, stop

from antiphon_contract.errors import CallFailure
from antiphon_provider_anthropic.codec import MessageStream
from antiphon_wires.known_deltas import KnownDeltas
from antiphon_wires.plain_delta import PlainDelta


def opened(index, kind="text"):
    return start(index, type=kind, **{kind: ""}, **({"signature": ""} if kind == "thinking" else {}))


def thought(index, *pieces):
    return opened(index, "thinking") + b"".join(delta(index, "thinking", thinking=piece) for piece in pieces)


@pytest.fixture
def known():
    known = KnownDeltas()
    answer(begin() + said(0, "a", "b") + said(1, "c") + end(), known=known)
    answer(begin() + thought(0, "a") + stop(0) + end(), known=known)
    return known


@pytest.mark.parametrize(
    "blocks",
    [
        [said(0, "one ", "two")],
        [said(0, "")],
        [said(0)],
        [said(0, "ä", "日本")],
        [start(0, type="text", text="told at once "), delta(0, "text", text="and more"), stop(0)],
        [opened(0), event("ping"), delta(0, "text", text="one"), delta(0, "citations", citation=CITATION), stop(0)],
        # Announced one after the other, said in turn.
        [opened(0), opened(1), delta(1, "text", text="b"), delta(0, "text", text="a"), delta(1, "text", text="d")],
        [opened(0), delta(0, "text", text="a"), opened(1), delta(0, "text", text="b"), delta(1, "text", text="c")],
        [thought(0, "why"), delta(0, "signature", signature="sig"), stop(0), said(1, "so")],
        [opened(0), delta(0, "text", text="unlike", more=1), delta(0, "text", text="like"), stop(0)],
    ],
)
def test_the_answer_is_the_same(known, blocks):
    data = begin() + b"".join(blocks) + end()
    learned_anew = answer(data)
    assert answer(data, known=known) == learned_anew
    assert answer(*(data[at : at + 1] for at in range(len(data))), known=known) == learned_anew


def test_what_is_known_of_a_block_is_not_taken_for_another(known):
    """The second block is known, the first is learned anew and goes on after the second was announced."""
    partly = KnownDeltas()
    partly.keep(1, "text", known.get(1, "text"))
    blocks = [opened(0), delta(0, "text", text="a"), opened(1), delta(0, "text", text="b"), delta(1, "text", text="c")]
    data = begin() + b"".join(blocks) + end()
    assert [part.text.text for part in answer(data, known=partly).message.parts] == ["ab", "c"]


def test_the_first_words_are_content(known):
    """What waited for content goes out with them, and they begin their part."""
    stream = MessageStream(known=known)
    early = stream.feed(begin() + event("news") + opened(0))
    assert kinds(early) == ["start", "usage"]
    assert kinds(stream.feed(delta(0, "text", text="one"))) == ["part_start", "text_delta", "native_event"]


def test_nothing_is_learned_twice(known, monkeypatch):
    data = begin() + said(0, "one", "two") + end()
    lessons = []
    monkeypatch.setattr(PlainDelta, "learn", lambda *lesson: lessons.append(lesson))
    assert answer(data, known=known).message.parts[0].text.text == "onetwo"
    assert lessons == []
    # A vendor that writes otherwise from now on is learned from.
    answer(data.replace(b'"index":0', b'"index": 0'), known=known)
    assert len(lessons) == 1


def test_native_bytes_are_attached_to_each_delta(known):
    stream = MessageStream(native=True, known=known)
    made = stream.feed(begin() + opened(0) + delta(0, "text", text="one") + delta(0, "text", text="two"))
    assert [one.text_delta for one in made if one.text_delta] == ["one", "two"]
    attached = [json.loads(one.native) for one in made if one.native]
    assert [each["delta"]["text"] for each in attached if "delta" in each] == ["one", "two"]


def test_a_broken_answer_breaks_as_ever(known):
    with pytest.raises(CallFailure):
        answer(begin() + opened(0) + delta(0, "text", text="one"), known=known)
