"""Streams that go wrong: errors as events, cuts, nonsense."""

import pytest
from anthropic_speech import begin, delta, end, event, said, start, stop

from antiphon_contract.errors import CallFailure, reason_name
from antiphon_provider_anthropic.codec import MessageStream

OPEN = begin() + start(0, type="text", text="") + delta(0, "text", text="a")


def failure(*pieces):
    """The events before it went wrong, and the error."""
    made = []
    with pytest.raises(CallFailure) as raised:
        read(pieces, made)
    return made, raised.value.error


def read(pieces, made):
    stream = MessageStream(model="claude", request_id="req_1")
    for piece in pieces:
        made += stream.feed(piece)
        stream.check()
    made += stream.close()


# https://platform.claude.com/docs/en/api/errors (2026-11): types, and the status each has elsewhere.
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("overloaded_error", "PROVIDER_OVERLOADED"), ("api_error", "PROVIDER_ERROR"), ("timeout_error", "PROVIDER_ERROR"),
     ("rate_limit_error", "RATE_LIMITED"), ("invalid_request_error", "INVALID_REQUEST"),
     ("authentication_error", "PROVIDER_CREDENTIALS"), ("billing_error", "QUOTA_EXHAUSTED"),
     ("request_too_large", "REQUEST_TOO_LARGE"), ("a_new_one", "PROVIDER_ERROR")],
)  # fmt: skip
def test_an_error_as_an_event_is_typed(kind, reason):
    made, error = failure(OPEN, event("error", error={"type": kind, "message": "Overloaded"}))
    assert made[-1].text_delta == "a"
    assert reason_name(error.reason) == reason
    assert (error.native_type, error.http_status, error.provider_request_id) == (kind, 200, "req_1")
    assert (error.provider, error.model) == ("anthropic", "claude")
    assert "(within its answer)" in error.message


def test_an_error_by_name_alone_or_of_another_dialect():
    assert reason_name(failure(b"event: error\ndata: {}\n\n")[1].reason) == "PROVIDER_ERROR"
    other = b'data: {"error": {"message": "m", "code": "insufficient_quota"}}\n\n'
    assert reason_name(failure(other)[1].reason) == "QUOTA_EXHAUSTED"


def test_an_error_keeps_its_own_request_id():
    told = b'event: error\ndata: {"type":"error","error":{"type":"api_error"},"request_id":"req_2"}\n\n'
    assert failure(told)[1].provider_request_id == "req_2"


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ((OPEN, b"data: {oops\n\n"), "bad_json"),
        ((OPEN, b"data: [1]\n\n"), "bad_event"),
        ((event("message_start", message=5),), "bad_event"),
        ((event("content_block_start", index=0, content_block=None),), "bad_event"),
        ((event("content_block_start", index="0", content_block={}),), "bad_event"),
        ((OPEN, event("content_block_delta", index=True, delta={})),  "bad_event"),
        ((OPEN, event("content_block_delta", index=0, delta="x")), "bad_event"),
        ((OPEN, event("message_delta", delta=None)), "bad_event"),
        ((OPEN, delta(3, "text", text="lost")), "bad_event"),
        ((OPEN, stop(0), delta(0, "text", text="lost")), "bad_event"),
        ((OPEN, event("message_stop")), "message_stop_without_stop_reason"),
    ],
)  # fmt: skip
def test_nonsense_is_a_protocol_error(pieces, code):
    _, error = failure(*pieces)
    assert (reason_name(error.reason), error.native_code) == ("UPSTREAM_PROTOCOL", code)


@pytest.mark.parametrize(
    "cut", [b"", begin(), OPEN, OPEN + b"event: content_bl", OPEN + b'data: {"type":"cont', said(0, "a")]
)
def test_a_cut_before_the_stop_reason_is_a_failure(cut):
    _, error = failure(cut)
    assert (reason_name(error.reason), error.native_code) == ("PROVIDER_ERROR", "eof_without_stop_reason")


def test_half_an_event_as_the_whole_answer_is_no_answer():
    assert reason_name(failure(b"data: {oops")[1].reason) == "UPSTREAM_PROTOCOL"


@pytest.mark.parametrize("last", [b"", b"event: message_stop\n", b'event: message_stop\ndata: {"typ'])
def test_an_answer_that_told_why_it_stopped_is_whole_without_the_last_word(last):
    stream = MessageStream()
    said_all = OPEN + stop(0) + end().partition(b"event: message_stop")[0]
    stream.feed(said_all + last)
    assert stream.finished
    assert not stream.done
    assert stream.close()[-1].candidate_end.native_reason == "end_turn"
    assert stream.done


def test_the_last_blank_line_may_be_missing():
    stream = MessageStream()
    made = stream.feed((OPEN + stop(0) + end())[:-2])
    made += stream.close()
    assert made[-1].candidate_end.native_reason == "end_turn"


def test_pings_are_nothing():
    stream = MessageStream()
    stream.feed(OPEN)
    assert stream.feed(event("ping") + b"event: ping\ndata: {}\n\n") == []
    [told] = stream.feed(event("ping", more=1))
    assert told.native_event.name == "ping"
