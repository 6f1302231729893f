"""Owns the conversation on its way to Cohere: who speaks, what is said, results of tools."""

from typing import Final

from antiphon.llm.v1 import chat_pb2, content_pb2
from antiphon_provider_cohere.codec.answers import encode_answer
from antiphon_provider_cohere.codec.documents import encode_document
from antiphon_provider_cohere.codec.scope import Native, Scope, image_url, invalid, text_block
from antiphon_wires import json_text

_ROLES: Final = {
    content_pb2.ROLE_SYSTEM: "system",
    content_pb2.ROLE_DEVELOPER: "system",
    content_pb2.ROLE_USER: "user",
    content_pb2.ROLE_ASSISTANT: "assistant",
    content_pb2.ROLE_TOOL: "tool",
}
# https://docs.cohere.com/v2/docs/image-inputs (2026-11).
_DETAILS: Final = ("auto", "low", "high")


def encode_messages(prompt: chat_pb2.Prompt, scope: Scope) -> list[Native]:
    """The native messages. Documents that stand in messages are put into `scope.documents`."""
    natives: list[Native] = []
    for index, message in enumerate(prompt.messages):
        path = f"prompt.messages[{index}]"
        role = _ROLES.get(message.role)
        if role is None:
            raise invalid(f"{path}.role is none this version knows", f"{path}.role")
        encoded = [encode_answer(message, path, scope)] if role == "assistant" else _said(message, role, path, scope)
        if message.prefill:
            scope.losses.shape(f"{path}.prefill", "Cohere cannot continue a message")
        if message.name:
            scope.losses.hint(f"{path}.name", "Cohere does not tell speakers of a role apart")
        scope.foreign(message.opaque, path)
        for native in encoded:
            scope.patch(native, message.provider_json, path)
        natives += encoded
    return natives


def _said(message: content_pb2.Message, role: str, path: str, scope: Scope) -> list[Native]:
    """Messages of everybody but the model. Each tool result is a message of its own, in its place."""
    encoded: list[Native] = []
    content: list[Native] = []

    def flush() -> None:
        if content:
            encoded.append({"role": role, "content": plain(content)})
            content.clear()

    for index, part in enumerate(message.parts):
        where = f"{path}.parts[{index}]"
        if part.WhichOneof("kind") == "tool_result":
            flush()
            encoded.append(_tool_result(part, where, scope))
        elif role == "tool":
            raise invalid(f"{where} must be a tool_result: the message has ROLE_TOOL", where)
        elif (native := encode_block(part, where, scope, images=role == "user")) is not None:
            content.append(native)
    flush()
    return encoded or ([] if role == "tool" else [{"role": role, "content": ""}])


def plain(content: list[Native]) -> str | list[Native]:
    """A lone text as a string."""
    if len(content) == 1 and content[0].keys() == {"type", "text"} and isinstance(content[0]["text"], str):
        return content[0]["text"]
    return list(content)


def encode_block(part: content_pb2.Part, path: str, scope: Scope, *, images: bool) -> Native | None:
    """The native content block of a part that not only answers have; None if there is none, of which was warned.

    `images`: whether they may stand here.
    """
    native = _block(part, path, scope, images=images)
    if part.HasField("cache"):
        scope.losses.hint(f"{path}.cache", "Cohere has no cache breakpoints; it caches prompts by itself")
    if part.phase:
        scope.losses.history(f"{path}.phase", "Cohere knows no phases")
    scope.foreign(part.opaque, path)
    if native is not None:
        scope.patch(native, part.provider_json, path)
    return native


def _block(part: content_pb2.Part, path: str, scope: Scope, *, images: bool) -> Native | None:
    kind = part.WhichOneof("kind")
    if kind == "text":
        return text_block(part.text.text)
    if kind == "media":
        return _media(part.media, f"{path}.media", scope, images=images)
    if kind == "document":
        if (document := encode_document(part.document, f"{path}.document", scope)) is not None:
            scope.losses.emulated(f"{path}.document", "it is sent as a document of the whole request")
            scope.documents.append(document)
        return None
    if kind == "native":
        if part.native.provider in scope.keys:
            return dict(json_text.caller_object(part.native.native_json, f"{path}.native.native_json"))
        scope.losses.history(f"{path}.native", f"it is a block of {part.native.provider or 'no provider'}")
        return None
    if kind == "compaction" and part.compaction.summary:
        scope.losses.emulated(f"{path}.compaction", "its summary is sent as text")
        return text_block(part.compaction.summary)
    if kind is None:
        raise invalid(f"{path} holds nothing this version knows; set one kind of part", path)
    scope.losses.history(f"{path}.{kind}", f"Cohere takes no {kind} part here")
    return None


def _media(media: content_pb2.Media, path: str, scope: Scope, *, images: bool) -> Native | None:
    source = media.WhichOneof("source")
    if source is None:
        raise invalid(f"{path} has no source; set data, uri or file", path)
    url = image_url(media) if images else None
    if url is None:
        what = media.mime_type or "media without a type"
        scope.losses.shape(path, f"Cohere takes no {what} by {source} here", part=True)
        return None
    image = {"url": url}
    if media.detail in _DETAILS:
        image["detail"] = media.detail
    elif media.detail:
        image["detail"] = "high"
        scope.losses.clamped(f"{path}.detail", "high is the finest detail offered")
    return {"type": "image_url", "image_url": image}


def _tool_result(part: content_pb2.Part, path: str, scope: Scope) -> Native:
    result = part.tool_result
    content: list[Native] = []
    for index, inner in enumerate(result.parts):
        where = f"{path}.tool_result.parts[{index}]"
        if inner.WhichOneof("kind") == "document":
            # Here a document has a place of its own, and can be cited.
            if (document := encode_document(inner.document, f"{where}.document", scope)) is not None:
                content.append({"type": "document", "document": document})
        elif (native := encode_block(inner, where, scope, images=False)) is not None:
            content.append(native)
    if result.data_json:
        content.append(_data_block(result.data_json, f"{path}.tool_result.data_json"))
    if result.is_error:
        scope.losses.emulated(f"{path}.tool_result.is_error", "the result is marked as an error in its text")
        content.insert(0, text_block("The tool failed:"))
    scope.foreign(part.opaque, path)
    native = {"role": "tool", "tool_call_id": result.tool_call_id, "content": plain(content) if content else ""}
    scope.patch(native, part.provider_json, path)
    return native


def _data_block(data_json: str, path: str) -> Native:
    """An object as a document, so that it can be cited; any other JSON as text."""
    if data_json.lstrip()[:1] != "{":
        return text_block(data_json)
    return {"type": "document", "document": {"data": json_text.verbatim(data_json, path)}}
