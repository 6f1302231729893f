"""Owns images and files on their way to the vendor: by bytes, by URL, by the vendor's own file id."""

import base64
from typing import Final

from antiphon.llm.v1 import content_pb2
from antiphon_provider_anthropic.codec.scope import NAME, Native, Scope, invalid

# Base64ImageSourceParam in anthropic 2.14.
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_FETCHED: Final = ("https://", "http://")


def encode_media(media: content_pb2.Media, path: str, scope: Scope) -> Native | None:
    """An `image` or a `document` block; None if it was left out with a warning."""
    source = media.WhichOneof("source")
    if source is None:
        raise invalid(f"{path} has no source; set data, uri or file", path)
    is_image = media.mime_type.startswith("image/")
    native = _source(media, source, path, scope) if source == "file" or is_image else _file(media, source)
    if native is None:
        what = media.mime_type or "media without a type"
        scope.losses.shape(path, f"{NAME} takes no {what} by {source}", part=True)
        return None
    if media.detail:
        scope.losses.hint(f"{path}.detail", f"{NAME} has no choice of resolution")
    if is_image:
        return {"type": "image", "source": native}
    block: Native = {"type": "document", "source": native}
    if media.filename:
        block["title"] = media.filename
    return block


def _source(media: content_pb2.Media, source: str, path: str, scope: Scope) -> Native | None:
    """A source of an image, and any file that the vendor keeps."""
    if source == "data":
        return _base64(media) if media.mime_type in _IMAGES else None
    if source == "uri":
        return _url(media)
    file = media.file
    if file.provider != NAME:
        return None
    if file.state_domain and scope.state_domain and file.state_domain != scope.state_domain:
        raise invalid(f"{path}.file belongs to the account {file.state_domain!r}, this is another", f"{path}.file")
    return {"type": "file", "file_id": file.file_id}


def _file(media: content_pb2.Media, source: str) -> Native | None:
    """PDF by bytes or URL, plain text by bytes."""
    if media.mime_type == "application/pdf":
        return _base64(media) if source == "data" else _url(media)
    if source == "data" and media.mime_type.startswith("text/"):
        return text_source(media.data.decode("utf-8", "replace"))
    return None


def text_source(value: str) -> Native:
    """The source of a document of plain text."""
    return {"type": "text", "media_type": "text/plain", "data": value}


def _base64(media: content_pb2.Media) -> Native:
    data = base64.b64encode(media.data).decode()
    return {"type": "base64", "media_type": media.mime_type, "data": data}


def _url(media: content_pb2.Media) -> Native | None:
    return {"type": "url", "url": media.uri} if media.uri.startswith(_FETCHED) else None
