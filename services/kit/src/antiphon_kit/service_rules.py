"""Owns what requests of the services beside chat must look like before an adapter sees them.

Forbids itself: what only one provider or model minds. Every finding is INVALID_REQUEST with the path of the field.
"""

from typing import Final

from antiphon.llm.v1 import completion_pb2, content_pb2, embedding_pb2, options_pb2, rerank_pb2
from antiphon_kit.request_rules import check_model, check_options, check_params, check_stream, check_unique, invalid

# There are no roles, hence nobody to call a tool or to think aloud.
_NOT_FOR_TEXTS: Final = ("reasoning", "tool_choice", "parallel_tool_calls", "max_tool_calls")


def validate_embedding(request: embedding_pb2.EmbedRequest, model: str) -> None:
    """Raise CallFailure for the first thing wrong with a request of Embed."""
    check_model(model)
    if not request.inputs:
        raise invalid("inputs", "empty; send at least one input")
    for index, given in enumerate(request.inputs):
        _embed_input(given, f"inputs[{index}]")
    params = request.params
    if params.HasField("dimensions"):
        _positive(params.dimensions, "params.dimensions")
    for index, encoding in enumerate(params.encodings):
        if not encoding:
            raise invalid(f"params.encodings[{index}]", 'empty; use "float32" or another number format')
    _options(request)


def _embed_input(given: embedding_pb2.EmbedInput, path: str) -> None:
    kind = given.WhichOneof("kind")
    if kind is None:
        raise invalid(path, "empty; give it a text, tokens or parts")
    if kind == "tokens":
        _token_ids(given.tokens, f"{path}.tokens")
    elif kind == "parts" and not given.parts.parts:
        raise invalid(f"{path}.parts", "empty; give it at least one part")


def validate_rerank(request: rerank_pb2.RerankRequest, model: str) -> None:
    """Raise CallFailure for the first thing wrong with a request of Rerank."""
    check_model(model)
    given = request.input
    if not given.query:
        raise invalid("input.query", "empty; say what the documents are to answer")
    if not given.documents:
        raise invalid("input.documents", "empty; send at least one document")
    for index, document in enumerate(given.documents):
        if document.WhichOneof("body") is None:
            raise invalid(f"input.documents[{index}]", "empty; give it a text or another body")
    check_unique([document.id for document in given.documents if document.id], "input.documents", "document id")
    for name in ("top_n", "max_tokens_per_document"):
        if request.params.HasField(name):
            _positive(getattr(request.params, name), f"params.{name}")
    _options(request)


def validate_completion(request: completion_pb2.StreamCompleteRequest, model: str) -> None:
    """Raise CallFailure for the first thing wrong with a request of Complete or StreamComplete."""
    check_model(model)
    kind = request.prompt.WhichOneof("input")
    if kind is None:
        raise invalid("prompt.text", "not set; set it to the text to complete, which may be empty, or set tokens")
    if kind == "tokens":
        _token_ids(request.prompt.tokens, "prompt.tokens")
    if request.HasField("params"):
        for name in _NOT_FOR_TEXTS:
            if request.params.HasField(name):
                raise invalid(f"params.{name}", "does not apply to text completion; unset it, or use ChatService")
        check_params(request.params)
    if request.HasField("stream"):
        check_stream(request.stream)
    _options(request)


def _token_ids(tokens: content_pb2.TokenIds, path: str) -> None:
    if not tokens.ids:
        raise invalid(f"{path}.ids", "empty; give it at least one token")
    for index, token in enumerate(tokens.ids):
        if token < 0:
            raise invalid(f"{path}.ids[{index}]", "negative; use ids of the model's tokenizer")


def _positive(number: int, path: str) -> None:
    if number < 1:
        raise invalid(path, f"{number} is out of range; use a number >= 1, or unset it")


def _options(
    request: embedding_pb2.EmbedRequest | rerank_pb2.RerankRequest | completion_pb2.StreamCompleteRequest,
) -> None:
    if request.HasField("options"):
        options: options_pb2.CallOptions = request.options
        check_options(options)
