"""Parameters, tools, reasoning and output format on their way to Cohere."""

import json

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_provider_cohere.codec import encode_chat

Kind = response_pb2.Warning.Kind
HI = 'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } } }'
WARN = "options { unsupported_policy: UNSUPPORTED_POLICY_WARN }"
STRICT = "options { unsupported_policy: UNSUPPORTED_POLICY_ERROR }"
LEAST = {"model", "messages", "stream"}


def encode(text, **more):
    request = text_format.Merge(HI + text, chat_pb2.StreamGenerateRequest())
    encoded = encode_chat(request, model="command-a", **more)
    body = {name: value for name, value in json.loads(encoded.body).items() if name not in LEAST}
    return body, [(Kind.Name(warning.kind), warning.path) for warning in encoded.warnings]


def refused(text):
    with pytest.raises(CallFailure) as raised:
        encode(text)
    return reason_name(raised.value.error.reason), raised.value.error.param


def test_native_parameters_go_out_as_they_are_set():
    body, warnings = encode(
        "params { max_output_tokens: 7 temperature: 0.1 top_p: 0.9 top_k: 40 frequency_penalty: 0.5 "
        'presence_penalty: 0.25 stop: "END" seed: -9007199254740993 logprobs: false }'
    )
    assert body == {
        "max_tokens": 7, "temperature": 0.1, "p": 0.9, "k": 40, "frequency_penalty": 0.5, "presence_penalty": 0.25,
        "stop_sequences": ["END"], "seed": -9007199254740993, "logprobs": False,
    }  # fmt: skip
    assert warnings == []


def test_zero_is_a_value_and_unset_is_none():
    assert encode("params { temperature: 0 seed: 0 frequency_penalty: 0 }")[0] == {
        "temperature": 0.0, "seed": 0, "frequency_penalty": 0.0,
    }  # fmt: skip
    assert encode("params { }") == ({}, [])


@pytest.mark.parametrize(
    ("param", "member", "nearest"),
    [
        ("frequency_penalty: -0.5", "frequency_penalty", 0.0),
        ("presence_penalty: 2", "presence_penalty", 1.0),
        ("top_p: 1", "p", 0.99),
        ("top_p: 0.001", "p", 0.01),
        ("top_k: 1000", "k", 500),
    ],
)
def test_values_cohere_refuses_are_clamped(param, member, nearest):
    body, warnings = encode(f"params {{ {param} }}")
    assert body == {member: nearest}
    assert type(body[member]) is type(nearest)
    path = f"params.{param.partition(':')[0]}"
    assert warnings == [("KIND_PARAM_CLAMPED", path)]
    assert refused(f"params {{ {param} }} {STRICT}") == ("PARAM_UNSUPPORTED", path)


@pytest.mark.parametrize(
    "param",
    ["min_p: 0.1", "repetition_penalty: 1.1", "logit_bias { key: 1 value: 2 }", "max_tool_calls: 3", "store: false",
     'service_tier: "flex"', 'end_user_id: "u"', 'prompt_cache_key: "k"', 'verbosity: "low"'],
)  # fmt: skip
def test_hints_are_left_out_with_a_warning(param):
    path = f"params.{param.replace(' {', ':').partition(':')[0]}"
    assert encode(f"params {{ {param} }}") == ({}, [("KIND_PARAM_DROPPED", path)])
    assert refused(f"params {{ {param} }} {STRICT}") == ("PARAM_UNSUPPORTED", path)


@pytest.mark.parametrize(
    ("param", "sent"),
    [
        ("candidate_count: 2", {}),
        ("top_logprobs: 3", {"logprobs": True}),
        ("parallel_tool_calls: false", {}),
        ('output_modalities: "audio"', {}),
    ],
)
def test_what_changes_the_answer_is_refused_unless_warnings_are_enough(param, sent):
    path = f"params.{param.partition(':')[0]}"
    assert refused(f"params {{ {param} }}") == ("PARAM_UNSUPPORTED", path)
    assert encode(f"params {{ {param} }} {WARN}") == (sent, [("KIND_PARAM_DROPPED", path)])


def test_what_cohere_does_anyway_needs_no_word():
    asked = 'params { candidate_count: 1 top_logprobs: 0 parallel_tool_calls: true output_modalities: "text" }'
    assert encode(asked) == ({}, [])


