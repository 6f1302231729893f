import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_contract.errors import CallFailure, Reason
from antiphon_wires.sse import SseDecoder

STREAM = (
    b"\xef\xbb\xbf: hello\n\n"
    b'data: {"a": 1}\n\n'
    b"event: ping\ndata: x\n\n"
    b"data:no space\r\n\r\n"
    b"data: first\rdata: second\r\r"
    b"id: 7\nretry: 10\n\n"
    b"event: only a name\n\n"
    b"data\n\n"
    b"\n\n\ndata:  two spaces\n\n"
    b"data: caf\xc3\xa9\r\n\n"
    b": keep-alive\n\n"
    b"data: [DONE]"
)
EVENTS = [
    ("", b'{"a": 1}'),
    ("ping", b"x"),
    ("", b"no space"),
    ("", b"first\nsecond"),
    ("", b""),
    ("", b" two spaces"),
    ("", "café".encode()),
    ("", b"[DONE]"),
]


def decode(*pieces: bytes) -> list[tuple[str, bytes]]:
    decoder = SseDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def test_every_rule_at_once():
    assert decode(STREAM) == EVENTS


def test_a_cut_at_any_byte_changes_nothing():
    for at in range(len(STREAM) + 1):
        assert decode(STREAM[:at], STREAM[at:]) == EVENTS, at


def test_byte_by_byte():
    assert decode(*(bytes([byte]) for byte in STREAM)) == EVENTS


def test_a_line_end_in_two_reads_is_one_within_an_event_too():
    assert decode(b"data: a\r", b"\ndata: b\r\n\r\n") == [("", b"a\nb")]


def test_a_byte_order_mark_hides_no_event():
    stream = b"\xef\xbb\xbfdata: 1\n\n"
    for at in range(5):
        assert decode(stream[:at], stream[at:]) == [("", b"1")], at


@given(st.lists(st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b":c", b"event: e", b"d"]), max_size=12), st.data())
def test_any_split_of_any_stream_gives_the_same_events(tokens, data):
    stream = b"".join(tokens)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*pieces) == decode(stream)


def test_events_come_as_soon_as_their_blank_line():
    decoder = SseDecoder()
    assert decoder.feed(b"data: 1\n") == []
    assert decoder.feed(b"\ndata: 2") == [("", b"1")]
    assert decoder.feed(b"\n\ndata: 3\n\n") == [("", b"2"), ("", b"3")]
    assert decoder.close() == []


def test_an_endless_event_is_refused_instead_of_filling_memory():
    decoder = SseDecoder(max_event_bytes=100)
    decoder.feed(b"data: " + b"x" * 90)
    with pytest.raises(CallFailure) as raised:
        decoder.feed(b"x" * 90)
    assert raised.value.error.reason == Reason.ERROR_REASON_UPSTREAM_PROTOCOL


def test_nor_is_one_read_that_begins_behind_a_whole_event():
    decoder = SseDecoder(max_event_bytes=100)
    assert decoder.feed(b"data: 1\n\ndata: " + b"x" * 200) == [("", b"1")]
    with pytest.raises(CallFailure):
        decoder.close()


def test_a_long_line_in_small_pieces_is_not_quadratic():
    def seconds(size: int) -> float:
        decoder = SseDecoder()
        piece = b"x" * 64
        started = time.process_time()
        for _ in range(size // 64):
            decoder.feed(piece)
        assert decoder.feed(b"\n\n") == []
        return time.process_time() - started

    seconds(1 << 16)
    small = min(seconds(1 << 18) for _ in range(3))
    # Four times the size: linear is 4, quadratic 16.
    assert min(seconds(1 << 20) for _ in range(3)) < 9 * small
