"""The shortest way through deltas that are numbered and padded: the same text as the long one, or none."""

import json

import pytest

from antiphon_wires.openai_responses.numbered_delta import NumberedDelta

HEAD = b"event: response.output_text.delta\ndata: "


def delta(text, number=1, **members):
    event = {"type": "response.output_text.delta", "item_id": "m", "delta": text, "logprobs": []}
    return {**event, "sequence_number": number, **members}


def learned(event, payload=None, head=HEAD):
    payload = json.dumps(event).encode() if payload is None else payload
    return NumberedDelta.learn_event(head + payload + b"\n\n", payload, event)


def block(event, head=HEAD):
    return head + json.dumps(event).encode() + b"\n\n"


def test_text_number_and_padding_may_differ():
    shape = learned(delta("a", obfuscation="xyz"))
    data = block(delta('say "hi"\\', 22, obfuscation="")) + block(delta("\u00e9", 3, obfuscation="abcd"))
    assert shape.text(data, 0) == ('say "hi"\\\u00e9', len(data))
    assert shape.text(b"..." + data, 3) == ('say "hi"\\\u00e9', len(data) + 3)


@pytest.mark.parametrize(
    "other", [delta("b", item_id="n"), delta("b", logprobs=[1]), delta("b", fresh=1), delta(7), delta("b", 1.5)]
)
def test_everything_else_is_compared(other):
    shape = learned(delta("a"))
    assert shape.text(block(other), 0) == ("", 0)
    good = block(delta("x", 2))
    assert shape.text(good + block(other), 0) == ("x", len(good))


def test_what_a_string_may_not_hold_ends_the_run():
    shape = learned(delta("a"))
    good, half = block(delta("x")), block(delta("\ud83d"))
    assert shape.text(good + half + good, 0) == ("x", len(good))
    assert shape.text(half, 0) == ("", 0)


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        # The same name further down: which of the two is meant cannot be told.
        (delta("a", nested={"delta": "b"}), None),
        # Read tolerantly, so that nothing is to be relied on.
        (delta("a"), b'{"delta":"a","x":"\xff"}'),
    ],
)
def test_what_cannot_be_told_apart_is_not_learned(event, payload):
    assert learned(event, payload) is None


def test_an_event_that_was_not_sent_in_one_line_is_not_learned():
    payload = json.dumps(delta("a")).encode()
    assert NumberedDelta.learn_event(HEAD + payload + b"\nid: 7\n\n", payload, delta("a")) is None
