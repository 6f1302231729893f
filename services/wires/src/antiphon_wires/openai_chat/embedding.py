"""Owns embeddings on this wire: a list of inputs out, packed vectors in.

https://developers.openai.com/api/reference/resources/embeddings, as typed by openai 3.57 (2026-11). Vectors are asked
for in base64, which holds the very bytes that the contract carries; servers that answer with numbers are understood.

Forbids itself: I/O, the SDK, the kit.
"""

import binascii
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from antiphon.llm.v1 import embedding_pb2, error_pb2, options_pb2, response_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_wires import classification, json_text, merge_patch
from antiphon_wires.losses import Losses
from antiphon_wires.openai_chat.dialect import Dialect
from antiphon_wires.openai_chat.request import Encoded, allowed_headers
from antiphon_wires.openai_chat.scope import Native, Scope, invalid
from antiphon_wires.openai_chat.usage import read_usage

FLOAT: Final = "float32"
_FLOAT_BYTES: Final = 4
_PROTECTED: Final[tuple[merge_patch.Path, ...]] = (("model",), ("api_key",), ("authorization",))
# `object` says what the URL says already.
_KNOWN: Final = frozenset({"object", "data", "model", "usage", "id", "created"})
_OF_A_VECTOR: Final = frozenset({"object", "index", "embedding"})
_encode: Final = msgspec.json.Encoder().encode


