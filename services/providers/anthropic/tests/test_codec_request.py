"""What goes to the vendor: limits, parameters, reasoning, tools, patches, and what is said about the rest."""

import json

import pytest
from anthropic_encoding import USER, WARN, body, encoded, refused, warnings

from antiphon_provider_anthropic.codec import Facts, known_facts

ERROR = "options { unsupported_policy: UNSUPPORTED_POLICY_ERROR }"
MANUAL = Facts(thinking=frozenset({"enabled", "disabled"}), efforts=())
ADAPTIVE = Facts(thinking=frozenset({"adaptive", "disabled"}), efforts=("low", "medium", "high", "max"))
ALWAYS = Facts(thinking=frozenset({"adaptive"}))


def test_the_least_request():
    assert body(USER) == {
        "model": "claude",
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 64000,
    }


@pytest.mark.parametrize(
    ("text", "operator", "facts", "limit"),
    [
        ("", 0, Facts(), 64000),
        ("", 0, Facts(max_tokens=128000), 128000),
        ("", 500, Facts(), 500),
        ("", 100_000, Facts(max_tokens=8192), 8192),
        ("params { max_output_tokens: 7 }", 500, Facts(), 7),
    ],
)
def test_the_output_limit_is_always_sent(text, operator, facts, limit):
    assert body(USER + text, facts=facts, max_output_tokens=operator)["max_tokens"] == limit


# 400 even at defaults: https://platform.claude.com/docs/en/api/migration-2026-10-21 (2026-11).
@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
def test_sampling_is_left_out_with_a_warning_or_refused(field):
    text = f"{USER} params {{ {field}: 1 }}"
    assert field not in body(text)
    assert warnings(text) == [("PARAM_DROPPED", f"params.{field}")]
    assert refused(text + ERROR) == ("PARAM_UNSUPPORTED", f"params.{field}")


@pytest.mark.parametrize(
    "setting",
    ["min_p: 0.1", "frequency_penalty: 0", "presence_penalty: 1", "repetition_penalty: 1", "seed: 0", "store: false",
     "max_tool_calls: 1", 'prompt_cache_key: "k"', 'verbosity: "low"', "logit_bias { key: 1 value: 1 }",
     'service_tier: "flex"'],
)  # fmt: skip
def test_hints_without_a_word_here_are_left_out_with_a_warning(setting):
    text = f"{USER} params {{ {setting} }}"
    path = f"params.{setting.partition(':')[0].partition(' ')[0]}"
    assert body(text).keys() == body(USER).keys()
    assert warnings(text) == [("PARAM_DROPPED", path)]


@pytest.mark.parametrize(
    ("setting", "path"),
    [("logprobs: true", "logprobs"), ("top_logprobs: 2", "top_logprobs"), ("candidate_count: 2", "candidate_count"),
     ('output_modalities: "audio"', "output_modalities"),
     ("output_format { json_object {} }", "output_format.json_object"),
     ("output_format { grammar {} }", "output_format.grammar")],
)  # fmt: skip
def test_what_shapes_the_answer_is_refused_or_left_out_on_demand(setting, path):
    text = f"{USER} params {{ {setting} }}"
    assert refused(text) == ("PARAM_UNSUPPORTED", f"params.{path}")
    assert ("PARAM_DROPPED", f"params.{path}") in warnings(text + WARN)
    assert body(text + WARN).keys() == body(USER).keys()


def test_what_is_offered_goes_out():
    sent = body(
        USER
        + 'params { stop: "END" stop: "\\n" end_user_id: "u1" service_tier: "auto" candidate_count: 1 '
        + 'output_modalities: "text" output_format {} reasoning {} }'
    )
    assert sent["stop_sequences"] == ["END", "\n"]
    assert sent["metadata"] == {"user_id": "u1"}
    assert sent["service_tier"] == "auto"
    assert "output_config" not in sent


def test_a_tier_by_another_name():
    text = f'{USER} params {{ service_tier: "default" }}'
    assert body(text)["service_tier"] == "standard_only"
    assert warnings(text) == [("PARAM_CLAMPED", "params.service_tier")]


def test_a_schema_goes_out_byte_for_byte():
    schema = '{"z": 1e400,  "a": 9007199254740993, "z": 2}'
    text = f"{USER} params {{ output_format {{ json_schema {{ schema_json: {json.dumps(schema)} strict: true }} }} }}"
    assert f'"output_config":{{"format":{{"type":"json_schema","schema":{schema}}}}}'.encode() in encoded(text).body
    assert warnings(text) == []


