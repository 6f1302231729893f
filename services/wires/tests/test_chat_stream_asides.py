"""What comes beside the text: citations, audio, log probabilities, usage, and what has no word here."""

import json

import pytest
from chat_wire import HEAD, ROLE, STOP, answer, chunk, events, fold, kinds, parts, sse, stream, warned

from antiphon.llm.v1 import response_pb2


def test_citations():
    note = {
        "type": "url_citation",
        "url_citation": {"start_index": 0, "end_index": 2, "title": "T", "url": "https://x"},
    }
    text = json.dumps(chunk({"content": "ab", "annotations": ["@"]})).replace('"@"', json.dumps(note, indent=1))
    [part] = parts(text.encode().replace(b"\n", b""), STOP)
    [citation] = part.text.citations
    assert (citation.start, citation.end, citation.sources[0].title) == (0, 2, "T")
    assert citation.sources[0].uri.uri == "https://x"
    assert citation.provider_json["openai"] == json.dumps(note, indent=1).replace("\n", "")


@pytest.mark.parametrize(
    "note", [7, {"type": "other"}, {"url_citation": {"start_index": -1, "end_index": "2", "title": 3, "url": 4}}]
)
def test_citations_of_a_kind_without_a_word(note):
    [part] = parts(chunk({"annotations": [note]}), STOP)
    [citation] = part.text.citations
    assert json.loads(citation.provider_json["openai"]) == note
    assert not citation.HasField("start")
    assert not citation.sources


def test_a_citation_after_reasoning_opens_a_text():
    found = parts(chunk({"reasoning": "a"}), chunk({"annotations": [{}]}), STOP)
    assert [part.WhichOneof("kind") for part in found] == ["reasoning", "text"]


def test_audio():
    [part] = parts(
        chunk({"audio": {"id": "au1", "transcript": "He"}}), chunk({"audio": {"data": "YWJj"}}),
        chunk({"audio": {"data": "ZG"}}), chunk({"audio": {"data": "U=", "transcript": "llo"}}),
        chunk({"audio": {"expires_at": 123}}), STOP, state_domain="a",
    )  # fmt: skip
    assert (part.media.data, part.media.transcript, part.media.mime_type) == (b"abcde", "Hello", "audio/*")
    assert part.provider_json["openai"] == '{"expires_at":123}'
    [state] = part.opaque
    assert (state.issuer, state.kind, state.data, state.state_domain) == ("openai", "audio.id", b"au1", "a")


@pytest.mark.parametrize("data", ["!!!!", "é" * 4])
def test_audio_that_is_none(data):
    found = events(sse(chunk({"audio": {"data": data}}), STOP))
    assert warned(found) == ["a piece of audio is no base64"]


def test_logprobs():
    token = {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -1, "bytes": None}],
    }
    probs = {"logprobs": {"content": [token], "refusal": None}}
    candidate = answer(
        chunk({"content": "a"}, choice=probs), chunk({"content": ""}, choice=probs),
        chunk({"refusal": "r"}, choice={"logprobs": {"refusal": [{"token": "r", "logprob": -2}]}}), STOP,
    )  # fmt: skip
    text, refusal = candidate.logprobs
    assert [(t.token, t.logprob, t.raw_bytes) for t in text.tokens] == [("a", -0.5, b"a")] * 2
    assert [(t.token, t.logprob) for t in text.tokens[0].top] == [("b", -1)]
    assert refusal.part_index == 1
    assert refusal.tokens[0].token == "r"


@pytest.mark.parametrize("probs", [7, {"content": 7}, {"content": [7]}, {"content": [{"token": 7, "logprob": "x"}]}])
def test_malformed_logprobs(probs):
    candidate = answer(chunk({"content": "a"}, choice={"logprobs": probs}), STOP)
    assert all(token == response_pb2.TokenLogprob() for row in candidate.logprobs for token in row.tokens)


def test_bytes_of_half_a_character():
    token = {"token": "\ufffd", "logprob": -1, "bytes": [240, 159, 999]}
    odd = answer(chunk({"content": "a"}, choice={"logprobs": {"content": [token]}}), STOP).logprobs[0].tokens[0]
    assert (odd.token, odd.raw_bytes) == ("\ufffd", b"")


USAGE = (
    '{"prompt_tokens":  100, "completion_tokens": 50, "total_tokens": 150, "cost": 1e400, '
    '"prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 5, "text_tokens": 95}, '
    '"completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 0, "accepted_prediction_tokens": 1}}'
)