class _Vector(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _OnlyVector(_Vector, forbid_unknown_fields=True):
    object: Any = None
    """It says what the URL says already."""


_decode_vectors: Final = msgspec.json.Decoder(list[_Vector]).decode
_decode_only_vectors: Final = msgspec.json.Decoder(list[_OnlyVector]).decode


def encode_embed(request: embedding_pb2.EmbedRequest, dialect: Dialect, *, model: str) -> Encoded:
    """The native request. Raises CallFailure; `param` names the field."""
    losses = Losses(dialect.name, request.options.unsupported_policy)
    scope = Scope(dialect, losses, "")
    body: Native = {"model": model, "input": _inputs(request, losses), "encoding_format": "base64"}
    params, options = request.params, request.options
    if params.HasField("dimensions"):
        body["dimensions"] = params.dimensions
    if params.input_type:
        losses.hint("params.input_type", f"{dialect.name} makes one kind of vectors")
    if params.truncate not in ("", "none"):
        losses.hint("params.truncate", f"{dialect.name} refuses inputs that are too long")
    for index, encoding in enumerate(params.encodings):
        if encoding != FLOAT:
            losses.shape(f"params.encodings[{index}]", f"{dialect.name} sends {FLOAT} only")
    keys = dialect.keys_of("embeddings")
    merge_patch.apply(body, options.provider_json, keys, param="options.provider_json", protected=_PROTECTED)
    headers = allowed_headers(options.provider_headers, scope, keys)
    return Encoded(_encode(body), headers, tuple(losses.warnings()))


def _inputs(request: embedding_pb2.EmbedRequest, losses: Losses) -> list[Any]:
    found: list[Any] = []
    for index, given in enumerate(request.inputs):
        kind = given.WhichOneof("kind")
        if kind == "text":
            found.append(given.text)
        elif kind == "tokens":
            found.append(list(given.tokens.ids))
        else:
            # All or nothing: an input left out would shift the others.
            strict = Losses(losses.provider)
            strict.shape(f"inputs[{index}].parts", "it makes vectors of texts only")
        if type(found[-1]) is not type(found[0]):
            raise invalid(f"inputs[{index}]: texts and tokens cannot be mixed in one call", f"inputs[{index}]")
    return found


def decode_embed(
    body: bytes,
    request: embedding_pb2.EmbedRequest,
    dialect: Dialect,
    *,
    model: str,
    warnings: Iterable[response_pb2.Warning] = (),
    request_id: str = "",
    rate_limits: Iterable[error_pb2.RateLimit] = (),
) -> embedding_pb2.EmbedResponse:
    """The response, without what the kit fills in. Raises CallFailure for what is no answer to `request`."""
    fail = _Failures(dialect, model, request_id)
    members = _members(body, fail)
    vectors, more = _vectors(members["data"], fail)
    rows = _rows(vectors, len(request.inputs), fail)
    dimensions = len(rows[0]) // _FLOAT_BYTES
    response = embedding_pb2.EmbedResponse()
    for _ in range(max(1, list(request.params.encodings).count(FLOAT))):
        response.sets.add(encoding=FLOAT, rows=len(rows), dimensions=dimensions, data=b"".join(rows))
    _fill_start(response.start, members, request_id, rate_limits)
    end = response.end
    for warning in warnings:
        end.warnings.append(warning)  # type: ignore[arg-type]  # the stub takes Python's Warning
    if request.params.HasField("dimensions") and request.params.dimensions != dimensions:
        end.warnings.add(
            kind=response_pb2.Warning.KIND_PARAM_DROPPED,
            path="params.dimensions",
            message=f"{dialect.name} answered with {dimensions} components",
        )
    usage = members.get("usage")
    if usage is not None and isinstance(told := json_text.read(bytes(usage)), dict):
        end.usage.CopyFrom(read_usage(told, json_text.text_of(usage)))
    end.native_json = _unknown(members, more)
    if request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH:
        response.native = body
    return response


class _Failures:
    def __init__(self, dialect: Dialect, model: str, request_id: str) -> None:
        self._dialect = dialect
        self._model = model
        self._request_id = request_id

    def protocol(self, message: str) -> CallFailure:
        name = self._dialect.name
        return CallFailure(
            call_error(
                Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
                f"{name}: {message}",
                provider=name,
                model=self._model,
                native_type="embeddings",
                provider_request_id=self._request_id,
            )
        )

    def refused(self, body: bytes) -> CallFailure:
        name, rows = self._dialect.name, self._dialect.errors
        return CallFailure(classification.classify_in_stream(name, body, model=self._model, extra=rows))


def _members(body: bytes, fail: _Failures) -> json_text.Object:
    try:
        members = json_text.members(body)
    except (ValueError, AttributeError):
        raise fail.protocol("its answer is no JSON object") from None
    if "data" not in members:
        # Some servers answer 200 to what they refuse.
        raise fail.refused(body) if "error" in members else fail.protocol("its answer holds no vectors")
    return members


def _vectors(data: msgspec.Raw, fail: _Failures) -> tuple[Sequence[_Vector], str]:
    """The vectors as they came, and what their objects hold besides: a JSON list of objects, "" for nothing."""
    try:
        return _decode_only_vectors(data), ""
    except json_text.REFUSED:
        pass
    try:
        vectors = _decode_vectors(data)
    except json_text.REFUSED:
        raise fail.protocol("its vectors cannot be read") from None
    each = [json_text.members(bytes(raw)) for raw in json_text.elements(bytes(data))]
    return vectors, f"[{','.join(_object(one, _OF_A_VECTOR) or '{}' for one in each)}]"


def _rows(vectors: Sequence[_Vector], count: int, fail: _Failures) -> list[bytes]:
    """The vectors, packed, in the order of the inputs."""
    rows: dict[int, bytes] = {}
    for position, vector in enumerate(vectors):
        rows[position if vector.index is None else vector.index] = _packed(vector.embedding, fail)
    if len(vectors) != count or sorted(rows) != list(range(count)):
        raise fail.protocol(f"it sent {len(vectors)} vectors for {count} inputs, or numbered them wrongly")
    ordered = [rows[index] for index in range(count)]
    if not ordered[0] or len({len(row) for row in ordered}) != 1:
        raise fail.protocol("its vectors are empty or differ in length")
    return ordered


def _packed(embedding: Sequence[float] | str, fail: _Failures) -> bytes:
    try:
        if not isinstance(embedding, str):
            return struct.pack(f"<{len(embedding)}f", *embedding)
        row = binascii.a2b_base64(embedding, strict_mode=True)
    except (OverflowError, ValueError):
        raise fail.protocol("a vector is no base64, or holds a number beyond float32") from None
    if len(row) % _FLOAT_BYTES:
        raise fail.protocol(f"a vector of {len(row)} bytes holds no float32 numbers")
    return row


def _fill_start(
    start: response_pb2.ResponseStart,
    members: json_text.Object,
    request_id: str,
    rate_limits: Iterable[error_pb2.RateLimit],
) -> None:
    start.provider_request_id = request_id
    start.rate_limits.extend(rate_limits)
    for field, member in (("model", "model"), ("provider_response_id", "id")):
        if member in members and isinstance(value := json_text.read(bytes(members[member])), str):
            setattr(start, field, json_text.mend(value)[0])
    created = json_text.read(bytes(members.get("created", b"0")))
    if type(created) is int and 0 < created < 253402300800:
        start.create_time.FromSeconds(created)


def _unknown(members: json_text.Object, more: str) -> str:
    """Members without a meaning here as one object. `more`: those of the vectors, which become its `data`."""
    if not more:
        return _object(members, _KNOWN)
    return _object({**members, "data": msgspec.Raw(more.encode())}, _KNOWN - {"data"})


def _object(members: json_text.Object, known: frozenset[str]) -> str:
    """The members that are not `known`, verbatim; "" if there are none."""
    unknown = [f"{json_text.quote(name)}:{json_text.text_of(members[name])}" for name in members if name not in known]
    return f"{{{','.join(unknown)}}}" if unknown else ""
