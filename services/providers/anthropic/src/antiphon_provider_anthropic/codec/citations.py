"""Owns the reading of citations: every kind of location, with its verbatim JSON for replay.

A citation belongs to its whole text block, so it has no span of its own. Characters are code points, pages count from
1 (https://platform.claude.com/docs/en/build-with-claude/citations, 2026-11).
"""

from typing import Any, Final

from antiphon.llm.v1 import content_pb2
from antiphon_provider_anthropic.codec.scope import NAME, Sources

_POSITIONS: Final = {
    "char_location": (("start_char", "start_char_index"), ("end_char", "end_char_index")),
    "page_location": (("start_page", "start_page_number"), ("end_page", "end_page_number")),
    "content_block_location": (("start_block", "start_block_index"), ("end_block", "end_block_index")),
    "search_result_location": (("start_block", "start_block_index"), ("end_block", "end_block_index")),
}


def read_citation(value: dict[str, Any], native_json: str, sources: Sources) -> content_pb2.Citation:
    """`value` is the vendor's citation, `native_json` the same verbatim."""
    citation = content_pb2.Citation(cited_text=_text(value, "cited_text"), provider_json={NAME: native_json})
    kind = _text(value, "type")
    if kind == "web_search_result_location":
        source = citation.sources.add(title=_text(value, "title"))
        source.uri.uri = _text(value, "url")
    elif kind == "search_result_location":
        source = citation.sources.add(title=_text(value, "title"))
        if document_id := _named(sources.search_results, value.get("search_result_index")):
            source.document.document_id = document_id
            _place(source.document, kind, value)
        else:
            source.uri.uri = _text(value, "source")
    elif kind in _POSITIONS:
        source = citation.sources.add(title=_text(value, "document_title"))
        index = _index(value.get("document_index"))
        source.document.document_id = _named(sources.documents, index)
        if index is not None:
            source.document.document_index = index
        _place(source.document, kind, value)
    return citation


def _place(source: content_pb2.DocumentSource, kind: str, value: dict[str, Any]) -> None:
    for field, member in _POSITIONS[kind]:
        if (position := _index(value.get(member))) is not None:
            setattr(source, field, position)


def _named(ids: tuple[str, ...], index: object) -> str:
    place = _index(index)
    return ids[place] if place is not None and place < len(ids) else ""


def _index(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _text(value: dict[str, Any], name: str) -> str:
    member = value.get(name)
    return member if isinstance(member, str) else ""
