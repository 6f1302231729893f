"""Embeddings: inputs out, packed vectors in, and nothing that is no answer."""

import base64
import json
import struct
from dataclasses import replace

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import embedding_pb2, error_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_wires.openai_chat.codec import OPENAI, decode_embed, encode_embed

TWO = 'inputs { text: "a" } inputs { text: "b" } '
WARNING = response_pb2.Warning(path="params.truncate")


def parse(text):
    return text_format.Parse(text, embedding_pb2.EmbedRequest())


def encode(text):
    encoded = encode_embed(parse(text), OPENAI, model="e-1")
    return json.loads(encoded.body), encoded


def refused(text):
    with pytest.raises(CallFailure) as raised:
        encode(text)
    return reason_name(raised.value.error.reason), raised.value.error.param


def test_texts_and_tokens():
    body, encoded = encode(TWO)
    assert body == {"model": "e-1", "input": ["a", "b"], "encoding_format": "base64"}
    assert not encoded.warnings
    assert encode("inputs { tokens { ids: [1, 2] } } inputs { tokens { ids: 3 } }")[0]["input"] == [[1, 2], [3]]


def test_params_patches_and_headers():
    body, encoded = encode(
        TWO + 'params { dimensions: 64 truncate: "none" encodings: "float32" } options {'
        ' provider_json { key: "openai" value: \'{"user":"u","encoding_format":"float"}\' }'
        ' provider_json { key: "openai/embeddings" value: \'{"user":"v"}\' }'
        ' provider_json { key: "openai/chat" value: \'{"x":1}\' }'
        ' provider_headers { key: "openai/embeddings" value { headers { name: "OpenAI-Beta" value: "b" } } } }'
    )
    assert body == {"model": "e-1", "input": ["a", "b"], "encoding_format": "float", "dimensions": 64, "user": "v"}
    assert encoded.headers == {"openai-beta": "b"}
    assert not encoded.warnings


def test_what_it_lacks_is_warned_of_or_refused():
    _, encoded = encode(TWO + 'params { input_type: "query" truncate: "end" }')
    assert [warning.path for warning in encoded.warnings] == ["params.input_type", "params.truncate"]
    lacking = TWO + 'params { encodings: ["float32", "int8"] } '
    assert refused(lacking) == ("PARAM_UNSUPPORTED", "params.encodings[1]")
    _, encoded = encode(lacking + "options { unsupported_policy: UNSUPPORTED_POLICY_WARN }")
    assert [warning.path for warning in encoded.warnings] == ["params.encodings[1]"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs { tokens { ids: 1 } } " + TWO, ("INVALID_REQUEST", "inputs[1]")),
        (
            TWO + 'inputs { parts { parts { text { text: "a" } } } }'
            " options { unsupported_policy: UNSUPPORTED_POLICY_WARN }",
            ("PARAM_UNSUPPORTED", "inputs[2].parts"),
        ),
        (
            TWO + 'options { provider_json { key: "openai" value: \'{"model":"x"}\' } }',
            ("INVALID_REQUEST", 'options.provider_json["openai"]'),
        ),
    ],
)
def test_refused_requests_name_the_field(text, expected):
    assert refused(text) == expected


# -- answers


def vector(*numbers, index=None, form="base64"):
    value = list(numbers)
    if form == "base64":
        value = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    return {"object": "embedding", "embedding": value} | ({} if index is None else {"index": index})


def answer(*data, **more):
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return json.dumps({"object": "list", "data": list(data), "model": "e-1-x", "usage": usage, **more}).encode()


def decode(body, text=TWO, **more):
    return decode_embed(body, parse(text), OPENAI, model="e-1", **more)


@pytest.mark.parametrize("form", ["base64", "float"])
def test_vectors_are_packed_in_the_order_of_the_inputs(form):
    body = answer(vector(0.5, -2.0, index=1, form=form), vector(0.1, 3.5, index=0, form=form))
    response = decode(body)
    [vectors] = response.sets
    assert (vectors.encoding, vectors.rows, vectors.dimensions) == ("float32", 2, 2)
    assert vectors.data == struct.pack("<4f", 0.1, 3.5, 0.5, -2.0)
    assert response.start.model == "e-1-x"
    usage = response.end.usage
    assert (usage.input_tokens, usage.source) == (5, usage_pb2.Usage.SOURCE_PROVIDER)
    assert usage.native_json == '{"prompt_tokens": 5, "total_tokens": 5}'
    assert not usage.HasField("output_tokens")
    assert not response.end.native_json
    assert not response.native


