"""Owns tools and the choice among them on their way to the vendor. Schemas go out byte for byte."""

from collections.abc import Callable
from typing import Any, Final

from antiphon.llm.v1 import chat_pb2, params_pb2
from antiphon_wires import json_text
from antiphon_wires.openai_chat.scope import Native, Scope, invalid

_Mode = params_pb2.ToolChoice
# Tools that the vendor runs, by their portable word. A file search wants `vector_store_ids` from the caller's patch.
# https://developers.openai.com/api/docs/guides/tools, as typed by openai 3.57 (2026-11).
_HOSTED: Final[dict[str, Callable[[], Native]]] = {
    "web_search": lambda: {"type": "web_search"},
    "file_search": lambda: {"type": "file_search"},
    "code_execution": lambda: {"type": "code_interpreter", "container": {"type": "auto"}},
    "image_generation": lambda: {"type": "image_generation"},
    "computer_use": lambda: {"type": "computer"},
    "tool_search": lambda: {"type": "tool_search"},
    "shell": lambda: {"type": "shell"},
}
# The vendor wants one; a tool without a schema takes nothing.
_NO_INPUT: Final = {"type": "object", "properties": {}}


def encode_tools(request: chat_pb2.StreamGenerateRequest, scope: Scope) -> Native:
    """The members `tools` and `tool_choice`, those of them that are to be sent."""
    tools: list[Native] = []
    named: dict[str, Native] = {}
    for index, tool in enumerate(request.prompt.tools):
        path = f"prompt.tools[{index}]"
        if (native := _tool(tool, path, scope)) is not None:
            tools.append(native)
            named[_name(tool)] = native
    body: Native = {"tools": tools} if tools else {}
    if request.params.HasField("tool_choice") and (choice := _choose(request.params.tool_choice, named)) is not None:
        body["tool_choice"] = choice
    return body


def _name(tool: params_pb2.Tool) -> str:
    kind = tool.WhichOneof("kind")
    if kind == "provider_tool":
        return tool.provider_tool.name or tool.provider_tool.capability
    if kind == "mcp":
        return tool.mcp.server_label
    return tool.custom.name if kind == "custom" else tool.function.name


def _tool(tool: params_pb2.Tool, path: str, scope: Scope) -> Native | None:
    native = _kind(tool, path, scope)
    if native is None:
        return None
    if tool.HasField("cache"):
        scope.losses.hint(f"{path}.cache", f"{scope.dialect.name} has no cache breakpoints after tools here")
    if tool.HasField("defer_loading"):
        native["defer_loading"] = tool.defer_loading
    scope.patch(native, tool.provider_json, path)
    return native


def _kind(tool: params_pb2.Tool, path: str, scope: Scope) -> Native | None:
    kind = tool.WhichOneof("kind")
    if kind == "function":
        return _function(tool.function, f"{path}.function")
    if kind == "custom":
        return _custom(tool.custom, f"{path}.custom", scope)
    if kind == "mcp":
        return _mcp(tool.mcp)
    if kind is None:
        raise invalid(f"{path} holds nothing this version knows; set one kind of tool", path)
    if tool.provider_tool.capability in _HOSTED:
        return _HOSTED[tool.provider_tool.capability]()
    # The caller's own definition is the whole tool.
    if any(tool.provider_json.get(key) for key in scope.keys):
        return {}
    scope.losses.shape(f"{path}.{kind}", f"{scope.dialect.name} has no such tool")
    return None


def _function(tool: params_pb2.FunctionTool, path: str) -> Native:
    """Both `parameters` and `strict` must be there; `strict` is false where the caller says nothing, as it is in Chat
    Completions: the default of this API is true and would refuse most schemas
    (https://developers.openai.com/api/docs/guides/migrate-to-responses, 2026-11)."""
    native: Native = {"type": "function", "name": tool.name, "strict": tool.strict}
    if tool.description:
        native["description"] = tool.description
    native["parameters"] = (
        json_text.verbatim(tool.input_schema_json, f"{path}.input_schema_json") if tool.input_schema_json else _NO_INPUT
    )
    return native


def _custom(tool: params_pb2.CustomTool, path: str, scope: Scope) -> Native:
    native: Native = {"type": "custom", "name": tool.name}
    if tool.description:
        native["description"] = tool.description
    if tool.HasField("grammar"):
        if tool.grammar.syntax in ("lark", "regex"):
            grammar = {"syntax": tool.grammar.syntax, "definition": tool.grammar.definition}
            native["format"] = {"type": "grammar", **grammar}
        else:
            scope.losses.shape(f"{path}.grammar", f"{scope.dialect.name} knows the grammars lark and regex")
    return native


def _mcp(tool: params_pb2.McpTool) -> Native:
    native: Native = {"type": "mcp", "server_label": tool.server_label, "server_url": tool.server_url}
    if tool.authorization:
        native["authorization"] = tool.authorization
    if tool.allowed_tools:
        native["allowed_tools"] = list(tool.allowed_tools)
    if tool.headers:
        headers: dict[str, str] = {}
        for header in tool.headers:
            # RFC 9110, 5.3: a repeated name is a list.
            headers[header.name] = f"{headers[header.name]}, {header.value}" if header.name in headers else header.value
        native["headers"] = headers
    return native


def _choose(choice: params_pb2.ToolChoice, tools: dict[str, Native]) -> Any:
    """The value of `tool_choice`; None: nothing is said."""
    names = list(choice.allowed_names)
    for index, name in enumerate(names):
        if name not in tools:
            path = f"params.tool_choice.allowed_names[{index}]"
            raise invalid(f"{path} names {name!r}, which is not among prompt.tools", path)
    mode = {_Mode.MODE_AUTO: "auto", _Mode.MODE_NONE: "none", _Mode.MODE_REQUIRED: "required"}.get(choice.mode)
    if not names or mode == "none":
        return mode
    allowed = [_reference(tools[name]) for name in names]
    if len(names) == 1 and mode == "required":
        return allowed[0]
    return {"type": "allowed_tools", "mode": mode or "auto", "tools": allowed}


def _reference(tool: Native) -> Native:
    told = ("type", "server_label") if tool.get("type") == "mcp" else ("type", "name")
    return {member: tool[member] for member in told if member in tool}