def test_of_a_schema_only_the_schema_is_sent():
    text = USER + 'params { output_format { json_schema { name: "n" description: "d" strict: false } } }'
    assert body(text)["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    path = "params.output_format.json_schema"
    # Name and description share a cause, and with it a warning.
    assert warnings(text) == [("PARAM_DROPPED", f"{path}.{field}") for field in ("name", "strict")]


# -- reasoning, https://platform.claude.com/docs/en/build-with-claude/thinking (2026-11)


def reasoning(text, facts=Facts(), limit=64000):  # noqa: B008
    whole = f"{USER} params {{ max_output_tokens: {limit} reasoning {{ {text} }} }}"
    sent = body(whole, facts=facts)
    return sent.get("thinking"), sent.get("output_config"), warnings(whole, facts=facts)


def budget(tokens):
    return {"type": "enabled", "budget_tokens": tokens}


def clamped(field):
    return [("PARAM_CLAMPED", f"params.reasoning.{field}")]


def dropped(field):
    return [("PARAM_DROPPED", f"params.reasoning.{field}")]


def emulated(field):
    return [("EMULATED", f"params.reasoning.{field}")]


@pytest.mark.parametrize(
    ("text", "facts", "thinking", "config", "warned"),
    [
        ("mode: MODE_DISABLED", Facts(), {"type": "disabled"}, None, []),
        ('effort: "none"', Facts(), {"type": "disabled"}, None, []),
        ("budget_tokens: 0", Facts(), {"type": "disabled"}, None, []),
        ("mode: MODE_DISABLED", ALWAYS, None, None, dropped("mode")),
        ('effort: "none"', ALWAYS, None, None, dropped("effort")),
        ("mode: MODE_ADAPTIVE", Facts(), {"type": "adaptive"}, None, []),
        ("mode: MODE_ENABLED", Facts(), {"type": "adaptive"}, None, emulated("mode")),
        ("budget_tokens: 2000", Facts(), budget(2000), None, []),
        ("mode: MODE_ENABLED budget_tokens: 2000", MANUAL, budget(2000), None, []),
        ("budget_tokens: 5", MANUAL, budget(1024), None, clamped("budget_tokens")),
        ("budget_tokens: 64000", MANUAL, budget(63999), None, clamped("budget_tokens")),
        ("budget_tokens: 2000", ADAPTIVE, {"type": "adaptive"}, None, dropped("budget_tokens")),
        ("mode: MODE_ADAPTIVE", MANUAL, budget(32000), None, emulated("mode")),
        ('effort: "high"', Facts(), None, {"effort": "high"}, []),
        ('effort: "minimal"', Facts(), None, {"effort": "low"}, clamped("effort")),
        ('effort: "xhigh"', ADAPTIVE, None, {"effort": "high"}, clamped("effort")),
        ('effort: "ultra"', ADAPTIVE, None, {"effort": "ultra"}, []),
        ('effort: "high"', MANUAL, None, None, dropped("effort")),
        ('mode: MODE_ADAPTIVE summary: "auto"', Facts(), {"type": "adaptive", "display": "summarized"}, None, []),
        ('mode: MODE_ADAPTIVE summary: "none"', Facts(), {"type": "adaptive", "display": "omitted"}, None, []),
        ('budget_tokens: 2000 summary: "detailed"', Facts(), {**budget(2000), "display": "summarized"}, None,
         clamped("summary")),
        ('summary: "auto"', Facts(), None, None, dropped("summary")),
        ('mode: MODE_DISABLED summary: "none"', Facts(), {"type": "disabled"}, None, []),
        ("include_opaque_state: true", Facts(), None, None, []),
        ("include_opaque_state: false", Facts(), None, None, dropped("include_opaque_state")),
    ],
)  # fmt: skip
def test_reasoning_control(text, facts, thinking, config, warned):
    assert reasoning(text, facts) == (thinking, config, warned)


def test_a_budget_needs_room():
    assert reasoning("budget_tokens: 2000", MANUAL, limit=1024) == (None, None, dropped("budget_tokens"))
    assert reasoning("budget_tokens: 2000", MANUAL, limit=1025)[0] == budget(1024)


def test_what_is_known_of_models_that_are_not_listed():
    assert known_facts("claude-haiku-4-5-20251001").thinking == {"enabled", "disabled"}
    assert known_facts("claude-opus-5-5") == Facts()


# -- tools


def tools(text, params="", **kwargs):
    sent = body(
        f"prompt {{ messages {{ role: ROLE_USER parts {{ text {{ text: 'x' }} }} }} {text} }} {params}", **kwargs
    )
    return sent.get("tools"), sent.get("tool_choice")


WEATHER = 'tools { function { name: "weather" } }'
TIME = 'tools { function { name: "time" } }'


def with_tools(text, params=""):
    return f"prompt {{ messages {{ role: ROLE_USER parts {{ text {{ text: 'x' }} }} }} {text} }} {params}"


def test_a_function_with_all_it_can_have():
    schema = '{"type":"object", "properties":{"z":{"const":9007199254740993},"a":{}}}'
    text = with_tools(
        'tools { function { name: "weather" description: "d" strict: true '
        f"input_schema_json: {json.dumps(schema)} }} "
        'defer_loading: true cache { ttl: "1h" } '
        'provider_json { key: "anthropic" value: \'{"input_examples":[{"z":1}]}\' } }'
    )
    assert schema.encode() in encoded(text).body
    [tool] = body(text)["tools"]
    assert {name: tool[name] for name in tool if name != "input_schema"} == {
        "name": "weather",
        "description": "d",
        "strict": True,
        "defer_loading": True,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "input_examples": [{"z": 1}],
    }
    assert warnings(text) == []


def test_a_function_without_a_schema_takes_any_object():
    assert tools(WEATHER)[0] == [{"name": "weather", "input_schema": {"type": "object"}}]


@pytest.mark.parametrize(
    ("capability", "kind"),
    [("web_search", "web_search_20260318"), ("web_fetch", "web_fetch_20260318"),
     ("code_execution", "code_execution_20260521"), ("tool_search", "tool_search_tool_bm25_20251119"),
     ("memory", "memory_20250818"), ("shell", "bash_20250124"), ("text_editor", "text_editor_20250728"),
     ("computer_use", "computer_toolset_20260801")],
)  # fmt: skip
def test_a_capability_becomes_the_newest_dated_tool(capability, kind):
    [tool], _ = tools(f'tools {{ provider_tool {{ capability: "{capability}" }} }}')
    assert tool["type"] == kind


def test_the_callers_own_definition_of_a_provider_tool():
    own = 'provider_json { key: "anthropic/messages" value: \'{"type":"web_search_20250305","max_uses":1}\' }'
    assert tools(f'tools {{ provider_tool {{ capability: "web_search" }} {own} }}')[0] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
    ]
    assert tools(f"tools {{ provider_tool {{}} {own} }}")[0] == [{"type": "web_search_20250305", "max_uses": 1}]


