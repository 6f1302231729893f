"""Owns tools and the choice among them on their way to the vendor. Schemas go out byte for byte."""

from typing import Any, Final

from antiphon.llm.v1 import chat_pb2, params_pb2
from antiphon_provider_anthropic.codec import cache
from antiphon_provider_anthropic.codec.scope import NAME, Native, Scope, has_own, invalid
from antiphon_wires import json_text

_Mode = params_pb2.ToolChoice

# The newest dated types of anthropic 2.14 (types/tool_union_param.py). Another one by Tool.provider_json.
PROVIDER_TOOLS: Final[dict[str, Native]] = {
    "web_search": {"type": "web_search_20260318", "name": "web_search"},
    "web_fetch": {"type": "web_fetch_20260318", "name": "web_fetch"},
    "code_execution": {"type": "code_execution_20260521", "name": "code_execution"},
    "tool_search": {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
    "memory": {"type": "memory_20250818", "name": "memory"},
    "shell": {"type": "bash_20250124", "name": "bash"},
    "text_editor": {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    "computer_use": {"type": "computer_toolset_20260801"},
}


def encode_tools(request: chat_pb2.StreamGenerateRequest, scope: Scope) -> Native:
    """The members `tools` and `tool_choice`, those of them that are to be sent."""
    tools: dict[str, Native] = {}
    for index, tool in enumerate(request.prompt.tools):
        path = f"prompt.tools[{index}]"
        if (native := _tool(tool, path, scope)) is not None:
            tools[_name(tool, index)] = native
    body: Native = {}
    params = request.params
    if tools:
        chosen = _choose(params, tools, body, scope)
        return {"tools": chosen, **body}
    _without_tools(params, scope)
    return body


def _name(tool: params_pb2.Tool, index: int) -> str:
    kind = tool.WhichOneof("kind")
    if kind == "function":
        return tool.function.name
    return tool.provider_tool.name or tool.provider_tool.capability or f"#{index}"


def _tool(tool: params_pb2.Tool, path: str, scope: Scope) -> Native | None:
    native = _kind(tool, path, scope)
    if native is None:
        return None
    if tool.HasField("defer_loading"):
        native["defer_loading"] = tool.defer_loading
    if tool.HasField("cache"):
        cache.mark(native, tool.cache, path, scope)
    scope.patch(native, tool.provider_json, path)
    return native


def _kind(tool: params_pb2.Tool, path: str, scope: Scope) -> Native | None:
    kind = tool.WhichOneof("kind")
    if kind == "function":
        return _function(tool.function, f"{path}.function")
    if kind == "provider_tool":
        capability = tool.provider_tool.capability
        if has_own(tool.provider_json) or capability in PROVIDER_TOOLS:
            return dict(PROVIDER_TOOLS.get(capability, {}))
        scope.losses.shape(f"{path}.provider_tool", f"{NAME} has no tool for {capability or 'no capability'}")
    elif kind == "custom":
        scope.losses.shape(f"{path}.custom", f"{NAME} has no tools with free text input")
    elif kind == "mcp":
        # In beta only: https://platform.claude.com/docs/en/agents-and-tools/mcp-connector (2026-11).
        why = f"{NAME} has MCP in beta only; use options.provider_json and the header anthropic-beta"
        scope.losses.shape(f"{path}.mcp", why)
    else:
        raise invalid(f"{path} holds nothing this version knows; set one kind of tool", path)
    return None


def _function(tool: params_pb2.FunctionTool, path: str) -> Native:
    native: Native = {"name": tool.name}
    if tool.description:
        native["description"] = tool.description
    # Required, unlike elsewhere.
    native["input_schema"] = (
        json_text.verbatim(tool.input_schema_json, f"{path}.input_schema_json")
        if tool.input_schema_json
        else {"type": "object"}
    )
    if tool.HasField("strict"):
        native["strict"] = tool.strict
    return native


def _without_tools(params: params_pb2.GenerateParams, scope: Scope) -> None:
    """A choice is refused where there is nothing to choose from."""
    why = f"{NAME} takes it together with tools only"
    if params.HasField("tool_choice"):
        if params.tool_choice.mode == _Mode.MODE_REQUIRED:
            raise invalid("params.tool_choice requires a tool, but prompt.tools has none to send", "params.tool_choice")
        scope.losses.hint("params.tool_choice", why)
    if params.HasField("parallel_tool_calls") and not params.parallel_tool_calls:
        scope.losses.hint("params.parallel_tool_calls", why)


def _choose(params: params_pb2.GenerateParams, tools: dict[str, Native], body: Native, scope: Scope) -> list[Native]:
    """Sets `tool_choice` in `body`; returns the tools to send: fewer, where a choice can only be made that way."""
    choice = params.tool_choice
    names = list(choice.allowed_names)
    for index, name in enumerate(names):
        if name not in tools:
            path = f"params.tool_choice.allowed_names[{index}]"
            raise invalid(f"{path} names {name!r}, which is not among prompt.tools", path)
    native = _native_choice(choice, tools)
    sent = list(tools.values())
    if native.get("type") not in ("tool", "none") and names:
        scope.losses.emulated("params.tool_choice.allowed_names", "only the allowed tools are sent")
        sent = [tools[name] for name in names]
    if params.HasField("parallel_tool_calls"):
        if native.get("type") != "none":
            native = {"type": "auto", **native, "disable_parallel_tool_use": not params.parallel_tool_calls}
        elif not params.parallel_tool_calls:
            scope.losses.hint("params.parallel_tool_calls", "no tool may be called")
    if native:
        body["tool_choice"] = native
    return sent


def _native_choice(choice: params_pb2.ToolChoice, tools: dict[str, Native]) -> dict[str, Any]:
    names = choice.allowed_names
    if choice.mode == _Mode.MODE_REQUIRED:
        if len(names) == 1 and (name := tools[names[0]].get("name")):
            return {"type": "tool", "name": name}
        return {"type": "any"}
    if choice.mode == _Mode.MODE_NONE:
        return {"type": "none"}
    return {"type": "auto"} if choice.mode == _Mode.MODE_AUTO else {}
