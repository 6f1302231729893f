"""Embeddings: what is asked for, and vectors whose bytes are the numbers that came."""

import json
import struct

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import embedding_pb2, response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_provider_cohere.codec import encode_embed, read_embeddings

TWO = 'inputs { text: "a" } inputs { text: "b" } params { input_type: "query" %s } %s'
META = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 5.0, "images": 1}, "warnings": ["old", 5]}


def parse(text):
    return text_format.Merge(text, embedding_pb2.EmbedRequest())


def body_of(text):
    return json.loads(encode_embed(parse(text), model="embed-v4.0").body)


def refused(text):
    with pytest.raises(CallFailure) as raised:
        body_of(text)
    return reason_name(raised.value.error.reason), raised.value.error.param


def read(request, embeddings, **more):
    parsed = parse(request)
    body = json.dumps({"id": "e1", "embeddings": embeddings, **more}).encode()
    return read_embeddings(body, parsed, encode_embed(parsed, model="m"), {"x-debug-trace-id": "d1"}, 0.0)


# -- requests


def test_texts():
    assert body_of(TWO % ("", "")) == {
        "model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("query", "search_query"), ("document", "search_document"), ("classification", "classification"),
     ("clustering", "clustering"), ("image", "image"), ("next_year", "next_year")],
)  # fmt: skip
def test_what_the_vectors_are_for(ours, theirs):
    assert body_of(f'inputs {{ text: "a" }} params {{ input_type: "{ours}" }}')["input_type"] == theirs


def test_the_purpose_is_not_guessed():
    assert refused('inputs { text: "a" }') == ("INVALID_REQUEST", "params.input_type")


def test_parameters():
    asked = 'dimensions: 256 truncate: "end" encodings: "int8" encodings: "float32" encodings: "int8"'
    body = body_of(TWO % (asked, ""))
    assert (body["output_dimension"], body["truncate"]) == (256, "END")
    assert body["embedding_types"] == ["int8", "float"]
    assert refused(TWO % ('encodings: "float16"', "")) == ("INVALID_REQUEST", "params.encodings[0]")


IMAGE = 'parts { media { mime_type: "image/png" data: "\\001" } }'


def test_images_and_mixtures():
    one = f"inputs {{ parts {{ {IMAGE} }} }}"
    assert body_of(one) == {
        "model": "embed-v4.0", "images": ["data:image/png;base64,AQ=="], "input_type": "image",
        "embedding_types": ["float"],
    }  # fmt: skip
    block = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQ=="}}
    text = {"type": "text", "text": "t"}
    mixed = f'inputs {{ parts {{ parts {{ text {{ text: "t" }} }} {IMAGE} }} }} inputs {{ text: "t" }}'
    body = body_of(mixed + 'params { input_type: "document" }')
    assert body["inputs"] == [{"content": [text, block]}, {"content": [text]}]


@pytest.mark.parametrize(
    ("each", "param"),
    [
        ("tokens { ids: 1 }", "inputs[0].tokens"),
        ("", "inputs[0]"),
        ("parts { }", "inputs[0]"),
        ('parts { parts { media { mime_type: "audio/wav" data: "x" } } }', "inputs[0].parts.parts[0]"),
        ("parts { parts { refusal { } } }", "inputs[0].parts.parts[0]"),
    ],
)
def test_inputs_that_would_shift_the_rows_are_never_left_out(each, param):
    text = f"inputs {{ {each} }} options {{ unsupported_policy: UNSUPPORTED_POLICY_WARN }}"
    assert refused(text) == ("INVALID_REQUEST", param)


def test_patches():
    patch = 'options { provider_json { key: "cohere/embed" value: "{\\"priority\\": 3}" } }'
    assert body_of(TWO % ("", patch))["priority"] == 3
    owned = 'options { provider_json { key: "cohere" value: "{\\"embedding_types\\": []}" } }'
    assert refused(TWO % ("", owned))[0] == "INVALID_REQUEST"
    patched = 'parts { text { text: "t" } provider_json { key: "cohere" value: "{\\"x\\":1}" } }'
    body = body_of(f'inputs {{ parts {{ {patched} {IMAGE} }} }} params {{ input_type: "query" }}')
    assert body["inputs"][0]["content"][0]["x"] == 1


# -- answers


