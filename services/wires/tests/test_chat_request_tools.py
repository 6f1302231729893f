"""Tools and the choice among them on their way to the vendor."""

from dataclasses import replace

import pytest
from chat_request import ERROR, WARN, body, refused, warnings

from antiphon_wires.openai_chat.codec import COMPATIBLE, OPENAI

TOOLS = """
prompt { messages { role: ROLE_USER parts { text { text: "hi" } } }
  tools { function { name: "f" } }
  tools { custom { name: "c" description: "d" grammar { syntax: "lark" definition: "x" } } }
  tools { custom { name: "free" } } }
"""


def test_tools():
    assert body(TOOLS)["tools"] == [
        {"type": "function", "function": {"name": "f"}},
        {
            "type": "custom",
            "custom": {
                "name": "c",
                "description": "d",
                "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
            },
        },
        {"type": "custom", "custom": {"name": "free"}},
    ]


@pytest.mark.parametrize(
    ("choice", "native"),
    [
        ("mode: MODE_AUTO", "auto"),
        ("mode: MODE_NONE", "none"),
        ('mode: MODE_NONE allowed_names: "f"', "none"),
        ("mode: MODE_REQUIRED", "required"),
        ("", None),
        ('mode: MODE_REQUIRED allowed_names: "f"', {"type": "function", "function": {"name": "f"}}),
        ('mode: MODE_REQUIRED allowed_names: "c"', {"type": "custom", "custom": {"name": "c"}}),
        (
            'allowed_names: "f"',
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
        ),
    ],
)
def test_tool_choice(choice, native):
    sent = body(f"{TOOLS} params {{ tool_choice {{ {choice} }} }}")
    assert sent.get("tool_choice") == native
    assert len(sent["tools"]) == 3


@pytest.mark.parametrize(
    ("choice", "native"), [('allowed_names: "f"', "auto"), ('mode: MODE_REQUIRED allowed_names: "f"', "required")]
)
def test_a_choice_that_the_dialect_lacks_is_made_by_leaving_tools_out(choice, native):
    text = (
        'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } } tools { function { name: "f" } }'
        f' tools {{ function {{ name: "g" }} }} }} params {{ tool_choice {{ {choice} }} }}'
    )
    sent = body(text, COMPATIBLE)
    assert sent["tool_choice"] == native
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["f"]
    assert warnings(text, COMPATIBLE) == [("EMULATED", "params.tool_choice.allowed_names")]
    assert refused(text + ERROR, COMPATIBLE) == ("PARAM_UNSUPPORTED", "params.tool_choice.allowed_names")


def test_a_choice_of_an_unknown_tool():
    assert refused(TOOLS + 'params { tool_choice { allowed_names: "x" } }') == (
        "INVALID_REQUEST",
        "params.tool_choice.allowed_names[0]",
    )


def tool(text, dialect=OPENAI, more=""):
    return f'prompt {{ messages {{ role: ROLE_USER parts {{ text {{ text: "hi" }} }} }} tools {{ {text} }} }} {more}'


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('mcp { server_label: "m" }', "prompt.tools[0].mcp"),
        ('provider_tool { capability: "web_search" }', "prompt.tools[0].provider_tool"),
        ('provider_tool { name: "x" } provider_json { key: "anthropic" value: "{}" }', "prompt.tools[0].provider_tool"),
    ],
)
def test_tools_this_wire_has_not(text, path):
    assert refused(tool(text)) == ("PARAM_UNSUPPORTED", path)
    assert warnings(tool(text, more=WARN)) == [("PARAM_DROPPED", path)]
    assert "tools" not in body(tool(text, more=WARN))


def test_custom_tools_a_dialect_has_not():
    assert refused(tool('custom { name: "c" }'), COMPATIBLE) == ("PARAM_UNSUPPORTED", "prompt.tools[0].custom")
    grammar = 'custom { name: "c" grammar { syntax: "gbnf" } }'
    assert refused(tool(grammar)) == ("PARAM_UNSUPPORTED", "prompt.tools[0].custom.grammar")
    assert refused(tool("")) == ("INVALID_REQUEST", "prompt.tools[0]")
    strict = 'function { name: "f" strict: true }'
    loose = replace(OPENAI, lacks=frozenset({"strict"}))
    assert refused(tool(strict), loose) == ("PARAM_UNSUPPORTED", "prompt.tools[0].function.strict")


def test_a_tool_of_the_vendor_by_its_own_definition():
    text = 'provider_tool { capability: "search" } provider_json { key: "openai/chat" value: "{\\"type\\": \\"x\\"}" }'
    assert body(tool(text))["tools"] == [{"type": "x"}]
    chosen = 'params { tool_choice { mode: MODE_REQUIRED allowed_names: "search" } }'
    assert body(tool(text, more=chosen))["tool_choice"] == {"type": "x"}


def test_hints_of_tools():
    text = tool('function { name: "f" } cache {} defer_loading: true')
    assert warnings(text) == [
        ("PARAM_DROPPED", "prompt.tools[0].cache"),
        ("PARAM_DROPPED", "prompt.tools[0].defer_loading"),
    ]
