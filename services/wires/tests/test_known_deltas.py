import json

from antiphon_wires.known_deltas import KnownDeltas
from antiphon_wires.plain_delta import PlainDelta


def shape(position, around=""):
    payload = json.dumps({"index": position, "around": around, "text": "a"}).encode()
    found = PlainDelta.learn(b"data: " + payload + b"\n\n", payload, json.loads(payload), ("text",))
    assert found is not None
    return found


def test_the_last_shape_of_a_place_is_known():
    known, first, second = KnownDeltas(), shape(0), shape(0, "later")
    assert known.get(0, "text") is None
    known.keep(0, "text", first)
    known.keep(0, "text", second)
    known.keep(0, "text", None)
    assert known.get(0, "text") is second
    assert known.get(1, "text") is None
    assert known.get(0, "thinking") is None


def test_it_does_not_grow_with_what_vendors_send():
    known = KnownDeltas()
    for position in range(1000):
        known.keep(position, "text", shape(position))
    kept = [position for position in range(1000) if known.get(position, "text")]
    assert kept == list(range(64))
    again = shape(5, "again")
    known.keep(5, "text", again)
    assert known.get(5, "text") is again
    known.keep(6, "text", shape(6, "x" * 2000))
    assert known.get(6, "text") is not None
    fresh = KnownDeltas()
    fresh.keep(0, "text", shape(0, "x" * 2000))
    assert fresh.get(0, "text") is None
