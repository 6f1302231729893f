"""Text completion: a prompt out, chunks of text in."""

import json
from dataclasses import replace

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import completion_pb2, response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_contract.fold import Fold
from antiphon_wires.openai_chat.codec import COMPATIBLE, OPENAI, CompletionStream, encode_completion

PROMPT = 'prompt { text: "Once" } '
HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "d-2"}


def encode(text, dialect=OPENAI, **more):
    request = text_format.Parse(text, completion_pb2.StreamCompleteRequest())
    encoded = encode_completion(request, dialect, model="d-2", **more)
    return json.loads(encoded.body), encoded


def refused(text):
    with pytest.raises(CallFailure) as raised:
        encode(text)
    return reason_name(raised.value.error.reason), raised.value.error.param


def test_the_prompt():
    body, encoded = encode(PROMPT)
    assert body == {"model": "d-2", "prompt": "Once", "stream": True, "stream_options": {"include_usage": True}}
    assert not encoded.warnings
    body, _ = encode('prompt { tokens { ids: [5, 6] } suffix: "end" echo: false }', replace(OPENAI, stream_usage=False))
    assert body == {"model": "d-2", "prompt": [5, 6], "stream": True, "suffix": "end", "echo": False}


@pytest.mark.parametrize("dialect", [OPENAI, COMPATIBLE])
def test_params_in_the_words_of_this_api(dialect):
    body, encoded = encode(
        PROMPT + 'params { max_output_tokens: 7 temperature: 0 stop: "x" seed: -1 candidate_count: 2 end_user_id: "u"'
        " logit_bias { key: 5 value: 2 } }",
        dialect,
        max_output_tokens=99,
    )
    assert {name: body[name] for name in ("max_tokens", "temperature", "stop", "seed", "n", "user", "logit_bias")} == {
        "max_tokens": 7,
        "temperature": 0,
        "stop": ["x"],
        "seed": -1,
        "n": 2,
        "user": "u",
        "logit_bias": {"5": 2},
    }
    assert not encoded.warnings


def test_the_operators_bound_counts_where_the_caller_has_none():
    assert encode(PROMPT, max_output_tokens=9)[0]["max_tokens"] == 9


@pytest.mark.parametrize(
    ("params", "expected"),
    [("logprobs: true", 1), ("top_logprobs: 3", 3), ("logprobs: true top_logprobs: 0", 1), ("logprobs: false", None)],
)
def test_logprobs_are_a_number_here(params, expected):
    assert encode(PROMPT + f"params {{ {params} }}")[0].get("logprobs") == expected


def test_what_it_lacks_is_warned_of_or_refused():
    _, encoded = encode(PROMPT + 'params { top_k: 3 store: true verbosity: "low" service_tier: "flex" }')
    assert [warning.path for warning in encoded.warnings] == ["params.top_k"]
    assert "3 more" in encoded.warnings[0].message
    assert refused(PROMPT + 'params { output_modalities: "audio" }') == (
        "PARAM_UNSUPPORTED",
        "params.output_modalities",
    )
    assert refused(PROMPT + "params { output_format { json_object {} } }") == (
        "PARAM_UNSUPPORTED",
        "params.output_format",
    )


def test_patches_headers_and_limits():
    body, encoded = encode(
        PROMPT + "options {"
        ' provider_json { key: "openai/completions" value: \'{"best_of":3}\' }'
        ' provider_headers { key: "openai" value { headers { name: "openai-beta" value: "b" } } } }'
    )
    assert body["best_of"] == 3
    assert encoded.headers == {"openai-beta": "b"}
    patch = "options {{ provider_json {{ key: \"openai\" value: '{}' }} }}"
    assert refused(PROMPT + patch.format('{"stream":false}'))[0] == "INVALID_REQUEST"
    assert refused(PROMPT + patch.format('{"max_tokens":0}')) == ("INVALID_REQUEST", "params.max_output_tokens")


# -- answers


def chunk(text=None, finish=None, logprobs=None, index=0, **more):
    choice = {"index": index, "finish_reason": finish, "logprobs": logprobs}
    if text is not None:
        choice["text"] = text
    return b"data: " + json.dumps({**HEAD, "choices": [choice], **more}).encode() + b"\n\n"


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
LAST = b"data: " + json.dumps({**HEAD, "choices": [], "usage": USAGE}).encode() + b"\n\n"
DONE = b"data: [DONE]\n\n"