@pytest.mark.parametrize(
    ("tool", "field"),
    [('custom { name: "c" }', "custom"), ('mcp { server_label: "m" }', "mcp"),
     ('provider_tool { capability: "image_generation" }', "provider_tool"), ("provider_tool {}", "provider_tool")],
)  # fmt: skip
def test_tools_that_are_not_offered(tool, field):
    text = with_tools(f"tools {{ {tool} }}")
    assert refused(text) == ("PARAM_UNSUPPORTED", f"prompt.tools[0].{field}")
    assert "tools" not in body(text + WARN)


def test_a_tool_of_an_unknown_kind():
    assert refused(with_tools("tools {}")) == ("INVALID_REQUEST", "prompt.tools[0]")


@pytest.mark.parametrize(
    ("params", "choice", "sent", "warned"),
    [
        ("", None, 2, []),
        ("tool_choice {}", None, 2, []),
        ("tool_choice { mode: MODE_AUTO }", {"type": "auto"}, 2, []),
        ("tool_choice { mode: MODE_REQUIRED }", {"type": "any"}, 2, []),
        ("tool_choice { mode: MODE_NONE }", {"type": "none"}, 2, []),
        ('tool_choice { mode: MODE_NONE allowed_names: "time" }', {"type": "none"}, 2, []),
        ('tool_choice { mode: MODE_REQUIRED allowed_names: "time" }', {"type": "tool", "name": "time"}, 2, []),
        ('tool_choice { mode: MODE_AUTO allowed_names: "time" }', {"type": "auto"}, 1,
         [("EMULATED", "params.tool_choice.allowed_names")]),
        ('tool_choice { mode: MODE_REQUIRED allowed_names: "time" allowed_names: "weather" }', {"type": "any"}, 2,
         [("EMULATED", "params.tool_choice.allowed_names")]),
        ("parallel_tool_calls: false", {"type": "auto", "disable_parallel_tool_use": True}, 2, []),
        ("parallel_tool_calls: true", {"type": "auto", "disable_parallel_tool_use": False}, 2, []),
        ("parallel_tool_calls: false tool_choice { mode: MODE_REQUIRED }",
         {"type": "any", "disable_parallel_tool_use": True}, 2, []),
        ("parallel_tool_calls: false tool_choice { mode: MODE_NONE }", {"type": "none"}, 2,
         [("PARAM_DROPPED", "params.parallel_tool_calls")]),
        ("parallel_tool_calls: true tool_choice { mode: MODE_NONE }", {"type": "none"}, 2, []),
    ],
)  # fmt: skip
def test_the_choice_among_tools(params, choice, sent, warned):
    text = with_tools(WEATHER + TIME, f"params {{ {params} }}")
    made = body(text)
    assert made.get("tool_choice") == choice
    assert len(made["tools"]) == sent
    assert warnings(text) == warned


