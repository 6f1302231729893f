"""Owns tools and the choice among them on their way to Cohere. Schemas go out byte for byte."""

from collections.abc import Iterable

from antiphon.llm.v1 import chat_pb2, params_pb2
from antiphon_provider_cohere.codec.scope import Native, Scope, invalid
from antiphon_wires import json_text

_Mode = params_pb2.ToolChoice
_Named = tuple[str, Native]


def encode_tools(request: chat_pb2.StreamGenerateRequest, scope: Scope) -> Native:
    """The members `tools`, `strict_tools` and `tool_choice`, those of them that are to be sent."""
    tools: list[_Named] = []
    for index, tool in enumerate(request.prompt.tools):
        if (native := _tool(tool, f"prompt.tools[{index}]", scope)) is not None:
            tools.append((_name(tool), native))
    body: Native = {}
    _enforce(request.prompt.tools, body, scope)
    if request.params.HasField("tool_choice"):
        tools = _choose(request.params.tool_choice, tools, body, scope)
    return {"tools": [native for _, native in tools], **body} if tools else body


def _name(tool: params_pb2.Tool) -> str:
    provider_tool = tool.provider_tool
    return tool.function.name or provider_tool.name or provider_tool.capability


def _tool(tool: params_pb2.Tool, path: str, scope: Scope) -> Native | None:
    kind = tool.WhichOneof("kind")
    native: Native | None = None
    if kind == "function":
        native = {"type": "function", "function": _function(tool.function, f"{path}.function")}
    elif kind == "provider_tool" and scope.patchable(tool.provider_json):
        # The caller's own definition is the whole tool.
        native = {}
    elif kind is None:
        raise invalid(f"{path} holds nothing this version knows; set one kind of tool", path)
    else:
        scope.losses.shape(f"{path}.{kind}", "Cohere has function tools only")
        return None
    if tool.HasField("cache"):
        scope.losses.hint(f"{path}.cache", "Cohere has no cache breakpoints; it caches prompts by itself")
    if tool.defer_loading:
        scope.losses.hint(f"{path}.defer_loading", "Cohere has no tool search")
    scope.patch(native, tool.provider_json, path)
    return native


def _function(tool: params_pb2.FunctionTool, path: str) -> Native:
    native: Native = {"name": tool.name}
    if tool.description:
        native["description"] = tool.description
    if tool.input_schema_json:
        native["parameters"] = json_text.verbatim(tool.input_schema_json, f"{path}.input_schema_json")
    else:
        # A required member (cohere 7.3, ToolV2Function); this says what its absence says elsewhere.
        native["parameters"] = {"type": "object", "properties": {}}
    return native


def _enforce(tools: Iterable[params_pb2.Tool], body: Native, scope: Scope) -> None:
    """`strict_tools` holds for all tools of a request (https://docs.cohere.com/docs/structured-outputs, 2026-11)."""
    wanted = [tool.function.strict if tool.function.HasField("strict") else None for tool in tools]
    if all(strict is None for strict in wanted):
        return
    body["strict_tools"] = any(wanted)
    if len(set(wanted)) > 1 and body["strict_tools"]:
        scope.losses.emulated("prompt.tools", "one strict tool makes all of them strict")


def _choose(choice: params_pb2.ToolChoice, tools: list[_Named], body: Native, scope: Scope) -> list[_Named]:
    """Sets `tool_choice` in `body`; returns the tools to send: fewer, where a choice can only be made that way."""
    allowed = set(choice.allowed_names)
    known = {name for name, _ in tools}
    for index, name in enumerate(choice.allowed_names):
        if name not in known:
            path = f"params.tool_choice.allowed_names[{index}]"
            raise invalid(f"{path} names {name!r}, which is not among prompt.tools", path)
    if choice.mode == _Mode.MODE_NONE:
        # Without tools there is nothing to forbid, and the member is refused.
        if tools:
            body["tool_choice"] = "NONE"
        return tools
    if choice.mode == _Mode.MODE_REQUIRED:
        body["tool_choice"] = "REQUIRED"
    if not allowed or allowed == known:
        return tools
    scope.losses.emulated("params.tool_choice.allowed_names", "only the allowed tools are sent")
    return [(name, native) for name, native in tools if name in allowed]
