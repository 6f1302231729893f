"""Owns rerank: a query and documents out, scores in.

https://docs.cohere.com/reference/rerank, as typed by cohere 7.3 (2026-11).
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from antiphon.llm.v1 import content_pb2, options_pb2, rerank_pb2
from antiphon_provider_cohere.codec.documents import document_text
from antiphon_provider_cohere.codec.envelope import fill_end, fill_start, read_object, unreadable
from antiphon_provider_cohere.codec.scope import Encoded, Native, Scope
from antiphon_wires import json_text
from antiphon_wires.losses import Losses

_READ: Final = ("results",)


def encode_rerank(request: rerank_pb2.RerankRequest, *, model: str) -> Encoded:
    """The native request. Raises INVALID_REQUEST, or PARAM_UNSUPPORTED; `param` names the field."""
    scope = Scope("rerank", Losses("Cohere", request.options.unsupported_policy))
    documents = [
        _text(document, f"input.documents[{index}]", scope) for index, document in enumerate(request.input.documents)
    ]
    body: Native = {"model": model, "query": request.input.query, "documents": documents}
    if request.params.HasField("top_n"):
        body["top_n"] = request.params.top_n
    if request.params.HasField("max_tokens_per_document"):
        body["max_tokens_per_doc"] = request.params.max_tokens_per_document
    # Another list of documents would make the positions of the answer mean something else.
    scope.finish(body, request.options, (("documents",),))
    return scope.encoded(body, request.options)


def _text(document: content_pb2.Document, path: str, scope: Scope) -> str:
    """Documents are strings. What is left out stays as an empty one: positions must not shift."""
    if document.WhichOneof("body") == "data_json":
        text: str | None = document.data_json
    else:
        text = document_text(document, path, scope)
    named = (("title", document.title), ("context", document.context), ("url", document.source_uri))
    head = "".join(f"{name}: {value}\n" for name, value in named if value)
    if head:
        scope.losses.emulated(path, "title, context and source stand before the text; Cohere ranks plain strings")
    return head + (text or "")


def read_rerank(
    body: bytes, request: rerank_pb2.RerankRequest, encoded: Encoded, headers: Mapping[str, str], now_s: float
) -> rerank_pb2.RerankResponse:
    """The scores of an answer with status 200, best first; ties keep the order of the request.

    Raises UPSTREAM_PROTOCOL when a result names no document of the request, or one twice.
    """
    value = read_object(body)
    listed = value.get("results")
    if not isinstance(listed, list):
        raise unreadable("its answer holds no results")
    raws = json_text.elements(bytes(json_text.dig(body, "results")))
    results = [_result(one, json_text.text_of(raw)) for one, raw in zip(listed, raws, strict=True)]
    places = [result.index for result in results]
    if len(set(places)) != len(places) or any(place >= len(request.input.documents) for place in places):
        raise unreadable("a result names no document of the request, or one twice")
    results.sort(key=lambda result: (-result.score, result.index))
    response = rerank_pb2.RerankResponse(results=results)
    fill_start(response.start, value, headers, now_s)
    fill_end(response.end, value, body, _READ, encoded.warnings)
    if request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH:
        response.native = body
    return response


def _result(one: Any, native_json: str) -> rerank_pb2.RerankResult:
    if isinstance(one, dict):
        index, score = one.get("index"), one.get("relevance_score")
        if type(index) is int and 0 <= index < 2**31 and isinstance(score, int | float) and math.isfinite(score):
            return rerank_pb2.RerankResult(index=index, score=score, native_json=native_json)
    raise unreadable("a result has no index or no score")
