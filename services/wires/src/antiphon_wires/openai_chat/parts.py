"""Owns content parts on their way to the vendor: text, images, audio, files, documents."""

import base64
from collections.abc import Iterable
from typing import Final

from antiphon.llm.v1 import content_pb2
from antiphon_wires import json_text
from antiphon_wires.openai_chat.scope import Native, Scope, invalid

# https://developers.openai.com/api/docs/guides/audio (2026-11): wav and mp3 in.
_AUDIO_FORMATS: Final = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
_TTL_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def text(value: str) -> Native:
    return {"type": "text", "text": value}


def encode_part(part: content_pb2.Part, path: str, scope: Scope) -> Native | None:
    """The native content part; None if it was left out with a warning. `part` is none that only answers have."""
    native = _kind(part, path, scope)
    if native is None:
        return None
    if part.HasField("cache"):
        mark_breakpoint(native, part.cache, path, scope)
    scope.own(part.opaque, path)
    scope.patch(native, part.provider_json, path)
    return native


def _kind(part: content_pb2.Part, path: str, scope: Scope) -> Native | None:
    kind = part.WhichOneof("kind")
    if kind == "text":
        if part.text.citations:
            scope.losses.history(f"{path}.text.citations", "citations of earlier answers are not sent")
        return text(part.text.text)
    if kind == "media":
        return _media(part.media, f"{path}.media", scope)
    if kind == "document":
        return encode_document(part.document, f"{path}.document", scope)
    if kind == "native":
        return native_block(part.native, f"{path}.native", scope)
    if kind == "compaction" and part.compaction.summary:
        scope.losses.emulated(f"{path}.compaction", "its summary is sent as text")
        return text(part.compaction.summary)
    if kind is None:
        raise invalid(f"{path} holds nothing this version knows; set one kind of part", path)
    scope.losses.history(f"{path}.{kind}", f"{scope.dialect.name} takes no {kind} part here")
    return None


def native_block(part: content_pb2.NativePart, path: str, scope: Scope) -> Native | None:
    """The block as it stands; None, with a warning, if it is not this wire's."""
    if part.provider not in scope.keys:
        scope.losses.history(path, f"it is a block of {part.provider or 'no provider'}")
        return None
    return dict(json_text.caller_object(part.native_json, f"{path}.native_json"))


def mark_breakpoint(native: Native, cache: content_pb2.CacheHint, path: str, scope: Scope) -> None:
    """A cache breakpoint behind the block, with the nearest lifetime that is offered."""
    if "cache_breakpoints" in scope.dialect.lacks:
        scope.losses.hint(f"{path}.cache", f"{scope.dialect.name} has no cache breakpoints")
        return
    mark: Native = {"mode": "explicit"}
    if cache.ttl:
        wanted = _ttl_s(cache.ttl, f"{path}.cache.ttl")
        offered = scope.dialect.cache_ttls
        mark["ttl"] = next((ttl for ttl in offered if _ttl_s(ttl, "") >= wanted), offered[-1])
        if mark["ttl"] != cache.ttl:
            scope.losses.clamped(f"{path}.cache.ttl", f"{mark['ttl']} is the nearest lifetime offered")
    native["prompt_cache_breakpoint"] = mark


def _ttl_s(ttl: str, param: str) -> int:
    number, unit = ttl[:-1], ttl[-1:]
    if unit not in _TTL_UNIT_S or not number.isascii() or not number.isdecimal():
        raise invalid(f"{param} must be a number and a unit of s, m, h or d, such as 30m", param)
    return int(number) * _TTL_UNIT_S[unit]


def _media(media: content_pb2.Media, path: str, scope: Scope) -> Native | None:
    source = media.WhichOneof("source")
    if source is None:
        raise invalid(f"{path} has no source; set data, uri or file", path)
    family = media.mime_type.partition("/")[0]
    if family == "image" and "image" not in scope.dialect.lacks:
        native = _image(media, source)
    elif family == "audio" and "audio" not in scope.dialect.lacks:
        native = _audio(media, source)
    elif family in ("application", "text") and "file" not in scope.dialect.lacks:
        native = _file(media, source, path, scope)
    else:
        native = None
    if native is None:
        what = media.mime_type or "media without a type"
        scope.losses.shape(path, f"{scope.dialect.name} takes no {what} by {source}", part=True)
    return native


def _image(media: content_pb2.Media, source: str) -> Native | None:
    if source == "data":
        url = data_uri(media)
    elif source == "uri" and media.uri.startswith(("https://", "http://", "data:")):
        url = media.uri
    else:
        return None
    image = {"url": url}
    if media.detail:
        image["detail"] = media.detail
    return {"type": "image_url", "image_url": image}


def _audio(media: content_pb2.Media, source: str) -> Native | None:
    name = _AUDIO_FORMATS.get(media.mime_type)
    if source != "data" or name is None:
        return None
    return {"type": "input_audio", "input_audio": {"data": _base64(media.data), "format": name}}


def _file(media: content_pb2.Media, source: str, path: str, scope: Scope) -> Native | None:
    if source == "data":
        return {"type": "file", "file": {"filename": media.filename or "file", "file_data": data_uri(media)}}
    file = media.file
    if source != "file" or file.provider != scope.dialect.name:
        return None
    if file.state_domain and scope.state_domain and file.state_domain != scope.state_domain:
        raise invalid(f"{path}.file belongs to the account {file.state_domain!r}, this is another", f"{path}.file")
    return {"type": "file", "file": {"file_id": file.file_id}}


def data_uri(media: content_pb2.Media) -> str:
    """The bytes as an address."""
    return f"data:{media.mime_type};base64,{_base64(media.data)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def encode_document(document: content_pb2.Document, path: str, scope: Scope) -> Native | None:
    """A document as text of the prompt: this wire has no word for one."""
    if document.WhichOneof("body") == "media":
        return _media(document.media, f"{path}.media", scope)
    return text(document_text(document, path, scope))


def document_text(document: content_pb2.Document, path: str, scope: Scope) -> str:
    """A document that is no file as text of the prompt, told with a warning."""
    body = document.WhichOneof("body")
    if body == "parts":
        content = "\n".join(_texts(document.parts.parts, f"{path}.parts", scope))
    else:
        content = document.data_json if body == "data_json" else document.text
    scope.losses.emulated(path, "documents are sent as text of the prompt")
    if document.enable_citations:
        scope.losses.hint(f"{path}.enable_citations", f"{scope.dialect.name} cites no documents")
    named = (("id", document.id), ("title", document.title), ("source", document.source_uri))
    attributes = "".join(f" {name}={json_text.quote(value)}" for name, value in named if value)
    context = f"{document.context}\n" if document.context else ""
    return f"<document{attributes}>\n{context}{content}\n</document>"


def _texts(parts: Iterable[content_pb2.Part], path: str, scope: Scope) -> list[str]:
    texts = []
    for index, part in enumerate(parts):
        if part.WhichOneof("kind") == "text":
            texts.append(part.text.text)
        else:
            scope.losses.shape(f"{path}.parts[{index}]", "only text blocks of a document can be sent", part=True)
    return texts