def test_a_choice_by_the_name_of_a_provider_tool():
    tool = 'tools {{ provider_tool {{ capability: "{}" name: "{}" }} }}'.format
    named = tool("shell", "sh") + tool("computer_use", "")
    required = 'params {{ tool_choice {{ mode: MODE_REQUIRED allowed_names: "{}" }} }}'
    assert tools(named, required.format("sh"))[1] == {"type": "tool", "name": "bash"}
    # A toolset has no name of its own.
    assert tools(named, required.format("computer_use"))[1] == {"type": "any"}


def test_a_choice_of_what_is_not_there():
    text = with_tools(WEATHER, 'params { tool_choice { allowed_names: "nosuch" } }')
    assert refused(text) == ("INVALID_REQUEST", "params.tool_choice.allowed_names[0]")
    assert refused(f"{USER} params {{ tool_choice {{ mode: MODE_REQUIRED }} }}")[0] == "INVALID_REQUEST"


def test_a_choice_without_tools_is_left_out():
    text = f"{USER} params {{ tool_choice {{ mode: MODE_AUTO }} parallel_tool_calls: false }}"
    assert "tool_choice" not in body(text)
    assert warnings(text) == [("PARAM_DROPPED", "params.tool_choice")]


# -- patches and headers


def test_the_callers_patches_come_last():
    text = (
        USER
        + 'params { stop: "x" } options { '
        + 'provider_json { key: "anthropic" value: \'{"stop_sequences": null, "speed": "fast", "inference_geo": "x"}\'}'
        + 'provider_json { key: "anthropic/messages" value: \'{"inference_geo": "us"}\' } '
        + 'provider_json { key: "openai" value: \'{"seed": 1}\' } }'
    )
    sent = body(text)
    assert (sent["speed"], sent["inference_geo"]) == ("fast", "us")
    assert not {"seed", "stop_sequences"} & sent.keys()


@pytest.mark.parametrize("patch", ['{"model": "x"}', '{"stream": false}', '{"api_key": "x"}', "[]"])
def test_patches_that_are_refused(patch):
    text = f"{USER} options {{ provider_json {{ key: 'anthropic' value: '{patch}' }} }}"
    assert refused(text) == ("INVALID_REQUEST", 'options.provider_json["anthropic"]')


@pytest.mark.parametrize(("limit", "fine"), [("0", True), ("-1", False), ("1.5", False), ("null", False)])
def test_the_limit_is_checked_as_it_is_sent(limit, fine):
    text = f"{USER} options {{ provider_json {{ key: 'anthropic' value: '{{\"max_tokens\": {limit}}}' }} }}"
    if fine:
        assert body(text)["max_tokens"] == 0
    else:
        assert refused(text) == ("INVALID_REQUEST", "params.max_output_tokens")


def headers(*pairs, key="anthropic"):
    wanted = " ".join(f'headers {{ name: "{name}" value: "{value}" }}' for name, value in pairs)
    return f'{USER} options {{ provider_headers {{ key: "{key}" value {{ {wanted} }} }} }}'


def test_headers_on_the_allow_list():
    assert encoded(headers(("Anthropic-Beta", "a"), ("anthropic-beta", "b"))).headers == {"anthropic-beta": "a, b"}
    text = headers(("anthropic-version", "2023-06-01"))
    assert encoded(text).headers == {}
    assert warnings(text) == [("PARAM_DROPPED", 'options.provider_headers["anthropic"]')]
    assert encoded(headers(("x", "y"), key="openai")).headers == {}
    assert refused(headers(("anthropic-beta", "a\\r\\nx: y"))) == ("INVALID_REQUEST", "options.provider_headers")


# -- counting


def test_a_count_sends_what_the_vendor_counts():
    text = with_tools(
        WEATHER,
        'params { max_output_tokens: 5 stop: "x" end_user_id: "u" reasoning { mode: MODE_ADAPTIVE effort: "low" } }',
    )
    counted = json.loads(encoded(text, count=True).body)
    assert counted.keys() == {"model", "messages", "tools", "thinking", "output_config"}


def test_asking_for_what_happens_anyway_is_no_loss():
    params = "params { candidate_count: 1 parallel_tool_calls: true logprobs: false top_logprobs: 0 }"
    strict = "options { unsupported_policy: UNSUPPORTED_POLICY_ERROR }"
    assert body(USER + params + strict) == body(USER)
