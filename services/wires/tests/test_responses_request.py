"""Requests to the Responses API: parameters, formats, tools, patches, and what it cannot take."""

import json

import pytest
from responses_wire import ERROR, USER, WARN, body, encoded, items, parsed, refused, warnings

from antiphon.llm.v1 import models_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_wires.openai_chat.codec import OPENAI
from antiphon_wires.openai_responses.codec import encode_count, read_count, speaks_responses, support

TOOLS = 'tools { function { name: "f" } } tools { custom { name: "c" } }'


def test_the_least_that_is_sent():
    assert body(USER) == {"model": "gpt", "input": [{"role": "user", "content": "hi"}], "stream": True, "store": False}


def test_every_parameter():
    text = f"""{USER} params {{ max_output_tokens: 9 temperature: 0 top_p: 0.1 top_logprobs: 2
      parallel_tool_calls: false max_tool_calls: 3 service_tier: "flex" store: true end_user_id: "u"
      prompt_cache_key: "k" verbosity: "low"
      output_modalities: "text" candidate_count: 1
      reasoning {{ effort: "high" summary: "auto" include_opaque_state: true }} }}"""
    sent = body(text)
    del sent["input"], sent["model"], sent["stream"]
    assert sent == {
        "max_output_tokens": 9,
        "temperature": 0,
        "top_p": 0.1,
        "top_logprobs": 2,
        "parallel_tool_calls": False,
        "max_tool_calls": 3,
        "service_tier": "flex",
        "store": True,
        "safety_identifier": "u",
        "prompt_cache_key": "k",
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    }
    assert warnings(text) == []


@pytest.mark.parametrize(
    ("params", "path", "hint"),
    [
        ("top_k: 1", "top_k", True),
        ("min_p: 0.1", "min_p", True),
        ("frequency_penalty: 1", "frequency_penalty", True),
        ("presence_penalty: 1", "presence_penalty", True),
        ("repetition_penalty: 1.1", "repetition_penalty", True),
        ("seed: 0", "seed", True),
        ("logit_bias { key: 1 value: 2 }", "logit_bias", True),
        ("reasoning { budget_tokens: 9 }", "reasoning.budget_tokens", True),
        ('stop: "x"', "stop", False),
        ("candidate_count: 2", "candidate_count", False),
        ('output_modalities: "audio"', "output_modalities", False),
        ('output_format { grammar { syntax: "lark" } }', "output_format.grammar", False),
    ],
)
def test_what_this_api_lacks_is_refused_or_warned_of(params, path, hint):
    text = f"{USER} params {{ {params} }}"
    if hint:
        assert warnings(text) == [("PARAM_DROPPED", f"params.{path}")]
    else:
        assert refused(text) == ("PARAM_UNSUPPORTED", f"params.{path}")
    assert refused(text + ERROR) == ("PARAM_UNSUPPORTED", f"params.{path}")
    assert warnings(text + WARN) == [("PARAM_DROPPED", f"params.{path}")]
    member = path.partition(".")[0]
    assert member not in json.loads(encoded(text + WARN).body)


@pytest.mark.parametrize(
    ("reasoning", "sent", "include"),
    [
        ("", None, True),
        ("mode: MODE_DISABLED", {"effort": "none"}, False),
        ('effort: "none"', {"effort": "none"}, False),
        ("mode: MODE_ENABLED", {"effort": "medium"}, True),
        ('effort: "of next year" summary: "none"', {"effort": "of next year"}, True),
        ('effort: "low" include_opaque_state: false', {"effort": "low"}, False),
    ],
)
def test_reasoning(reasoning, sent, include):
    told = body(f"{USER} params {{ reasoning {{ {reasoning} }} }}")
    assert told.get("reasoning") == sent
    assert ("include" in told) is include


def test_state_is_asked_for_where_the_vendor_stores_nothing():
    assert "include" not in body(f'{USER} params {{ store: true reasoning {{ effort: "low" }} }}')
    assert "include" not in body(USER)
    assert warnings(f"{USER} params {{ reasoning {{ mode: MODE_ENABLED }} }}") == [
        ("EMULATED", "params.reasoning.mode")
    ]


