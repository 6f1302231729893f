"""Owns tools and the choice among them on their way to the vendor. Schemas go out byte for byte."""

from typing import Any

from antiphon.llm.v1 import chat_pb2, params_pb2
from antiphon_wires import json_text
from antiphon_wires.openai_chat.scope import Native, Scope, invalid

_Mode = params_pb2.ToolChoice


def encode_tools(request: chat_pb2.StreamGenerateRequest, scope: Scope) -> Native:
    """The members `tools` and `tool_choice`, those of them that are to be sent."""
    tools: list[Native] = []
    names: list[str] = []
    for index, tool in enumerate(request.prompt.tools):
        path = f"prompt.tools[{index}]"
        if (native := _tool(tool, path, scope)) is not None:
            tools.append(native)
            names.append(_name(tool))
    body: Native = {}
    if request.params.HasField("tool_choice"):
        tools = _choose(request.params.tool_choice, dict(zip(names, tools, strict=True)), body, scope)
    return {"tools": tools, **body} if tools else body


def _name(tool: params_pb2.Tool) -> str:
    kind = tool.WhichOneof("kind")
    if kind == "provider_tool":
        return tool.provider_tool.name or tool.provider_tool.capability
    return tool.custom.name if kind == "custom" else tool.function.name


def _tool(tool: params_pb2.Tool, path: str, scope: Scope) -> Native | None:
    native = _kind(tool, path, scope)
    if native is None:
        return None
    if tool.HasField("cache"):
        scope.losses.hint(f"{path}.cache", f"{scope.dialect.name} has no cache breakpoints after tools here")
    if tool.defer_loading:
        scope.losses.hint(f"{path}.defer_loading", "chat completions have no tool search")
    scope.patch(native, tool.provider_json, path)
    return native


def _kind(tool: params_pb2.Tool, path: str, scope: Scope) -> Native | None:
    kind = tool.WhichOneof("kind")
    if kind == "function":
        return {"type": "function", "function": _function(tool.function, f"{path}.function", scope)}
    if kind == "custom":
        if "custom_tools" not in scope.dialect.lacks:
            return {"type": "custom", "custom": _custom(tool.custom, f"{path}.custom", scope)}
    elif kind == "provider_tool":
        # The caller's own definition is the whole tool.
        if any(tool.provider_json.get(key) for key in scope.dialect.keys):
            return {}
    elif kind is None:
        raise invalid(f"{path} holds nothing this version knows; set one kind of tool", path)
    scope.losses.shape(f"{path}.{kind}", f"{scope.dialect.name} has no such tools in chat completions")
    return None


def _function(tool: params_pb2.FunctionTool, path: str, scope: Scope) -> Native:
    native: Native = {"name": tool.name}
    if tool.description:
        native["description"] = tool.description
    if tool.input_schema_json:
        native["parameters"] = json_text.verbatim(tool.input_schema_json, f"{path}.input_schema_json")
    if tool.HasField("strict"):
        if "strict" in scope.dialect.lacks:
            scope.losses.shape(f"{path}.strict", f"{scope.dialect.name} enforces no schemas")
        else:
            native["strict"] = tool.strict
    return native


def _custom(tool: params_pb2.CustomTool, path: str, scope: Scope) -> Native:
    native: Native = {"name": tool.name}
    if tool.description:
        native["description"] = tool.description
    if tool.HasField("grammar"):
        grammar = {"syntax": tool.grammar.syntax, "definition": tool.grammar.definition}
        if tool.grammar.syntax in ("lark", "regex"):
            native["format"] = {"type": "grammar", "grammar": grammar}
        else:
            scope.losses.shape(f"{path}.grammar", f"{scope.dialect.name} knows the grammars lark and regex")
    return native


def _choose(choice: params_pb2.ToolChoice, tools: dict[str, Native], body: Native, scope: Scope) -> list[Native]:
    """Sets `tool_choice` in `body`; returns the tools to send: fewer, where a choice can only be made that way."""
    names = list(choice.allowed_names)
    for index, name in enumerate(names):
        if name not in tools:
            path = f"params.tool_choice.allowed_names[{index}]"
            raise invalid(f"{path} names {name!r}, which is not among prompt.tools", path)
    mode = {_Mode.MODE_AUTO: "auto", _Mode.MODE_NONE: "none", _Mode.MODE_REQUIRED: "required"}.get(choice.mode)
    if not names or mode == "none":
        if mode is not None:
            body["tool_choice"] = mode
        return list(tools.values())
    allowed = [_reference(name, tools[name]) for name in names]
    named = len(names) == 1 and mode == "required"
    if ("named_tool_choice" if named else "allowed_tools") in scope.dialect.lacks:
        scope.losses.emulated("params.tool_choice.allowed_names", "only the allowed tools are sent")
        body["tool_choice"] = mode or "auto"
        return [tools[name] for name in names]
    body["tool_choice"] = (
        allowed[0] if named else {"type": "allowed_tools", "allowed_tools": {"mode": mode or "auto", "tools": allowed}}
    )
    return list(tools.values())


def _reference(name: str, tool: Native) -> Native:
    kind: Any = tool.get("type")
    return {"type": kind, kind: {"name": name}} if kind in ("function", "custom") else {"type": kind}