def test_usage():
    last = f'{{"id": "c", "choices": [], "usage": {USAGE}}}'.encode()
    usage = fold(chunk({"content": "a"}), STOP, last, last).usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (100, 50, 20)
    assert (usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (60, 10)
    assert [(row.modality, row.input_tokens, row.output_tokens) for row in usage.by_modality] == [
        ("text", 95, 0), ("audio", 5, 0),
    ]  # fmt: skip
    assert not usage.by_modality[0].HasField("output_tokens")
    assert usage.by_modality[1].HasField("output_tokens")
    assert usage.native_json == USAGE


def test_the_same_usage_is_told_once():
    one = {"prompt_tokens": 1, "completion_tokens": 1}
    two = {"prompt_tokens": 1, "completion_tokens": 2}
    found = events(
        sse(chunk({"content": "a"}, usage=one), chunk({"content": "b"}, usage=one), chunk({}, "stop", usage=two))
    )
    assert [event.usage.output_tokens for event in found if event.HasField("usage")] == [1, 2]


@pytest.mark.parametrize(
    ("usage", "output"),
    [({}, None), ({"completion_tokens": None}, None), ({"completion_tokens": -1}, None), ({"completion_tokens": 0}, 0),
     ({"completion_tokens": 12.0}, 12), ({"completion_tokens": 1.5}, None), ({"completion_tokens": True}, None),
     ({"completion_tokens": 2**31}, None), ({"completion_tokens_details": 7}, None)],
)  # fmt: skip
def test_a_count_is_known_or_unset(usage, output):
    found = fold(chunk({"content": "a"}), chunk({}, "stop", usage=usage)).usage
    assert (found.output_tokens if found.HasField("output_tokens") else None) == output
    assert not found.HasField("input_tokens")


def test_cache_hits_in_deepseeks_words():
    usage = {"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5}
    assert fold(chunk({}, "stop", usage=usage)).usage.cache_read_input_tokens == 4


def natives(found):
    return [event.native_event for event in found if event.HasField("native_event")]


def test_unknown_members_are_handed_on_once_per_value():
    chunks = [
        chunk({"content": "a"}, provider="X", obfuscation="abc", nothing=None),
        chunk({"content": "b"}, provider="X", obfuscation="abcd"),
        chunk({"content": "c"}, choice={"content_filter_results": {"hate": 1}}),
        chunk({"content": "d", "reasoning_details": [1]}),
        STOP,
        {**HEAD, "choices": [], "timings": {"ms": 1}},
    ]
    found = events(sse(*chunks))
    assert [json.loads(native.data) for native in natives(found)] == [chunks[0], chunks[2], chunks[3], chunks[5]]
    assert "".join(event.text_delta for event in found) == "abcd"


def test_unknown_events_are_handed_on_but_do_not_count_as_an_answer():
    data = b'event: ping\ndata: {"x": 1}\n\n' + sse(ROLE, chunk({"content": "a"}), done=False)
    data += b"event: ping\ndata: 2\n\n" + sse(STOP)
    decoder = stream()
    assert kinds(decoder.feed(data[:30])) == []
    found = decoder.feed(data[30:])
    assert kinds(found)[:4] == ["start", "part_start", "text_delta", "native_event"]
    assert [(native.name, native.data) for native in natives(found)] == [("ping", b'{"x": 1}'), ("ping", b"2")]


def test_named_messages_are_messages():
    found = events(b"event: message\n" + sse(chunk({"content": "a"}), STOP))
    assert "text_delta" in kinds(found)


def test_native_mode_attaches_every_payload_once():
    chunks = [
        ROLE,
        chunk({"content": "a"}, x=1),
        chunk({"content": ""}),
        chunk({"content": "b"}),
        STOP,
        {"choices": []},
    ]
    found = events(b"event: ping\ndata: {}\n\n" + sse(*chunks), native=True)
    attached = [event.native or event.native_event.data for event in found]
    texts = sorted(filter(None, attached))
    assert texts == sorted([b"{}", b"[DONE]", *(json.dumps(each).encode() for each in chunks)])


def test_null_and_missing_choices_and_empty_data():
    found = parts(chunk({"content": "a"}), {"choices": None}, {}, b"", {"choices": [{"delta": None}]}, STOP)
    assert [part.text.text for part in found] == ["a"]


def test_a_choice_without_an_index_is_known_by_its_place():
    found = parts({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]})
    assert found[0].text.text == "a"