def test_at_most_five_stop_texts():
    stops = " ".join(f'stop: "{number}"' for number in range(6))
    assert refused(f"params {{ {stops} }}") == ("PARAM_UNSUPPORTED", "params.stop")
    body, warnings = encode(f"params {{ {stops} }} {WARN}")
    assert body == {"stop_sequences": ["0", "1", "2", "3", "4"]}
    assert warnings == [("KIND_PARAM_DROPPED", "params.stop")]
    patch = 'options { provider_json { key: "cohere" value: "{\\"stop_sequences\\": [1,2,3,4,5,6]}" } }'
    assert refused(patch) == ("PARAM_UNSUPPORTED", "params.stop")


def test_the_operators_token_limit_counts_where_the_caller_set_none():
    assert encode("", max_output_tokens=9)[0] == {"max_tokens": 9}
    assert encode("params { max_output_tokens: 3 }", max_output_tokens=9)[0] == {"max_tokens": 3}


# -- reasoning


@pytest.mark.parametrize(
    ("reasoning", "thinking", "warned"),
    [
        ("mode: MODE_DISABLED", {"type": "disabled"}, []),
        ('effort: "none"', {"type": "disabled"}, []),
        ("budget_tokens: 0", {"type": "disabled"}, []),
        ("mode: MODE_ENABLED", {"type": "enabled"}, []),
        ("budget_tokens: 512", {"type": "enabled", "token_budget": 512}, []),
        ("mode: MODE_ENABLED budget_tokens: 512", {"type": "enabled", "token_budget": 512}, []),
        ("mode: MODE_ADAPTIVE", {"type": "enabled"}, ["params.reasoning.mode"]),
        ('effort: "xhigh"', {"type": "enabled"}, ["params.reasoning.effort"]),
        ('effort: "low" budget_tokens: 9', {"type": "enabled", "token_budget": 9}, ["params.reasoning.effort"]),
    ],
)
def test_reasoning(reasoning, thinking, warned):
    body, warnings = encode(f"params {{ reasoning {{ {reasoning} }} }}")
    assert body == {"thinking": thinking}
    assert warnings == [("KIND_EMULATED", path) for path in warned]


def test_reasoning_that_says_nothing_and_what_cohere_cannot_show():
    assert encode('params { reasoning { summary: "none" include_opaque_state: false } }') == ({}, [])
    assert encode('params { reasoning { summary: "auto" include_opaque_state: true } }') == (
        {}, [("KIND_PARAM_DROPPED", "params.reasoning.summary"),
             ("KIND_PARAM_DROPPED", "params.reasoning.include_opaque_state")],
    )  # fmt: skip


# -- output format


SCHEMA = '{"type":"object",  "properties":{"z":{"const":9007199254740993},"a":{"maximum":1e400}}}'


def test_json():
    assert encode("params { output_format { json_object { } } }")[0] == {"response_format": {"type": "json_object"}}
    request = chat_pb2.StreamGenerateRequest()
    request.prompt.messages.add(role=3).parts.add().text.text = "hi"
    request.params.output_format.json_schema.name = "answer"
    request.params.output_format.json_schema.strict = True
    request.params.output_format.json_schema.schema_json = SCHEMA
    encoded = encode_chat(request, model="m")
    assert b'"response_format":{"type":"json_object","json_schema":' + SCHEMA.encode() + b"}" in encoded.body
    assert encoded.warnings == ()


def test_what_of_a_schema_is_lost():
    asked = 'params { output_format { json_schema { name: "n" description: "d" strict: false } } }'
    body, warnings = encode(asked)
    assert body == {"response_format": {"type": "json_object"}}
    assert [path for _, path in warnings] == [
        "params.output_format.json_schema.description", "params.output_format.json_schema.strict",
    ]  # fmt: skip


def test_formats_there_are_not():
    grammar = 'params { output_format { grammar { syntax: "regex" definition: "a" } } }'
    assert refused(grammar) == ("PARAM_UNSUPPORTED", "params.output_format.grammar")
    assert encode(grammar + WARN) == ({}, [("KIND_PARAM_DROPPED", "params.output_format.grammar")])
    assert encode("params { output_format { } }") == ({}, [])


