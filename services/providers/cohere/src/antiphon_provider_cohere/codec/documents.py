"""Owns documents on their way to Cohere: objects whose members the model reads and cites."""

from antiphon.llm.v1 import content_pb2
from antiphon_provider_cohere.codec.scope import Native, Scope
from antiphon_wires import json_text


def encode_document(document: content_pb2.Document, path: str, scope: Scope) -> Native | None:
    """{"data": {...}, "id": ...}; None if it was left out with a warning.

    Members of `data` are free; Cohere's own examples say title, text and url
    (https://docs.cohere.com/v2/docs/retrieval-augmented-generation-rag, 2026-11).
    """
    data = _data(document, path, scope)
    if data is None:
        return None
    if document.HasField("enable_citations") and not document.enable_citations:
        why = "Cohere cites all documents or none; options.provider_json can set its `citation_options`"
        scope.losses.hint(f"{path}.enable_citations", why)
    return {"data": data, "id": document.id} if document.id else {"data": data}


def _data(document: content_pb2.Document, path: str, scope: Scope) -> Native | None:
    named = (("title", document.title), ("context", document.context), ("url", document.source_uri))
    data: Native = {name: value for name, value in named if value}
    if document.WhichOneof("body") == "data_json":
        # The caller's own members win, and stay byte for byte.
        return data | json_text.caller_object(document.data_json, f"{path}.data_json")
    text = document_text(document, path, scope)
    return None if text is None else data | {"text": text}


def document_text(document: content_pb2.Document, path: str, scope: Scope) -> str | None:
    """The body of a document as one text; None if it was left out with a warning."""
    body = document.WhichOneof("body")
    if body == "parts":
        return _joined(document.parts, f"{path}.parts", scope)
    if body == "media":
        media = document.media
        if media.mime_type.startswith("text/") and media.data:
            return media.data.decode("utf-8", "replace")
        scope.losses.shape(f"{path}.media", "Cohere takes documents as text or JSON only", part=True)
        return None
    return document.text


def _joined(blocks: content_pb2.PartList, path: str, scope: Scope) -> str:
    if len(blocks.parts) > 1:
        scope.losses.emulated(path, "its blocks are sent as one text; Cohere cannot cite them one by one")
    texts = []
    for index, part in enumerate(blocks.parts):
        if part.WhichOneof("kind") == "text":
            texts.append(part.text.text)
        else:
            scope.losses.shape(f"{path}.parts[{index}]", "only text blocks of a document can be sent", part=True)
    return "\n".join(texts)