def test_structured_output():
    schema = '{"type":"object","properties":{"z":{"const":9007199254740993},"a":{"maximum":1e400}}}'
    text = f"""{USER} params {{ output_format {{ json_schema {{ name: "n" description: "d" strict: true
      schema_json: '{schema}' }} }} }}"""
    assert schema.encode() in encoded(text).body
    told = body(text)["text"]["format"]
    assert (told["type"], told["name"], told["description"], told["strict"]) == ("json_schema", "n", "d", True)
    assert body(f"{USER} params {{ output_format {{ json_schema {{ name: 'n' }} }} }}")["text"]["format"] == {
        "type": "json_schema",
        "name": "n",
    }
    assert body(f"{USER} params {{ output_format {{ json_object {{}} }} }}")["text"] == {
        "format": {"type": "json_object"}
    }


def test_the_operators_bound_counts_where_the_caller_set_none():
    assert body(USER, max_output_tokens=7)["max_output_tokens"] == 7
    assert body(f"{USER} params {{ max_output_tokens: 9 }}", max_output_tokens=7)["max_output_tokens"] == 9


# -- tools


def tools(text):
    return body(f"{USER} prompt {{ {text} }}")["tools"]


def test_functions_and_custom_tools():
    function, custom, plain = tools(
        """tools { function { name: "f" description: "d" input_schema_json: '{"z":1,"a":1e400}' strict: true }
             defer_loading: true provider_json { key: "openai/responses" value: '{"async":true}' } }
           tools { custom { name: "c" description: "d" grammar { syntax: "lark" definition: "x" } } }
           tools { custom { name: "p" } }"""
    )
    assert (
        b'{"z":1,"a":1e400}'
        in encoded(
            f"""{USER} prompt {{ tools {{ function {{ name: "f" input_schema_json: '{{"z":1,"a":1e400}}' }} }} }}"""
        ).body
    )
    del function["parameters"]
    assert function == {
        "type": "function",
        "name": "f",
        "description": "d",
        "strict": True,
        "defer_loading": True,
        "async": True,
    }
    assert custom == {
        "type": "custom",
        "name": "c",
        "description": "d",
        "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
    }
    assert plain == {"type": "custom", "name": "p"}
    assert tools('tools { function { name: "f" } }') == [
        {"type": "function", "name": "f", "strict": False, "parameters": {"type": "object", "properties": {}}}
    ]


@pytest.mark.parametrize(
    ("capability", "native"),
    [
        ("web_search", {"type": "web_search"}),
        ("file_search", {"type": "file_search"}),
        ("code_execution", {"type": "code_interpreter", "container": {"type": "auto"}}),
        ("image_generation", {"type": "image_generation"}),
        ("computer_use", {"type": "computer"}),
        ("tool_search", {"type": "tool_search"}),
        ("shell", {"type": "shell"}),
    ],
)
def test_tools_that_the_vendor_runs(capability, native):
    text = f'provider_tool {{ capability: "{capability}" }}'
    assert tools(f"tools {{ {text} }}") == [native]
    patch = """provider_json { key: "openai" value: '{"type":"dated"}' }"""
    assert tools(f"tools {{ {text} {patch} }}") == [native | {"type": "dated"}]
    assert tools(f"tools {{ provider_tool {{ capability: 'memory' }} {patch} }}") == [{"type": "dated"}]


def test_mcp():
    [tool] = tools(
        """tools { mcp { server_label: "wiki" server_url: "https://x.test" authorization: "t" allowed_tools: "ask"
             headers { name: "a" value: "1" } headers { name: "a" value: "2" } headers { name: "b" value: "3" } } }"""
    )
    assert tool == {
        "type": "mcp",
        "server_label": "wiki",
        "server_url": "https://x.test",
        "authorization": "t",
        "allowed_tools": ["ask"],
        "headers": {"a": "1, 2", "b": "3"},
    }
    [bare] = tools('tools { mcp { server_label: "wiki" server_url: "https://x.test" } }')
    assert bare.keys() == {"type", "server_label", "server_url"}


@pytest.mark.parametrize(
    ("tool", "reason", "path"),
    [
        ("", "INVALID_REQUEST", ""),
        ('provider_tool { capability: "memory" }', "PARAM_UNSUPPORTED", ".provider_tool"),
        ('custom { name: "c" grammar { syntax: "gbnf" } }', "PARAM_UNSUPPORTED", ".custom.grammar"),
        ('function { name: "f" input_schema_json: "[]" }', "INVALID_REQUEST", ".function.input_schema_json"),
    ],
)
def test_tools_that_cannot_be_sent(tool, reason, path):
    assert refused(f"{USER} prompt {{ tools {{ {tool} }} }}") == (reason, f"prompt.tools[0]{path}")


