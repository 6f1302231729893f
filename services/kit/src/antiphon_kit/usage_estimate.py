"""Owns the guess at token counts where a provider reports none: about 4 UTF-8 bytes of text per token.

Images and other media are not counted: their price in tokens differs by model and resolution.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from antiphon.llm.v1 import (
    chat_pb2,
    completion_pb2,
    content_pb2,
    embedding_pb2,
    params_pb2,
    rerank_pb2,
    usage_pb2,
)

BYTES_PER_TOKEN: Final = 4

Input: TypeAlias = (
    chat_pb2.Prompt | completion_pb2.CompletionPrompt | embedding_pb2.EmbedRequest | rerank_pb2.RerankInput
)


def utf8_length(text: str) -> int:
    """Length in UTF-8, without encoding where that can be avoided."""
    return len(text) if text.isascii() else len(text.encode())


def estimate(given: Input, produced_bytes: int) -> usage_pb2.Usage:
    """GATEWAY_ESTIMATE of a call. What is not known stays unset: without text there is no count."""
    usage = usage_pb2.Usage(source=usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE)
    if tokens := _tokens(sum(utf8_length(text) for text in _texts(given))) + _given_tokens(given):
        usage.input_tokens = tokens
    if produced_bytes:
        usage.output_tokens = _tokens(produced_bytes)
    return usage


def _tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)


def _given_tokens(given: Input) -> int:
    """Tokens that the caller counted by itself, as it sent them."""
    if isinstance(given, completion_pb2.CompletionPrompt):
        return len(given.tokens.ids)
    if isinstance(given, embedding_pb2.EmbedRequest):
        return sum(len(each.tokens.ids) for each in given.inputs)
    return 0


def _texts(given: Input) -> Iterator[str]:
    if isinstance(given, chat_pb2.Prompt):
        yield from _prompt_texts(given)
    elif isinstance(given, completion_pb2.CompletionPrompt):
        yield given.text
        yield given.suffix
    elif isinstance(given, embedding_pb2.EmbedRequest):
        for each in given.inputs:
            yield each.text
            yield from _part_texts(each.parts.parts)
    else:
        for document in given.documents:
            # Each is read together with the query.
            yield given.query
            yield from _document_texts(document)


def _prompt_texts(prompt: chat_pb2.Prompt) -> Iterator[str]:
    for message in prompt.messages:
        yield from _part_texts(message.parts)
    for tool in prompt.tools:
        yield from _tool_texts(tool)
    for document in prompt.documents:
        yield from _document_texts(document)


def _part_texts(parts: Iterable[content_pb2.Part]) -> Iterator[str]:
    for part in parts:
        kind = part.WhichOneof("kind")
        if kind in ("text", "reasoning", "refusal"):
            yield getattr(part, kind).text
        elif kind == "tool_call":
            yield part.tool_call.name
            yield part.tool_call.input
        elif kind == "tool_result":
            yield part.tool_result.data_json
            yield from _part_texts(part.tool_result.parts)
        elif kind == "document":
            yield from _document_texts(part.document)
        elif kind == "compaction":
            yield part.compaction.summary
        elif kind == "native":
            yield part.native.native_json


def _document_texts(document: content_pb2.Document) -> Iterator[str]:
    yield document.title
    yield document.context
    yield document.text
    yield document.data_json
    yield from _part_texts(document.parts.parts)


def _tool_texts(tool: params_pb2.Tool) -> Iterator[str]:
    yield tool.function.name
    yield tool.function.description
    yield tool.function.input_schema_json
    yield tool.custom.name
    yield tool.custom.description
    yield tool.custom.grammar.definition
