"""Owns the question whether a request may be sent twice: not if the provider keeps something or runs tools for it.

Only calls of routes that hedge or copy are decoded for this, and only when a second request is about to be sent.
"""

from typing import Any, Final

from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from antiphon.llm.v1 import chat_pb2, completion_pb2, embedding_pb2, options_pb2, rerank_pb2

_SERVICES: Final = (
    chat_pb2.DESCRIPTOR.services_by_name["ChatService"],
    embedding_pb2.DESCRIPTOR.services_by_name["EmbeddingService"],
    rerank_pb2.DESCRIPTOR.services_by_name["RerankService"],
    completion_pb2.DESCRIPTOR.services_by_name["CompletionService"],
)
_REQUESTS: Final[dict[str, Any]] = {
    f"/{service.full_name}/{method.name}": GetMessageClass(method.input_type)
    for service in _SERVICES
    for method in service.methods
}
_KEEPING: Final = tuple(
    f'"{member}"' for member in ("store", "previous_response_id", "conversation", "background", "container")
)
"""Members of vendors' requests that make them keep something, or build on what they keep."""
_OWN_TOOLS: Final = frozenset({"function", "custom"})


def has_effects(method: str, request: bytes) -> bool:
    """Whether `request` leaves more behind than its answer, or may do so: of a vendor's own bytes nothing is known."""
    kind = _REQUESTS.get(method)
    if kind is None:
        return True
    try:
        message = kind.FromString(request)
    except DecodeError:
        return True
    # Not every method has these.
    params, prompt = getattr(message, "params", None), getattr(message, "prompt", None)
    tools = getattr(prompt, "tools", ())
    return (
        getattr(params, "store", False)
        or _keeps(message.options)
        or any(tool.WhichOneof("kind") not in _OWN_TOOLS for tool in tools)
    )


def _keeps(options: options_pb2.CallOptions) -> bool:
    return any(member in patch for patch in options.provider_json.values() for member in _KEEPING)
