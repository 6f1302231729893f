"""However a network cuts a stream, and whatever is in it: the same events, one end, no crash."""

import json
from itertools import pairwise

import pytest
from cohere_recording import RAG, RECORDINGS, THINKING, closed, end, event, opened, said, start
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon_contract.errors import CallFailure
from antiphon_provider_cohere.codec import ChatStream
from antiphon_wires.plain_delta import PlainDelta

WRITINGS = {
    "as sent": lambda data: data,
    "without names": lambda data: b"".join(line for line in data.splitlines(True) if not line.startswith(b"event:")),
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "cr": lambda data: data.replace(b"\n", b"\r"),
    "bom": lambda data: b"\xef\xbb\xbf" + data,
    "comments": lambda data: data.replace(b"\n\n", b"\n\n: keep-alive\n\n"),
    "no space": lambda data: data.replace(b"data: ", b"data:"),
    "no blank line at the end": lambda data: data.rstrip(b"\n"),
}


def joined(found):
    """`found` with the deltas joined that follow one another: how many there are is the network's to say."""
    out = []
    for one in found:
        plain = one.WhichOneof("kind") in ("text_delta", "reasoning_delta") and not one.logprobs
        key = (one.WhichOneof("kind"), one.part_index) if plain else None
        if out and key and out[-1][0] == key:
            setattr(out[-1][1], key[0], getattr(out[-1][1], key[0]) + getattr(one, key[0]))
        else:
            copy = type(one)()
            copy.CopyFrom(one)
            out.append((key, copy))
    return [one for _, one in out]


def read(*pieces):
    """(events, how it ended)."""
    found, ending = read_as_they_come(*pieces)
    return joined(found), ending


def read_as_they_come(*pieces):
    stream = ChatStream(mint=lambda: "minted")
    found = []
    try:
        for piece in pieces:
            found += stream.feed(piece)
            stream.check()
        return found + list(stream.close()), "whole"
    except CallFailure as failure:
        return found, (failure.error.reason, failure.error.native_code)


@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize("writing", WRITINGS)
def test_every_split_gives_the_same_events(recording, writing):
    whole = read(RECORDINGS[recording])
    data = WRITINGS[writing](RECORDINGS[recording])
    assert whole[1] == "whole"
    assert read(data) == whole
    assert read(*(bytes([byte]) for byte in data)) == whole
    for place in range(1, len(data), 1 if writing == "as sent" else 7):
        assert read(data[:place], data[place:]) == whole, place


@given(st.sampled_from(list(RECORDINGS)), st.lists(st.integers(0, len(RAG)), max_size=12))
def test_many_cuts_give_the_same_events(recording, places):
    data = RECORDINGS[recording]
    cuts = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    assert read(*(data[a:b] for a, b in pairwise(cuts))) == read(data)


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=20)


@given(TEXTS, st.booleans(), st.booleans())
def test_the_shortest_way_reads_what_the_long_one_reads(texts, ascii_only, spaced):
    """Deltas are read in runs; with native bytes attached each is read by itself."""

    def delta(text):
        separators = (", ", ": ") if spaced else (",", ":")
        message = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}}
        return b"data: " + json.dumps(message, ensure_ascii=ascii_only, separators=separators).encode() + b"\n\n"

    data = start() + opened() + b"".join(map(delta, texts)) + closed() + end()
    native = ChatStream(native=True)
    slow = [one.text_delta for one in native.feed(data) if one.text_delta]
    fast = [one.text_delta for one in read(data)[0] if one.text_delta]
    assert "".join(fast) == "".join(slow) == "".join(texts)


@pytest.mark.parametrize(
    "odd",
    [
        said("x", extra=1),
        event("content-delta", {"content": {"text": "x", "type": "text"}}, index=0),
        event("content-delta", {"content": {"text": "x"}}, index=1),
        event("content-delta", {"content": {"text": 5}}, index=0),
        b'event: content-delta\ndata: {"type":"content-delta","index":0,"delta":{"message":{"content":'
        b'{"text":"a","text":"b"}}}}\n\n',
        b'event: content-delta\ndata: {"type":"content-delta","index":0,"delta":{"message":{"content":'
        b'{"text":"\\ud83d"}}}}\n\n',
        b": ping\n\n",
        b"event: ping\ndata: {}\n\n",
        said("thought", 0, "thinking"),
        # Readable only tolerantly, and not by the text.
        b'data: {"type":"content-delta","index":2,"delta":{"\xff":null,"message":{"content":{"text":"x"}}}}\n\n',
    ],
)
def test_what_breaks_a_run_is_read_by_itself(odd):
    data = start() + opened() + said("a") + said("b") + said("") + odd + said("c") + said("d") + end()
    whole = read(data)
    assert whole[1] == "whole"
    by_event = [block + b"\n\n" for block in data.split(b"\n\n") if block]
    assert read(*by_event) == whole
    text = "".join(one.text_delta for one in whole[0])
    assert text.startswith("ab")
    assert text.endswith("cd")


@pytest.mark.parametrize("text", [b'"a","b"', b'"a" "b"', b"", b" ", b'"a', b"5", b'"\xff"', b'"\\x"'])
def test_no_malformed_delta_passes_as_a_run(text):
    good = said("a")
    forged = good.replace(b'"a"', text)
    found, ending = read(start(), opened(), good, good, forged + said("c"), end())
    slow = ChatStream(native=True)
    for piece in (start(), opened(), good, good, forged + said("c"), end()):
        slow.feed(piece)
    try:
        slow.check()
        slow_ending = "whole"
    except CallFailure as failure:
        slow_ending = (failure.error.reason, failure.error.native_code)
    assert ending == slow_ending
    assert "".join(one.text_delta for one in found).startswith("aa")


def test_a_run_begins_between_two_events_only():
    first = start() + opened() + said("a") + said("b") + b"data: 1,\n"
    rest = said("c") + end()
    assert read(first, rest) == read(first + rest)
    assert read(first + rest)[1] != "whole"


def test_a_stream_of_ever_changing_blocks_is_learned_from_only_so_often(monkeypatch):
    lessons = []
    monkeypatch.setattr(PlainDelta, "learn", lambda *lesson: lessons.append(lesson))
    data = start() + b"".join(said(f"{index} ", index) for index in range(40)) + end()
    found, ending = read(data)
    assert ending == "whole"
    assert "".join(one.text_delta for one in found) == "".join(f"{index} " for index in range(40))
    assert len(lessons) == 16


@settings(max_examples=300)
@given(st.data())
def test_noise_never_crashes_and_ends_once(data):
    stream = bytearray(data.draw(st.sampled_from([*RECORDINGS.values(), RAG + THINKING])))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(stream) - 1))
        if data.draw(st.booleans()):
            stream[place] = data.draw(st.integers(0, 255))
        else:
            del stream[place : place + data.draw(st.integers(1, 30))]
    found, ending = read(bytes(stream))
    ends = [one for one in found if one.HasField("candidate_end")]
    assert len(ends) == (1 if ending == "whole" else 0)
    assert sum(one.HasField("start") for one in found) <= 1
    if found:
        assert found[0].HasField("start")