def test_what_of_a_tool_is_lost():
    assert warnings(f'{USER} prompt {{ tools {{ function {{ name: "f" }} cache {{}} }} }}') == [
        ("PARAM_DROPPED", "prompt.tools[0].cache")
    ]
    text = f'{USER} prompt {{ tools {{ provider_tool {{ capability: "memory" }} }} }} {WARN}'
    assert warnings(text) == [("PARAM_DROPPED", "prompt.tools[0].provider_tool")]
    assert "tools" not in json.loads(encoded(text).body)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("", None),
        ("mode: MODE_AUTO", "auto"),
        ("mode: MODE_NONE allowed_names: 'f'", "none"),
        ("mode: MODE_REQUIRED", "required"),
        ("mode: MODE_REQUIRED allowed_names: 'f'", {"type": "function", "name": "f"}),
        ("mode: MODE_REQUIRED allowed_names: 'c'", {"type": "custom", "name": "c"}),
        ("mode: MODE_REQUIRED allowed_names: 'wiki'", {"type": "mcp", "server_label": "wiki"}),
        ("mode: MODE_REQUIRED allowed_names: 'web_search'", {"type": "web_search"}),
        ("allowed_names: 'f'", {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}),
    ],
)
def test_tool_choice(choice, sent):
    more = 'tools { mcp { server_label: "wiki" } } tools { provider_tool { capability: "web_search" } }'
    told = body(f"{USER} prompt {{ {TOOLS} {more} }} params {{ tool_choice {{ {choice} }} }}")
    assert told.get("tool_choice") == sent
    assert len(told["tools"]) == 4


def test_a_choice_of_an_unknown_tool():
    text = f"{USER} params {{ tool_choice {{ allowed_names: 'x' }} }}"
    assert refused(text) == ("INVALID_REQUEST", "params.tool_choice.allowed_names[0]")
    assert body(f"{USER} params {{ tool_choice {{ mode: MODE_NONE }} }}")["tool_choice"] == "none"


# -- the caller's words


def patch(text, key="openai/responses"):
    return f"options {{ provider_json {{ key: '{key}' value: '{text}' }} }}"


def test_the_callers_patch_comes_last():
    text = USER + patch('{"previous_response_id":"resp_0","store":true,"truncation":"auto","background":null}')
    told = body(text + patch('{"truncation":"x","metadata":{"a":"b"}}', "openai") + patch('{"x":1}', "openai/chat"))
    assert (told["previous_response_id"], told["store"], told["truncation"]) == ("resp_0", True, "auto")
    assert told["metadata"] == {"a": "b"}
    assert "x" not in told


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ('{"model":"x"}', 'options.provider_json["openai/responses"]'),
        ('{"stream":false}', 'options.provider_json["openai/responses"]'),
        ("[]", 'options.provider_json["openai/responses"]'),
        ('{"max_output_tokens":0}', "params.max_output_tokens"),
        ('{"top_logprobs":21}', "params.top_logprobs"),
        ('{"top_logprobs":true}', "params.top_logprobs"),
    ],
)
def test_a_patch_that_cannot_be(text, param):
    assert refused(USER + patch(text)) == ("INVALID_REQUEST", param)


def test_headers():
    text = """options { provider_headers { key: "openai/responses" value {
      headers { name: "OpenAI-Beta" value: "x" } headers { name: "cookie" value: "y" } } } }"""
    assert encoded(USER + text).headers == {"openai-beta": "x"}
    assert warnings(USER + text) == [("PARAM_DROPPED", 'options.provider_headers["openai/responses"]')]


# -- counting


def test_a_count_has_what_decides_over_the_input_and_no_more():
    text = f"""{USER} prompt {{ {TOOLS} }} params {{ max_output_tokens: 9 stop: "x" store: true top_logprobs: 1
      verbosity: "low" reasoning {{ effort: "low" }} }} """ + patch('{"instructions":"i","metadata":{}}')
    counted = encode_count(parsed(text), OPENAI, model="gpt", state_domain="acc")
    assert json.loads(counted.body).keys() == {"model", "input", "tools", "text", "reasoning", "instructions"}
    assert counted.warnings == ()