# -- tools


def function(name, more=""):
    return f'tools {{ function {{ name: "{name}" {more} }} }}'


def native(name):
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


def test_a_function_with_its_schema_byte_for_byte():
    request = text_format.Merge(HI, chat_pb2.StreamGenerateRequest())
    tool = request.prompt.tools.add()
    tool.function.name, tool.function.description, tool.function.input_schema_json = "f", "d", SCHEMA
    tool.provider_json["cohere"] = '{"x": 1}'
    body = encode_chat(request, model="m").body
    assert b'"function":{"name":"f","description":"d","parameters":' + SCHEMA.encode() + b"}" in body
    assert json.loads(body)["tools"][0]["x"] == 1


@pytest.mark.parametrize(
    ("strict", "sent", "warned"),
    [
        (("", ""), None, []),
        (("strict: true", "strict: true"), True, []),
        (("strict: false", "strict: false"), False, []),
        (("strict: false", ""), False, []),
        (("strict: true", ""), True, [("KIND_EMULATED", "prompt.tools")]),
        (("strict: true", "strict: false"), True, [("KIND_EMULATED", "prompt.tools")]),
    ],
)
def test_strictness_is_the_requests(strict, sent, warned):
    body, warnings = encode(f"prompt {{ {function('a', strict[0])} {function('b', strict[1])} }}")
    assert body.get("strict_tools") is sent
    assert warnings == warned


@pytest.mark.parametrize(
    ("choice", "member", "left", "warned"),
    [
        ("mode: MODE_AUTO", None, "abc", False),
        ("mode: MODE_NONE", "NONE", "abc", False),
        ('mode: MODE_NONE allowed_names: "a"', "NONE", "abc", False),
        ("mode: MODE_REQUIRED", "REQUIRED", "abc", False),
        ('mode: MODE_REQUIRED allowed_names: "b"', "REQUIRED", "b", True),
        ('allowed_names: "c" allowed_names: "a"', None, "ac", True),
        ('allowed_names: "c" allowed_names: "a" allowed_names: "b"', None, "abc", False),
    ],
)
def test_tool_choice(choice, member, left, warned):
    tools = " ".join(function(name) for name in "abc")
    text = f"prompt {{ {tools} }} params {{ tool_choice {{ {choice} }} }}"
    body, warnings = encode(text)
    assert body.get("tool_choice") == member
    assert body["tools"] == [native(name) for name in left]
    path = "params.tool_choice.allowed_names"
    assert warnings == ([("KIND_EMULATED", path)] if warned else [])
    if warned:
        assert refused(text + STRICT) == ("PARAM_UNSUPPORTED", path)


def test_a_choice_among_what_is_not_there():
    assert refused('params { tool_choice { allowed_names: "x" } }') == (
        "INVALID_REQUEST", "params.tool_choice.allowed_names[0]",
    )  # fmt: skip
    assert encode("params { tool_choice { mode: MODE_NONE } }") == ({}, [])


@pytest.mark.parametrize(
    "kind",
    ['custom { name: "c" }', 'provider_tool { capability: "web_search" }', 'mcp { server_label: "m" }'],
)
def test_tools_there_are_not(kind):
    name = kind.partition(" ")[0]
    path = f"prompt.tools[0].{name}"
    assert refused(f"prompt {{ tools {{ {kind} }} }}") == ("PARAM_UNSUPPORTED", path)
    assert encode(f"prompt {{ tools {{ {kind} }} }} {WARN}") == ({}, [("KIND_PARAM_DROPPED", path)])


def test_a_definition_of_the_callers_own_is_the_whole_tool():
    text = (
        'prompt { tools { provider_tool { name: "own" } cache { } defer_loading: true '
        'provider_json { key: "cohere" value: "{\\"type\\":\\"new\\"}" } } }'
    )
    body, warnings = encode(text + ' params { tool_choice { allowed_names: "own" } }')
    assert body == {"tools": [{"type": "new"}]}
    assert warnings == [
        ("KIND_PARAM_DROPPED", "prompt.tools[0].cache"), ("KIND_PARAM_DROPPED", "prompt.tools[0].defer_loading"),
    ]  # fmt: skip
