"""Owns embeddings: a list of inputs out, packed vectors in.

https://docs.cohere.com/reference/embed, as typed by cohere 7.3 (2026-11).
"""

import sys
from array import array
from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

from antiphon.llm.v1 import content_pb2, embedding_pb2, options_pb2
from antiphon_provider_cohere.codec.envelope import fill_end, fill_start, read_object, unreadable
from antiphon_provider_cohere.codec.scope import Encoded, Native, Scope, image_url, invalid, text_block
from antiphon_wires.losses import Losses

_PURPOSES: Final = {"query": "search_query", "document": "search_document"}
_NATIVE: Final = {"float32": "float", "int8": "int8", "uint8": "uint8", "binary": "binary", "ubinary": "ubinary"}
_TYPECODES: Final = {"float32": "f", "int8": "b", "uint8": "B", "binary": "b", "ubinary": "B"}
_BITS: Final = frozenset({"binary", "ubinary"})
# `texts` repeats the request.
_READ: Final = ("texts",)


def encode_embed(request: embedding_pb2.EmbedRequest, *, model: str) -> Encoded:
    """The native request. Raises INVALID_REQUEST, or PARAM_UNSUPPORTED; `param` names the field."""
    scope = Scope("embed", Losses("Cohere", request.options.unsupported_policy))
    params = request.params
    body: Native = {"model": model, **_inputs(request, scope)}
    purpose = params.input_type or ("image" if "images" in body else "")
    if not purpose:
        # Vectors for queries and for documents differ, so there is no safe guess.
        raise invalid(
            "params.input_type: Cohere needs to know what the vectors are for; set it to query, document, "
            "classification, clustering or image",
            "params.input_type",
        )
    body["input_type"] = _PURPOSES.get(purpose, purpose)
    body["embedding_types"] = list(dict.fromkeys(_NATIVE[encoding] for encoding in encodings(request)))
    if params.HasField("dimensions"):
        body["output_dimension"] = params.dimensions
    if params.truncate:
        body["truncate"] = params.truncate.upper()
    # Which formats come back decides what is read.
    scope.finish(body, request.options, (("embedding_types",),))
    return scope.encoded(body, request.options)


def encodings(request: embedding_pb2.EmbedRequest) -> list[str]:
    """The number formats that are wanted. Raises INVALID_REQUEST for one that there is not."""
    wanted = list(request.params.encodings) or ["float32"]
    for index, encoding in enumerate(wanted):
        if encoding not in _NATIVE:
            path = f"params.encodings[{index}]"
            raise invalid(f"{path}: no format {encoding!r}; use {', '.join(_NATIVE)}", path)
    return wanted


def _inputs(request: embedding_pb2.EmbedRequest, scope: Scope) -> Native:
    """Texts alone and images alone have members of their own, which older models take too."""
    kinds = {each.WhichOneof("kind") for each in request.inputs}
    if kinds == {"text"}:
        return {"texts": [each.text for each in request.inputs]}
    contents = [_content(each, f"inputs[{index}]", scope) for index, each in enumerate(request.inputs)]
    if all(len(blocks) == 1 and blocks[0]["type"] == "image_url" for blocks in contents):
        return {"images": [blocks[0]["image_url"]["url"] for blocks in contents]}
    return {"inputs": [{"content": blocks} for blocks in contents]}


def _content(each: embedding_pb2.EmbedInput, path: str, scope: Scope) -> list[Native]:
    kind = each.WhichOneof("kind")
    if kind == "text":
        return [text_block(each.text)]
    if kind == "tokens":
        # Left out it would shift the rows, so no policy lets it go.
        raise invalid(f"{path}.tokens: Cohere embeds text and images, no tokens", f"{path}.tokens")
    blocks = [_block(part, f"{path}.parts.parts[{index}]", scope) for index, part in enumerate(each.parts.parts)]
    if not blocks:
        raise invalid(f"{path} is empty; set text or parts", path)
    return blocks


def _block(part: content_pb2.Part, path: str, scope: Scope) -> Native:
    kind = part.WhichOneof("kind")
    native: Native | None = None
    if kind == "text":
        native = text_block(part.text.text)
    elif kind == "media" and (url := image_url(part.media)) is not None:
        native = {"type": "image_url", "image_url": {"url": url}}
    if native is None:
        raise invalid(f"{path}: Cohere embeds text and images by data or address only", path)
    scope.patch(native, part.provider_json, path)
    return native


def read_embeddings(
    body: bytes, request: embedding_pb2.EmbedRequest, encoded: Encoded, headers: Mapping[str, str], now_s: float
) -> embedding_pb2.EmbedResponse:
    """The vectors of an answer with status 200. Raises UPSTREAM_PROTOCOL when there is not one for each input."""
    value = read_object(body)
    embeddings = value.get("embeddings")
    if not isinstance(embeddings, dict):
        raise unreadable("its answer holds no embeddings by type")
    response = embedding_pb2.EmbedResponse()
    for encoding in encodings(request):
        response.sets.append(_pack(embeddings.get(_NATIVE[encoding]), encoding, len(request.inputs)))
    fill_start(response.start, value, headers, now_s)
    read = {_NATIVE[encoding] for encoding in encodings(request)}
    others = {name: rows for name, rows in embeddings.items() if name not in read and rows is not None}
    fill_end(response.end, value, body, (*_READ, *(() if others else ("embeddings",))), encoded.warnings)
    if request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH:
        response.native = body
    return response


def _pack(rows: Any, encoding: str, count: int) -> embedding_pb2.EmbeddingSet:
    if not isinstance(rows, list) or len(rows) != count or not all(isinstance(row, list) for row in rows):
        raise unreadable(f"its answer does not hold one {encoding} vector for each input")
    widths = {len(row) for row in rows}
    try:
        numbers = array(_TYPECODES[encoding], chain.from_iterable(rows))
    except (TypeError, OverflowError):
        raise unreadable(f"a component of a vector is no {encoding} number") from None
    if len(widths) != 1:
        raise unreadable("its vectors differ in length")
    if sys.byteorder == "big":
        numbers.byteswap()
    (width,) = widths
    return embedding_pb2.EmbeddingSet(
        encoding=encoding,
        rows=count,
        dimensions=width * 8 if encoding in _BITS else width,
        data=numbers.tobytes(),
    )