def test_reading_a_count():
    told = b'{"object":"response.input_tokens","input_tokens":31}'
    assert read_count(told).input_tokens == 31
    assert read_count(told).native_json == told.decode()
    for other in (b"", b"[]", b"{}", b'{"input_tokens":-1}', b'{"input_tokens":"1"}'):
        with pytest.raises(ValueError, match=r"no count|Expecting"):
            read_count(other)


# -- which API


def own(kind):
    return f'opaque {{ issuer: "openai" kind: "{kind}" data: "x" }}'


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        (USER, False),
        (f"{USER} params {{ seed: 1 reasoning {{ effort: 'low' summary: 'none' }} }} prompt {{ {TOOLS} }}", False),
        (f"{USER} params {{ reasoning {{ summary: 'auto' }} }}", True),
        (f"{USER} params {{ reasoning {{ include_opaque_state: true }} }}", True),
        (f"{USER} params {{ max_tool_calls: 0 }}", True),
        (f"{USER} prompt {{ tools {{ mcp {{}} }} }}", True),
        (f"{USER} prompt {{ tools {{ function {{}} defer_loading: true }} }}", True),
        (f"{USER} prompt {{ tools {{ provider_tool {{}} }} }}", True),
        (
            f"{USER} prompt {{ tools {{ provider_tool {{}} provider_json {{ key: 'openai/chat' value: '{{}}' }} }} }}",
            False,
        ),
        ("prompt { messages { parts { text {} phase: 'commentary' } } }", True),
        (f"prompt {{ messages {{ parts {{ reasoning {{}} {own('reasoning.encrypted_content')} }} }} }}", True),
        (f"prompt {{ messages {{ parts {{ media {{}} {own('audio.id')} }} }} }}", False),
        ("prompt { messages { parts { reasoning {} opaque { issuer: 'x' kind: 'reasoning.id' } } } }", False),
        ("prompt { messages { parts { native { provider: 'openai/responses' } } } }", True),
        ("prompt { messages { parts { native { provider: 'openai/chat' } } } }", False),
        ("prompt { messages { parts { tool_call { kind: KIND_PROVIDER } } } }", False),
        (
            "prompt { messages { parts { tool_call { kind: KIND_PROVIDER }"
            " provider_json { key: 'openai/responses' value: '{}' } } } }",
            True,
        ),
        ("prompt { messages { parts { tool_result { parts { text {} } } } } }", False),
        ("prompt { messages { parts { tool_result { parts { media {} } } } } }", True),
        ("prompt { messages { parts { media { mime_type: 'image/png' uri: 'https://x.test' } } } }", False),
        ("prompt { messages { parts { media { mime_type: 'application/pdf' uri: 'https://x.test' } } } }", True),
        ("prompt { messages { parts { media { mime_type: 'application/pdf' data: 'x' } } } }", False),
    ],
)
def test_what_only_responses_can_do(text, needed):
    request = parsed(text)
    assert speaks_responses(request, OPENAI, "auto") is needed
    assert speaks_responses(request, OPENAI, "chat") is False
    assert speaks_responses(request, OPENAI, "responses") is True


def test_the_caller_can_choose():
    for key, chosen in (("openai/responses", True), ("openai/chat", False), ("openai", False)):
        assert speaks_responses(parsed(USER + patch("{}", key)), OPENAI, "auto") is chosen
    both = USER + patch("{}") + patch("{}", "openai/chat")
    assert speaks_responses(parsed(both), OPENAI, "auto") is False
    assert speaks_responses(parsed(both + "params { max_tool_calls: 1 }"), OPENAI, "auto") is True


def test_what_is_declared_is_what_is_done():
    for path, treated in support().items():
        assert path.split(".")[0] in ("params", "prompt")
        assert treated in models_pb2.Support.values()
    assert support()["params.seed"] == models_pb2.SUPPORT_IGNORED
    assert support()["params.stop"] == models_pb2.SUPPORT_REJECTED
    assert support()["params.logprobs"] == models_pb2.SUPPORT_NATIVE


def test_roles_are_needed():
    with pytest.raises(CallFailure) as raised:
        items("messages { parts { text {} } }")
    assert reason_name(raised.value.error.reason) == "INVALID_REQUEST"