def events_of(data, **more):
    stream = CompletionStream(OPENAI, model="d-2", **more)
    found = list(stream.feed(data))
    stream.check()
    return found + stream.close()


def fold(data):
    folded = Fold()
    folded.feed_events(events_of(data))
    return folded


def test_chunks_become_one_text():
    data = chunk(" upon") + chunk(" a") + chunk("", "length") + LAST + DONE
    folded = fold(data)
    [candidate] = folded.response().candidates
    assert candidate.message.parts[0].text.text == " upon a"
    assert candidate.end.reason == response_pb2.FINISH_REASON_MAX_OUTPUT_TOKENS
    assert candidate.end.native_reason == "length"
    assert (folded.start.model, folded.start.provider_response_id) == ("d-2", "cmpl-1")
    assert (folded.usage.input_tokens, folded.usage.output_tokens) == (1, 2)
    kinds = [event.WhichOneof("kind") for event in events_of(data)]
    assert kinds[:3] == ["start", "part_start", "text_delta"]
    assert "native_event" not in kinds


def test_any_split_of_the_bytes_gives_the_same_text():
    data = chunk("h\u00e9") + chunk("\U0001f600") + chunk("", "stop") + LAST + DONE
    for cut in range(len(data)):
        stream = CompletionStream(OPENAI)
        found = [*stream.feed(data[:cut]), *stream.feed(data[cut:]), *stream.close()]
        assert "".join(event.text_delta for event in found) == "h\u00e9\U0001f600"


def test_halves_of_a_character_in_two_chunks_join():
    data = chunk("a\ud83d") + chunk("\ude00") + chunk("", "stop") + DONE
    [candidate] = fold(data).response().candidates
    assert candidate.message.parts[0].text.text == "a\U0001f600"


def test_several_candidates():
    data = chunk("a") + chunk("b", index=1) + chunk("", "stop") + chunk("", "stop", index=1) + DONE
    texts = [candidate.message.parts[0].text.text for candidate in fold(data).response().candidates]
    assert texts == ["a", "b"]


def test_logprobs_of_parallel_lists_and_of_llama_cpp():
    legacy = {
        "tokens": ["On", "ce", "!"],
        "token_logprobs": [None, -0.5, -1],
        "top_logprobs": [None, {"ce": -0.5, "ly": -2.0}],
        "text_offset": [0, 2, 4],
    }
    modern = {"content": [{"token": "x", "logprob": -3.0, "bytes": [120]}]}
    data = chunk("Once!", None, legacy) + chunk("x", None, modern) + chunk("", "stop") + DONE
    [candidate] = fold(data).response().candidates
    tokens = candidate.logprobs[0].tokens
    assert [(token.token, token.logprob) for token in tokens] == [("ce", -0.5), ("!", -1), ("x", -3)]
    assert [(top.token, top.logprob) for top in tokens[0].top] == [("ce", -0.5), ("ly", -2)]
    assert not tokens[1].top
    assert tokens[2].raw_bytes == b"x"


def test_logprobs_without_numbers_are_none():
    data = chunk("a", None, {"tokens": ["a"], "top_logprobs": 7}) + chunk("", "stop") + DONE
    assert not fold(data).response().candidates[0].logprobs


def test_native_bytes_and_unknown_members():
    data = chunk("a", timings={"n": 1}) + chunk("", "stop") + DONE
    assert any(event.HasField("native_event") for event in events_of(data))
    assert events_of(data, native=True)[0].native == data.split(b"\n\n")[0].removeprefix(b"data: ")


@pytest.mark.parametrize(
    "data",
    [
        chunk("a"),
        chunk("a") + DONE,
        b"data: 7\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [7]}\n\n',
        b'data: {"error": {"message": "no"}}\n\n',
    ],
)
def test_what_is_no_whole_answer_is_a_failure(data):
    with pytest.raises(CallFailure):
        events_of(data)


def test_a_chunk_without_text_is_no_content():
    data = chunk() + chunk("a") + chunk("", "stop") + DONE
    assert fold(data).response().candidates[0].message.parts[0].text.text == "a"


def test_asking_for_what_happens_anyway_is_no_loss():
    poor = replace(OPENAI, params={"candidate_count": None})
    text = PROMPT + "params { candidate_count: 1 } options { unsupported_policy: UNSUPPORTED_POLICY_ERROR }"
    assert "n" not in encode(text, poor)[0]
