"""Owns what the people and programs in a conversation say, on its way to the vendor: text, images, files."""

from typing import Final

from antiphon.llm.v1 import content_pb2
from antiphon_wires.openai_chat.parts import data_uri, document_text, mark_breakpoint, native_block
from antiphon_wires.openai_chat.scope import Native, Scope, invalid

# Blocks of a message; every other native block is an item of its own.
_BLOCKS: Final = "input_"


def text(value: str) -> Native:
    return {"type": "input_text", "text": value}


def plain(content: list[Native]) -> str | list[Native]:
    """A lone text as a string, which means the same."""
    if len(content) == 1 and content[0].keys() == {"type", "text"} and isinstance(content[0]["text"], str):
        return content[0]["text"]
    return list(content)


def encode_part(part: content_pb2.Part, path: str, scope: Scope) -> Native | None:
    """The native block; None if it was left out with a warning. `part` is none that only answers have."""
    native = _kind(part, path, scope)
    if native is None:
        return None
    if part.HasField("cache"):
        mark_breakpoint(native, part.cache, path, scope)
    if part.phase:
        scope.losses.history(f"{path}.phase", "only answers have phases")
    scope.own(part.opaque, path)
    scope.patch(native, part.provider_json, path)
    return native


def _kind(part: content_pb2.Part, path: str, scope: Scope) -> Native | None:
    kind = part.WhichOneof("kind")
    if kind == "text":
        if part.text.citations:
            scope.losses.history(f"{path}.text.citations", "only answers have citations")
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


def is_item(part: content_pb2.Part, scope: Scope) -> bool:
    """Whether the part is an item of the conversation by itself, such as the output of a computer."""
    native = part.native
    return native.provider in scope.keys and not native.native_type.startswith(_BLOCKS)


def encode_document(document: content_pb2.Document, path: str, scope: Scope) -> Native | None:
    """A document as text of the prompt: this wire has no word for one that is not a file."""
    if document.WhichOneof("body") == "media":
        return _media(document.media, f"{path}.media", scope)
    return text(document_text(document, path, scope))


def _media(media: content_pb2.Media, path: str, scope: Scope) -> Native | None:
    source = media.WhichOneof("source")
    if source is None:
        raise invalid(f"{path} has no source; set data, uri or file", path)
    family = media.mime_type.partition("/")[0]
    native: Native | None = None
    if family == "image":
        native = _sourced({"type": "input_image", "detail": media.detail or "auto"}, "image_url", media, path, scope)
    elif family in ("application", "text"):
        native = _file(media, path, scope)
    if native is None:
        what = media.mime_type or "media without a type"
        scope.losses.shape(path, f"{scope.dialect.name} takes no {what} by {source} in the Responses API", part=True)
    return native


def _file(media: content_pb2.Media, path: str, scope: Scope) -> Native | None:
    source = media.WhichOneof("source")
    native = _sourced({"type": "input_file"}, "file_data" if source == "data" else "file_url", media, path, scope)
    if native is not None and source == "data":
        native["filename"] = media.filename or "file"
    if native is not None and media.detail:
        native["detail"] = media.detail
    return native


def _sourced(native: Native, member: str, media: content_pb2.Media, path: str, scope: Scope) -> Native | None:
    """`native` with the bytes or the address as `member`, or with the id of a file of this account."""
    source = media.WhichOneof("source")
    if source == "data":
        return native | {member: data_uri(media)}
    if source == "uri":
        return native | {member: media.uri} if media.uri.startswith(("http://", "https://")) else None
    file = media.file
    if file.provider != scope.dialect.name:
        return None
    if file.state_domain and scope.state_domain and file.state_domain != scope.state_domain:
        raise invalid(f"{path}.file belongs to the account {file.state_domain!r}, this is another", f"{path}.file")
    return native | {"file_id": file.file_id}
