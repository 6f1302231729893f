"""How a stream ends: whole, cut, refused, or unreadable."""

import json

import pytest
from chat_wire import STOP, Finish, answer, chunk, events, failed, kinds, sse, stream

from antiphon_contract.errors import CallFailure, reason_name


def test_eof_after_the_finish_reason_is_a_whole_answer():
    assert answer(chunk({"content": "a"}), STOP, done=False).end.reason == Finish.FINISH_REASON_STOP


def test_a_last_event_without_its_blank_line_counts():
    data = sse(chunk({"content": "a"}), STOP, done=False)
    assert kinds(events(data[:-2]))[-1] == "candidate_end"
    assert kinds(events(data + b"data: [DONE]"))[-1] == "candidate_end"


def test_nothing_counts_after_the_end():
    decoder = stream()
    decoder.feed(sse(chunk({"content": "a"}), STOP))
    assert decoder.done
    assert decoder.feed(b"data: garbage\n\n") == []
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("chunks", "done", "reason", "code"),
    [
        ([chunk({"content": "a"})], False, "PROVIDER_ERROR", "eof_without_finish_reason"),
        ([chunk({"content": "a"})], True, "UPSTREAM_PROTOCOL", "done_without_finish_reason"),
        (
            [chunk({"content": "a"}, "stop"), chunk({}, index=1)],
            True,
            "UPSTREAM_PROTOCOL",
            "done_without_finish_reason",
        ),
        ([], True, "UPSTREAM_PROTOCOL", "done_without_finish_reason"),
        ([], False, "PROVIDER_ERROR", "eof_without_finish_reason"),
        ([b"<html>"], False, "UPSTREAM_PROTOCOL", "bad_json"),
        ([b"[1]"], False, "UPSTREAM_PROTOCOL", "bad_chunk"),
        ([{"choices": 1}], False, "UPSTREAM_PROTOCOL", "bad_chunk"),
        ([{"choices": [1]}], False, "UPSTREAM_PROTOCOL", "bad_chunk"),
    ],
)
def test_answers_that_are_not_whole(chunks, done, reason, code):
    _, error = failed(*chunks, done=done, model="m", request_id="req")
    assert reason_name(error.reason) == reason
    assert (error.native_code, error.provider, error.model) == (code, "openai", "m")
    assert error.provider_request_id == "req"


def test_a_cut_within_an_event():
    data = sse(chunk({"content": "a"}), chunk({"content": "b"}), done=False)
    found, error = failed(data=data[:-40])
    assert kinds(found) == ["start", "part_start", "text_delta"]
    assert error.native_code == "eof_without_finish_reason"
    _, error = failed(data=b"data: <html")
    assert error.native_code == "bad_json"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'data: {"error": {"message": "m", "code": "server_is_overloaded"}}\n\n', "PROVIDER_OVERLOADED"),
        (b'data: {"error": {"message": "m", "code": 429}}\n\n', "RATE_LIMITED"),
        (b'data: {"object": "error", "message": "m", "code": 400}\n\n', "INVALID_REQUEST"),
        (b'event: error\ndata: {"message": "m"}\n\n', "PROVIDER_ERROR"),
    ],
)
def test_errors_within_a_stream_come_after_the_text_so_far(data, reason):
    found, error = failed(data=sse(chunk({"content": "a"}), done=False) + data, request_id="req")
    assert kinds(found) == ["start", "part_start", "text_delta"]
    assert reason_name(error.reason) == reason
    assert error.provider_request_id == "req"


def test_chunks_of_a_server_in_the_same_process():
    decoder = stream()
    found = decoder.feed_chunk(json.dumps(chunk({"content": "a"})).encode())
    found += decoder.feed_chunk(json.dumps(STOP).encode())
    decoder.check()
    found += decoder.close()
    assert kinds(found) == ["start", "part_start", "text_delta", "part_end", "candidate_end"]
    assert decoder.feed_chunk(b"x") == []
    broken = stream()
    assert broken.feed_chunk(b"x") == []
    with pytest.raises(CallFailure):
        broken.check()