def test_without_numbers_the_order_is_that_of_the_answer():
    assert decode(answer(vector(1.0), vector(2.0))).sets[0].data == struct.pack("<2f", 1.0, 2.0)


def test_half_a_code_point_in_an_id_is_replaced():
    assert decode(answer(vector(1.0), vector(2.0), id="a\ud83d")).start.provider_response_id == "a\ufffd"


def test_one_set_per_wanted_encoding():
    body = answer(vector(1.0), vector(2.0))
    twice = decode(body, TWO + 'params { encodings: ["float32", "float32"] }')
    warned = decode(body, TWO + 'params { encodings: "int8" }', warnings=[WARNING])
    assert [each.rows for each in twice.sets] == [2, 2]
    assert [each.encoding for each in warned.sets] == ["float32"]
    assert [warning.path for warning in warned.end.warnings] == ["params.truncate"]


def test_facts_around_the_vectors():
    body = answer(vector(1.0), vector(2.0), id="emb-1", created=5, timings={"a": 1.10}, model=None, usage=None)
    limits = [error_pb2.RateLimit(name="tokens", remaining=7)]
    text = TWO + "options { native_mode: NATIVE_MODE_ATTACH }"
    response = decode(body, text, request_id="req-1", rate_limits=limits)
    assert response.native == body
    assert (response.start.provider_response_id, response.start.provider_request_id) == ("emb-1", "req-1")
    assert response.start.rate_limits[0].remaining == 7
    assert response.start.model == ""
    assert response.start.create_time.seconds == 5
    assert response.end.native_json == '{"timings":{"a": 1.1}}'
    assert not response.end.HasField("usage")
    assert not decode(json.dumps({"data": [vector(1.0)] * 2}).encode()).end.HasField("usage")


def test_what_is_new_in_a_vector_is_kept_as_it_stands():
    body = answer(vector(1.0), {**vector(2.0), "score": 1.50}, more=[1]).replace(b"1.5}", b"1.50}")
    response = decode(body)
    assert response.sets[0].data == struct.pack("<2f", 1.0, 2.0)
    assert response.end.native_json == '{"data":[{},{"score":1.50}],"more":[1]}'


def test_other_dimensions_than_asked_for_are_told():
    body = answer(vector(1.0, 2.0), vector(3.0, 4.0))
    [warning] = decode(body, TWO + "params { dimensions: 3 }").end.warnings
    assert (warning.kind, warning.path) == (response_pb2.Warning.KIND_PARAM_DROPPED, "params.dimensions")
    assert "2 components" in warning.message
    assert not decode(body, TWO + "params { dimensions: 2 }").end.warnings


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b"{}",
        b'{"data": 7}',
        b'{"data": [{"embedding": [1, null]}, {"embedding": [1, 2]}]}',
        b'{"data": [{"embedding": {}}, {"embedding": [1]}]}',
        b'{"data": [{"index": 0}, {"index": 1}]}',
        answer(),
        answer(vector(1.0)),
        answer(vector(1.0), vector(1.0), vector(1.0)),
        answer(vector(1.0, index=1), vector(1.0, index=2)),
        answer(vector(1.0, index=0), vector(1.0, index=0)),
        answer(vector(1.0), vector(1.0, 2.0)),
        answer(vector(), vector()),
        answer({"embedding": "AAA"}, {"embedding": "AAAA"}),
        answer({"embedding": "AAAA"}, {"embedding": "AAAA"}),
        answer({"embedding": "****"}, {"embedding": "****"}),
        answer({"embedding": "\u00e9"}, {"embedding": "AAAA"}),
        answer({"embedding": [1e300]}, {"embedding": [1.0]}),
    ],
)
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(CallFailure) as raised:
        decode(body, request_id="req-1")
    error = raised.value.error
    assert reason_name(error.reason) == "UPSTREAM_PROTOCOL"
    assert (error.provider, error.model, error.provider_request_id) == ("openai", "e-1", "req-1")


def test_an_error_under_status_200_is_read():
    body = b'{"error": {"code": "insufficient_quota", "message": "no"}}'
    with pytest.raises(CallFailure) as raised:
        decode_embed(body, parse(TWO), replace(OPENAI, name="x"), model="m")
    assert (reason_name(raised.value.error.reason), raised.value.error.provider) == ("QUOTA_EXHAUSTED", "x")
