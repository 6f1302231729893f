"""The bytes the router looks at, against what real serialisers write."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from antiphon.llm.v1 import chat_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_router.shell.wire import (
    Passed,
    attempts_frame,
    closing_frame,
    estimated_usage,
    frame_of,
    is_numbered,
    last_word,
    model_of,
)

ERROR = call_error(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut")


def request_of(model: str, text: str = "") -> bytes:
    request = chat_pb2.StreamGenerateRequest(model=model)
    if text:
        request.prompt.messages.add().parts.add().text.text = text
    return request.SerializeToString()


@given(st.text(max_size=300), st.text(max_size=50))
def test_the_model_is_read_from_what_protobuf_writes(model, text):
    assert model_of(request_of(model, text)) == model


@given(st.text(min_size=1, max_size=200))
def test_the_model_is_found_behind_other_fields(model):
    other = request_of("", "a prompt")
    unknown = b"\xa0\x06\x96\x01" + b"\xa5\x06abcd" + b"\xa1\x06abcdefgh"
    assert model_of(other + unknown + request_of(model)) == model


@given(st.binary(max_size=40))
def test_any_bytes_give_a_model_or_a_typed_error(body):
    try:
        model_of(body)
    except CallFailure as failed:
        assert failed.error.reason == Reason.ERROR_REASON_INVALID_REQUEST  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("body", [b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x0a", b"\x0b", b"\xff" * 11])
def test_what_is_no_message_is_a_typed_error(body):
    with pytest.raises(CallFailure, match="INVALID_REQUEST"):
        model_of(body)


@given(st.integers(min_value=1, max_value=2**31 - 1))
def test_a_numbered_frame_is_known_by_its_first_byte(sequence):
    frame = chat_pb2.StreamGenerateResponse(first_sequence=sequence)
    frame.events.add().text_delta = "x"
    data = frame.SerializeToString()
    assert data[0] == 0x08
    assert is_numbered(data)


def test_an_unnumbered_frame_is_known_by_its_first_byte():
    frame = chat_pb2.StreamGenerateResponse()
    frame.events.add().keepalive.SetInParent()
    data = frame.SerializeToString()
    assert data[0] == 0x12
    assert not is_numbered(data)
    assert not is_numbered(b"")


def test_fields_in_another_order_are_parsed():
    unknown = b"\xa2\x06\x01x"
    assert is_numbered(unknown + b"\x08\x05")
    assert not is_numbered(unknown + b"\x12\x00")
    with pytest.raises(DecodeError):
        is_numbered(b"\xff\xff\xff")


def test_events_before_their_number_are_unnumbered_only_to_serialisers_that_break_the_contract():
    # The contract demands field 1 first, so that one byte is enough.
    assert not is_numbered(b"\x12\x00\x08\x05")


def test_the_closing_frame_goes_on_where_the_last_one_ended():
    last = chat_pb2.StreamGenerateResponse(first_sequence=7)
    last.events.add().text_delta = "x"
    last.events.add().text_delta = "y"
    assert last_word(last) is None
    closing = closing_frame(last, ERROR)
    assert closing.first_sequence == closing.events[0].end.event_count == 9
    assert closing.events[0].end.error == ERROR
    assert last_word(closing) == closing.events[0].end
    assert last_word(chat_pb2.StreamGenerateResponse(first_sequence=1)) is None


def test_what_is_no_frame_is_none():
    assert frame_of(b"\xff\xff\xff") is None
    assert frame_of(b"\x08\x03") == chat_pb2.StreamGenerateResponse(first_sequence=3)


def test_the_closing_frame_says_which_response_it_ends_and_what_is_known_of_its_usage():
    first, last = chat_pb2.StreamGenerateResponse(first_sequence=1), chat_pb2.StreamGenerateResponse(first_sequence=2)
    first.events.add().start.CopyFrom(response_pb2.ResponseStart(response_id="i.1", provider="openai", model="m-1"))
    passed = Passed(first.SerializeToString(), request_bytes=400, answer_bytes=80, total_s=1.5)
    guessed = closing_frame(last, ERROR, passed)
    usage = guessed.events[0].end.usage
    assert (usage.input_tokens, usage.output_tokens) == (100, 10)
    assert usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
    last.events.add().usage.input_tokens = 3
    closing = closing_frame(last, ERROR, passed)
    end = closing.events[0].end
    assert (end.response_id, end.provider, end.model) == ("i.1", "openai", "m-1")
    assert (end.usage.input_tokens, end.usage.source) == (3, usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL)
    assert end.timing.total_duration.ToTimedelta().total_seconds() == 1.5


def test_attempts_are_announced_in_an_unnumbered_frame():
    data = attempts_frame([])
    assert data == b""
    frame = chat_pb2.StreamGenerateResponse()
    attempt = frame.events.add().attempt
    attempt.number = 1
    data = attempts_frame([attempt])
    assert data[0] == 0x12
    assert chat_pb2.StreamGenerateResponse.FromString(data) == frame


def test_usage_is_estimated_from_bytes_and_what_is_not_known_is_not_told():
    usage = estimated_usage(400)
    assert (usage.input_tokens, usage.HasField("output_tokens")) == (100, False)
    assert usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
    assert estimated_usage(1, 80).output_tokens == 10
