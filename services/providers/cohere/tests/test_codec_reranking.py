"""Rerank: documents are strings, positions never shift, ties keep the order of the request."""

import json

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import rerank_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_provider_cohere.codec import encode_rerank, read_rerank

THREE = 'input { query: "q" documents { text: "a" } documents { text: "" } documents { text: "c" } }'


def parse(text):
    return text_format.Merge(text, rerank_pb2.RerankRequest())


def encode(text):
    encoded = encode_rerank(parse(text), model="rerank-v4.0")
    return json.loads(encoded.body), [warning.path for warning in encoded.warnings]


def read(text, results, **more):
    request = parse(text)
    body = results if isinstance(results, bytes) else json.dumps({"id": "r1", "results": results, **more}).encode()
    return read_rerank(body, request, encode_rerank(request, model="m"), {}, 0.0)


def scored(*pairs):
    return [{"index": index, "relevance_score": score} for index, score in pairs]


def test_the_request():
    body, warnings = encode(THREE + "params { top_n: 2 max_tokens_per_document: 512 }")
    assert body == {
        "model": "rerank-v4.0", "query": "q", "documents": ["a", "", "c"], "top_n": 2, "max_tokens_per_doc": 512,
    }  # fmt: skip
    assert warnings == []


def test_documents_are_strings():
    body, warnings = encode(
        'input { documents { title: "T" context: "C" source_uri: "https://s" text: "x" } '
        'documents { data_json: "{\\"a\\":  1.0}" } documents { parts { parts { text { text: "p" } } } } '
        'documents { media { mime_type: "text/plain" data: "m" } } }'
    )
    assert body["documents"] == ["title: T\ncontext: C\nurl: https://s\nx", '{"a":  1.0}', "p", "m"]
    assert warnings == ["input.documents[0]"]


def test_what_is_left_out_leaves_its_place():
    text = 'input { documents { media { mime_type: "application/pdf" data: "x" } } documents { text: "b" } }'
    with pytest.raises(CallFailure) as raised:
        encode(text)
    assert raised.value.error.param == "input.documents[0].media"
    body, warnings = encode(text + "options { unsupported_policy: UNSUPPORTED_POLICY_WARN }")
    assert body["documents"] == ["", "b"]
    assert warnings == ["input.documents[0].media"]


def test_patches():
    patch = 'options { provider_json { key: "cohere/rerank" value: "{\\"relevant_spans\\": {\\"max_spans\\": 1}}" } }'
    assert encode(THREE + patch)[0]["relevant_spans"] == {"max_spans": 1}
    owned = 'options { provider_json { key: "cohere" value: "{\\"documents\\": []}" } }'
    with pytest.raises(CallFailure):
        encode(THREE + owned)


def test_best_first_and_ties_in_the_order_of_the_request():
    results = read(THREE, scored((2, 0.5), (0, 0.5), (1, 0.9))).results
    assert [(one.index, one.score) for one in results] == [(1, 0.9), (0, 0.5), (2, 0.5)]


def test_results_are_verbatim():
    one = b'{"index":  1, "relevance_score": 1, "relevant_spans": [{"start": 0, "end": 1, "score": 1e400}]}'
    [result] = read(THREE, b'{"results": [' + one + b"]}").results
    assert result.native_json.encode() == one
    assert (result.index, result.score) == (1, 1.0)


def test_the_rest_of_the_answer():
    meta = {"billed_units": {"search_units": 1}, "api_version": {"version": "2"}}
    answer = read(THREE + "options { native_mode: NATIVE_MODE_ATTACH }", scored((0, 0.1)), meta=meta, extra=[1])
    assert answer.start.provider_response_id == "r1"
    assert dict(answer.end.usage.billed_units) == {"search_units": 1.0}
    assert not answer.end.usage.HasField("input_tokens")
    assert answer.end.native_json == '{"extra":[1]}'
    assert json.loads(answer.native)["extra"] == [1]
    assert read(THREE, []).native == b""


@pytest.mark.parametrize(
    "results",
    [5, [5], [{}], scored((3, 0.1)), scored((-1, 0.1)), scored((0, 0.1), (0, 0.2)), scored((0, "x")),
     scored((True, 0.1)), scored((2**31, 0.1)), scored((0, float("nan")))],
)  # fmt: skip
def test_an_answer_that_is_none(results):
    with pytest.raises(CallFailure) as raised:
        read(THREE, results)
    assert reason_name(raised.value.error.reason) == "UPSTREAM_PROTOCOL"
