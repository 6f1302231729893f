"""Owns content blocks that people and tools send: text, media, documents, verbatim blocks."""

import msgspec

from antiphon.llm.v1 import content_pb2
from antiphon_provider_anthropic.codec import blocks, documents, media
from antiphon_provider_anthropic.codec.scope import COMPACTED, COMPACTION_SIGNATURE, KEYS, NAME, Native, Scope, invalid
from antiphon_wires import json_text

Block = Native | msgspec.Raw


def encode_part(part: content_pb2.Part, path: str, scope: Scope) -> Block | None:
    """The native block; None if it was left out with a warning. `part` is none that only answers have."""
    kind = part.WhichOneof("kind")
    if kind == "native":
        return encode_native(part, path, scope)
    if kind == "compaction":
        return encode_compaction(part, path, scope)
    scope.own(part.opaque, path)
    native = _kind(part, kind, path, scope)
    return None if native is None else blocks.finish(native, part, path, scope)


def _kind(part: content_pb2.Part, kind: str | None, path: str, scope: Scope) -> Native | None:
    if kind == "text":
        if part.text.citations:
            # 400 since API version 2026-10-21: https://platform.claude.com/docs/en/api/migration-2026-10-21 (2026-11).
            scope.losses.history(f"{path}.text.citations", "citations may stand in answers only")
        # An empty block is refused: "text content blocks must be non-empty".
        return blocks.text(part.text.text) if part.text.text else None
    if kind == "media":
        block = media.encode_media(part.media, f"{path}.media", scope)
        if block is not None and block["type"] == "document":
            scope.documents.append("")
        return block
    if kind == "document":
        return documents.encode_document(part.document, f"{path}.document", scope)
    if kind is None:
        raise invalid(f"{path} holds nothing this version knows; set one kind of part", path)
    scope.losses.history(f"{path}.{kind}", f"{NAME} takes no {kind} part here")
    return None


def encode_native(part: content_pb2.Part, path: str, scope: Scope) -> Block | None:
    """A block of ours, byte for byte unless the caller changes it."""
    native = part.native
    if native.provider not in KEYS:
        scope.losses.history(f"{path}.native", f"it is a block of {native.provider or 'no provider'}")
        return None
    scope.own(part.opaque, path)
    param = f"{path}.native.native_json"
    if not part.HasField("cache") and not part.provider_json and not part.phase:
        return json_text.verbatim(native.native_json, param)
    return blocks.finish(dict(json_text.caller_object(native.native_json, param)), part, path, scope)


def encode_compaction(part: content_pb2.Part, path: str, scope: Scope) -> Native | None:
    """Our own summary as the block it was; another provider's as text."""
    own = scope.own(part.opaque, path, COMPACTED, COMPACTION_SIGNATURE)
    summary = part.compaction.summary
    if own:
        native: Native = {"type": "compaction", "content": summary or None}
        for member, kind in (("encrypted_content", COMPACTED), ("signature", COMPACTION_SIGNATURE)):
            if kind in own:
                native[member] = own[kind]
    elif summary:
        scope.losses.emulated(f"{path}.compaction", "its summary is sent as text")
        native = blocks.text(summary)
    else:
        scope.losses.history(f"{path}.compaction", "it has no summary that could be sent")
        return None
    return blocks.finish(native, part, path, scope)
