"""Owns documents on their way to the vendor: what can be cited by character, page, block or search result."""

from antiphon.llm.v1 import content_pb2
from antiphon_provider_anthropic.codec import blocks, media
from antiphon_provider_anthropic.codec.scope import NAME, Native, Scope, invalid


def encode_document(document: content_pb2.Document, path: str, scope: Scope) -> Native | None:
    """A `document` block, or a `search_result` where the document is text that came from somewhere."""
    body = document.WhichOneof("body")
    if body is None:
        raise invalid(f"{path} has no body; set text, data_json, media or parts", path)
    if texts := _search_texts(document, body):
        return _search_result(document, texts, scope)
    source = _source(document, body, path, scope)
    if source is None:
        return None
    native: Native = {"type": "document", "source": source}
    for member, value in (("title", document.title), ("context", document.context)):
        if value:
            native[member] = value
    if document.source_uri:
        scope.losses.hint(f"{path}.source_uri", f"{NAME} takes it for plain texts without context only")
    scope.documents.append(document.id)
    return _cited(native, document)


def _cited(native: Native, document: content_pb2.Document) -> Native:
    if document.HasField("enable_citations"):
        native["citations"] = {"enabled": document.enable_citations}
    return native


def _search_texts(document: content_pb2.Document, body: str) -> list[str]:
    """Its texts, if it can be a search result: nothing but text, from somewhere, without remarks."""
    if not document.source_uri or document.context:
        return []
    if body == "text":
        return [document.text] if document.text else []
    texts = [part.text.text for part in document.parts.parts]
    return texts if all(texts) else []


def _search_result(document: content_pb2.Document, texts: list[str], scope: Scope) -> Native:
    # https://platform.claude.com/docs/en/build-with-claude/search-results (2026-11): the title is required.
    native: Native = {
        "type": "search_result",
        "source": document.source_uri,
        "title": document.title or document.source_uri,
        "content": [blocks.text(value) for value in texts],
    }
    scope.search_results.append(document.id)
    return _cited(native, document)


def _source(document: content_pb2.Document, body: str, path: str, scope: Scope) -> Native | None:
    if body == "text":
        return media.text_source(document.text)
    if body == "data_json":
        scope.losses.emulated(f"{path}.data_json", "the fields are sent as JSON text")
        return media.text_source(document.data_json)
    if body == "parts":
        return {"type": "content", "content": _blocks(document.parts, f"{path}.parts", scope)}
    block = media.encode_media(document.media, f"{path}.media", scope)
    if block is None:
        return None
    if block["type"] == "image":
        return {"type": "content", "content": [block]}
    source: Native = block["source"]
    return source


def _blocks(inner: content_pb2.PartList, path: str, scope: Scope) -> list[Native]:
    encoded = []
    for index, part in enumerate(inner.parts):
        where = f"{path}.parts[{index}]"
        block = None
        if part.WhichOneof("kind") == "text":
            block = blocks.text(part.text.text)
        elif part.media.mime_type.startswith("image/"):
            block = media.encode_media(part.media, f"{where}.media", scope)
        else:
            scope.losses.shape(where, "a document holds blocks of text and images", part=True)
        if block is not None:
            encoded.append(blocks.finish(block, part, where, scope))
    return encoded
