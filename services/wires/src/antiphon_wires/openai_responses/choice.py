"""Owns the choice between the Responses API and Chat Completions: by setting, by the caller's word, by need.

See docs/adr/0008-chat-or-responses-by-need.md.
"""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from antiphon.llm.v1 import chat_pb2, content_pb2, params_pb2
from antiphon_wires.openai_chat.dialect import Dialect
from antiphon_wires.openai_responses.state import STATES

Api: TypeAlias = Literal["auto", "chat", "responses"]
APIS: Final = ("auto", "chat", "responses")


def speaks_responses(request: chat_pb2.StreamGenerateRequest, dialect: Dialect, api: Api) -> bool:
    """Whether a call goes to the Responses API. `api` is what the operator wants; "auto" leaves it to the request.

    A caller chooses by a patch for one of the two, which may be `{}`, in CallOptions.provider_json.
    """
    if api != "auto":
        return api == "responses"
    patches = request.options.provider_json
    wanted = [name for name in ("chat", "responses") if f"{dialect.name}/{name}" in patches]
    return wanted == ["responses"] if len(wanted) == 1 else only_in_responses(request, dialect)


def only_in_responses(request: chat_pb2.StreamGenerateRequest, dialect: Dialect) -> bool:
    """Whether something in the request would be lost or refused in Chat Completions and not here."""
    params = request.params
    reasoning = params.reasoning
    return (
        reasoning.include_opaque_state
        or reasoning.summary not in ("", "none")
        or params.HasField("max_tool_calls")
        or any(_tool(tool, dialect) for tool in request.prompt.tools)
        or any(_part(part, dialect) for message in request.prompt.messages for part in message.parts)
    )


def _tool(tool: params_pb2.Tool, dialect: Dialect) -> bool:
    kind = tool.WhichOneof("kind")
    # Whoever wrote the tool in the words of Chat Completions means those.
    return (
        kind == "mcp"
        or tool.defer_loading
        or (kind == "provider_tool" and f"{dialect.name}/chat" not in tool.provider_json)
    )


def _part(part: content_pb2.Part, dialect: Dialect) -> bool:
    kind = part.WhichOneof("kind")
    if part.phase or _has_state(part.opaque, dialect):
        return True
    if kind == "native":
        return part.native.provider == f"{dialect.name}/responses"
    if kind == "tool_call":
        return (
            part.tool_call.kind == content_pb2.ToolCall.KIND_PROVIDER
            and f"{dialect.name}/responses" in part.provider_json
        )
    if kind == "tool_result":
        return any(inner.WhichOneof("kind") == "media" for inner in part.tool_result.parts)
    # A file by its address.
    return kind == "media" and part.media.uri != "" and not part.media.mime_type.startswith("image/")


def _has_state(states: Iterable[content_pb2.OpaqueState], dialect: Dialect) -> bool:
    return any(state.issuer == dialect.name and state.kind in STATES for state in states)