@pytest.mark.parametrize(
    ("encoding", "native", "rows", "data", "dimensions"),
    [
        ("float32", "float", [[0.1, -1], [3.4028234663852886e38, 0]],
         struct.pack("<4f", 0.1, -1, 3.4028234663852886e38, 0), 2),
        ("int8", "int8", [[-128, 127], [0, 1]], bytes([128, 127, 0, 1]), 2),
        ("uint8", "uint8", [[0, 255], [1, 2]], bytes([0, 255, 1, 2]), 2),
        ("binary", "binary", [[-128, 127], [0, -1]], bytes([128, 127, 0, 255]), 16),
        ("ubinary", "ubinary", [[0, 255], [1, 2]], bytes([0, 255, 1, 2]), 16),
    ],
)  # fmt: skip
def test_every_encoding_is_packed_as_it_came(encoding, native, rows, data, dimensions):
    [found] = read(TWO % (f'encodings: "{encoding}"', ""), {native: rows}).sets
    assert found == embedding_pb2.EmbeddingSet(encoding=encoding, rows=2, dimensions=dimensions, data=data)


def test_sets_come_in_the_order_asked_for():
    asked = 'encodings: "uint8" encodings: "float32" encodings: "uint8"'
    sets = read(TWO % (asked, ""), {"float": [[1], [2]], "uint8": [[1], [2]]}).sets
    assert [one.encoding for one in sets] == ["uint8", "float32", "uint8"]


def test_order_of_bytes_on_other_machines(monkeypatch):
    monkeypatch.setattr("antiphon_provider_cohere.codec.embeddings.sys.byteorder", "big")
    [found] = read(TWO % ("", ""), {"float": [[1.0], [2.0]]}).sets
    assert found.data == struct.pack(">2f", 1.0, 2.0), "swapped: this machine is little endian"


def test_numbers_that_are_none():
    [found] = read(TWO % ("", ""), {"float": [[float("nan")], [float("inf")]]}).sets
    assert struct.unpack("<2f", found.data)[1] == float("inf")
    assert struct.unpack("<2f", found.data)[0] != struct.unpack("<2f", found.data)[0]


def test_the_rest_of_the_answer():
    answer = read(
        TWO % ("", ""),
        {"float": [[1], [2]]}, texts=["a", "b"], images=[{"width": 1}], response_type="embeddings_by_type", meta=META,
    )  # fmt: skip
    assert (answer.start.provider_response_id, answer.start.provider_request_id) == ("e1", "d1")
    assert answer.end.usage.input_tokens == 5
    assert dict(answer.end.usage.billed_units) == {"images": 1.0}
    assert json.loads(answer.end.usage.native_json) == META
    assert json.loads(answer.end.native_json) == {"images": [{"width": 1}], "response_type": "embeddings_by_type"}
    [warning] = answer.end.warnings
    assert (warning.message, warning.native_json, warning.kind) == ("old", '"old"', 0)
    assert answer.native == b""


def test_vectors_that_nobody_asked_for_are_kept_as_they_came():
    answer = read(TWO % ("", ""), {"float": [[1], [2]], "base64": ["AACAPw=="], "int8": None})
    assert json.loads(answer.end.native_json)["embeddings"]["base64"] == ["AACAPw=="]


def test_least_answer_native_bytes_and_own_warnings():
    headers = 'provider_headers { key: "cohere" value { headers { name: "cookie" value: "x" } } }'
    options = f"options {{ native_mode: NATIVE_MODE_ATTACH {headers} }}"
    answer = read(TWO % ("", options), {"float": [[1], [2]]}, meta={"warnings": 5})
    assert json.loads(answer.native)["id"] == "e1"
    assert answer.end.native_json == ""
    assert [warning.kind for warning in answer.end.warnings] == [response_pb2.Warning.KIND_PARAM_DROPPED]
    assert not read(TWO % ("", ""), {"float": [[1], [2]]}).end.HasField("usage")


@pytest.mark.parametrize(
    "embeddings",
    [
        5, {}, {"float": 5}, {"float": [[1]]}, {"float": [[1], 2]}, {"float": [[1], [2, 3]]}, {"float": [[1], ["x"]]},
        {"int8": [[1], [2]]},
    ],
)  # fmt: skip
def test_an_answer_that_is_none(embeddings):
    with pytest.raises(CallFailure) as raised:
        read(TWO % ("", ""), embeddings)
    error = raised.value.error
    assert (reason_name(error.reason), error.provider, error.http_status) == ("UPSTREAM_PROTOCOL", "cohere", 200)


@pytest.mark.parametrize("rows", [[[128], [0]], [[1.5], [0]]])
def test_components_out_of_range(rows):
    with pytest.raises(CallFailure):
        read(TWO % ('encodings: "int8"', ""), {"int8": rows})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"embeddings": null}'])
def test_bodies_that_are_no_answer(body):
    request = parse(TWO % ("", ""))
    with pytest.raises(CallFailure) as raised:
        read_embeddings(body, request, encode_embed(request, model="m"), {}, 0.0)
    assert reason_name(raised.value.error.reason) == "UPSTREAM_PROTOCOL"
