"""Owns the reading of citations. Offsets are code points of the block that is cited; the native object goes along."""

import re
from typing import Any, Final

from antiphon.llm.v1 import content_pb2
from antiphon_provider_cohere.codec.capabilities import NAME
from antiphon_wires import json_text

# Documents that a tool's result was split into are named "<tool_call_id>:<n>"
# (https://docs.cohere.com/v2/docs/tool-use-citations, 2026-11).
_PIECE: Final = re.compile(r":\d+\Z")
ON_TEXT: Final = frozenset({None, "TEXT_CONTENT"})
"""Values of a citation's `type` for text of the answer; PLAN and THINKING_CONTENT are for other parts."""


def read_citation(value: dict[str, Any], raw: bytes) -> content_pb2.Citation:
    """`raw` is the same, verbatim."""
    citation = content_pb2.Citation(provider_json={NAME: raw.decode("utf-8", "replace")})
    for field in ("start", "end"):
        if type(offset := value.get(field)) is int and 0 <= offset < 2**31:
            setattr(citation, field, offset)
    citation.cited_text = string(value.get("text"))
    sources = value.get("sources")
    for index, source in enumerate(sources if isinstance(sources, list) else ()):
        if isinstance(source, dict):
            _source(citation.sources.add(), source, raw, index)
    return citation


def _source(source: content_pb2.CitationSource, value: dict[str, Any], raw: bytes, index: int) -> None:
    if value.get("type") == "document":
        source.document.document_id = string(value.get("id"))
        document = value.get("document")
        source.title = string(document.get("title")) if isinstance(document, dict) else ""
    elif value.get("type") == "tool":
        source.tool.tool_call_id = _PIECE.sub("", string(value.get("id")))
        if value.get("tool_output") is not None:
            source.tool.output_json = json_text.text_of(json_text.dig(raw, "sources", index, "tool_output"))


def string(value: object) -> str:
    """A vendor's string as valid Unicode; "" for anything else."""
    return json_text.mend(value)[0] if isinstance(value, str) else ""
