"""Owns the reading of annotations, each with its verbatim JSON for the way back."""

from typing import Any

from antiphon.llm.v1 import content_pb2
from antiphon_wires.json_text import string
from antiphon_wires.openai_chat.usage import count
from antiphon_wires.openai_responses.answer import Answer


def read_citation(annotation: dict[str, Any], native_json: str, answer: Answer) -> content_pb2.Citation:
    """url_citation, file_citation, container_file_citation, file_path; of others only the JSON is kept.

    `index` of a file is where the citation stands in the text (openai 3.57, 2026-11); a container's file has no id that
    FileRef could hold, because it is none without its container.
    """
    citation = content_pb2.Citation(provider_json={answer.key: native_json})
    kind = annotation.get("type")
    start, end = count(annotation.get("start_index")), count(annotation.get("end_index"))
    if kind == "file_citation":
        start = end = count(annotation.get("index"))
    if start is not None:
        citation.start = start
    if end is not None:
        citation.end = end
    if kind == "url_citation" and (url := string(annotation, "url")):
        citation.sources.add(title=string(annotation, "title")).uri.uri = url
    elif kind in ("file_citation", "file_path") and (file_id := string(annotation, "file_id")):
        source = citation.sources.add(title=string(annotation, "filename"))
        source.file.provider = answer.provider
        source.file.file_id = file_id
        source.file.state_domain = answer.state_domain
    return citation
