"""What goes to the vendor: parameters, formats, patches, headers, and what is said about the rest."""

import base64
import json
from dataclasses import replace

import pytest
from chat_request import ERROR, USER, WARN, body, encoded, refused, warnings
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, content_pb2, models_pb2, response_pb2
from antiphon_wires.openai_chat.codec import COMPATIBLE, OPENAI, encode_request, support


def test_the_least_request():
    assert body(USER) == {
        "model": "gpt",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "stream_options" not in body(USER, replace(OPENAI, stream_usage=False))


SAMPLING = """
params {
  max_output_tokens: 7 temperature: 0.1 top_p: 0.9 frequency_penalty: -0.5 presence_penalty: 0 stop: "a" stop: "b"
  seed: -9223372036854775808 candidate_count: 2 logprobs: true top_logprobs: 3 logit_bias { key: 5 value: -100 }
  logit_bias { key: 4 value: 0.5 } parallel_tool_calls: false service_tier: "flex" output_modalities: "text"
  store: false end_user_id: "u1" prompt_cache_key: "k" verbosity: "low" reasoning { effort: "high" }
}
"""


def test_every_parameter_under_its_native_name():
    sent = body(USER + SAMPLING)
    for member in ("model", "messages", "stream", "stream_options"):
        del sent[member]
    assert sent == {
        "max_completion_tokens": 7,
        "temperature": 0.1,
        "top_p": 0.9,
        "frequency_penalty": -0.5,
        "presence_penalty": 0,
        "stop": ["a", "b"],
        "seed": -9223372036854775808,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "logit_bias": {"4": 0.5, "5": -100},
        "parallel_tool_calls": False,
        "service_tier": "flex",
        "modalities": ["text"],
        "store": False,
        "safety_identifier": "u1",
        "prompt_cache_key": "k",
        "verbosity": "low",
        "reasoning_effort": "high",
    }


def test_top_logprobs_imply_logprobs():
    assert body(USER + "params { top_logprobs: 2 }")["logprobs"] is True
    assert "logprobs" not in body(USER + "params { top_logprobs: 0 }")


def test_zero_is_sent_and_unset_is_not():
    sent = body(USER + "params { temperature: 0 }")
    assert sent["temperature"] == 0
    assert "top_p" not in sent


def test_the_operators_bound_counts_where_the_caller_set_none():
    assert body(USER, max_output_tokens=9)["max_completion_tokens"] == 9
    assert body(USER + "params { max_output_tokens: 5 }", max_output_tokens=9)["max_completion_tokens"] == 5
    assert body(USER, COMPATIBLE, max_output_tokens=9)["max_tokens"] == 9


def test_hints_are_dropped_with_a_warning_or_refused():
    hints = "params { top_k: 5 min_p: 0.1 repetition_penalty: 1.1 max_tool_calls: 3 }"
    sent = encoded(USER + hints)
    assert json.loads(sent.body).keys() == {"model", "messages", "stream", "stream_options"}
    [warning] = sent.warnings
    assert warning.kind == response_pb2.Warning.KIND_PARAM_DROPPED
    assert warning.path == "params.top_k"
    assert warning.message == "openai has no such parameter (and 3 more)"
    assert refused(USER + hints + ERROR) == ("PARAM_UNSUPPORTED", "params.top_k")


def test_a_parameter_that_shapes_the_answer_is_refused_unless_warnings_suffice():
    text = USER + 'params { output_modalities: "audio" }'
    assert refused(text, COMPATIBLE) == ("PARAM_UNSUPPORTED", "params.output_modalities")
    assert warnings(text + WARN, COMPATIBLE) == [("PARAM_DROPPED", "params.output_modalities")]


def test_a_dialect_maps_parameters():
    llama = replace(COMPATIBLE, params={"top_k": "top_k", "repetition_penalty": "repeat_penalty"})
    sent = body(USER + "params { top_k: 5 repetition_penalty: 1.5 }", llama)
    assert (sent["top_k"], sent["repeat_penalty"]) == (5, 1.5)


def test_logit_bias_must_be_finite():
    assert refused(USER + "params { logit_bias { key: 1 value: inf } }") == ("INVALID_REQUEST", "params.logit_bias")


@pytest.mark.parametrize(
    ("reasoning", "effort", "warned"),
    [
        ("mode: MODE_DISABLED", "none", []),
        ("mode: MODE_ENABLED", "medium", [("EMULATED", "params.reasoning.mode")]),
        ('mode: MODE_ENABLED effort: "low"', "low", []),
        ("mode: MODE_ADAPTIVE", None, []),
        ('effort: "turbo"', "turbo", []),
        ("budget_tokens: 5", None, [("PARAM_DROPPED", "params.reasoning.budget_tokens")]),
        ('summary: "auto"', None, [("PARAM_DROPPED", "params.reasoning.summary")]),
        ('summary: "none"', None, []),
        ("include_opaque_state: true", None, [("PARAM_DROPPED", "params.reasoning.include_opaque_state")]),
    ],
)
def test_reasoning(reasoning, effort, warned):
    text = f"{USER} params {{ reasoning {{ {reasoning} }} }}"
    assert body(text).get("reasoning_effort") == effort
    assert warnings(text) == warned


def test_reasoning_levels_of_a_dialect():
    few = replace(OPENAI, efforts=("low", "high"))
    text = USER + 'params { reasoning { effort: "max" } }'
    assert body(text, few)["reasoning_effort"] == "high"
    assert warnings(text, few) == [("PARAM_CLAMPED", "params.reasoning.effort")]
    assert refused(text + ERROR, few) == ("PARAM_UNSUPPORTED", "params.reasoning.effort")
    none = replace(OPENAI, lacks=frozenset({"reasoning_effort"}))
    assert "reasoning_effort" not in body(text, none)
    assert warnings(text, none) == [("PARAM_DROPPED", "params.reasoning")]


SCHEMA = '{"z":  1, "type":"object", "a": 1e400, "big": 12345678901234567890123}'


def test_a_schema_goes_out_byte_for_byte():
    quoted = json.dumps(SCHEMA)
    text = (
        'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } }'
        f' tools {{ function {{ name: "f" description: "d" input_schema_json: {quoted} strict: true }} }} }}'
        ' params { output_format { json_schema { name: "s" description: "d" schema_json: '
        f"{quoted} strict: false }} }} }}"
    )
    raw = encoded(text).body
    assert raw.count(SCHEMA.encode()) == 2
    sent = json.loads(raw)
    assert sent["tools"][0]["function"].keys() == {"name", "description", "parameters", "strict"}
    assert sent["response_format"]["json_schema"].keys() == {"name", "description", "schema", "strict"}


def test_formats():
    def output(text, dialect=OPENAI):
        return body(f"{USER} params {{ output_format {{ {text} }} }}", dialect).get("response_format")

    assert output("") is None
    assert output("json_object {}") == {"type": "json_object"}
    assert output('json_schema { name: "s" }') == {"type": "json_schema", "json_schema": {"name": "s"}}
    grammar = USER + 'params { output_format { grammar { syntax: "lark" } } }'
    assert refused(grammar) == ("PARAM_UNSUPPORTED", "params.output_format.grammar")
    assert "response_format" not in body(grammar + WARN)
    bad = USER + 'params { output_format { json_schema { name: "s" schema_json: "[]" } } }'
    assert refused(bad) == ("INVALID_REQUEST", "params.output_format.json_schema.schema_json")
    loose = replace(OPENAI, lacks=frozenset({"strict"}))
    strict = USER + 'params { output_format { json_schema { name: "s" strict: true } } }'
    assert refused(strict, loose) == ("PARAM_UNSUPPORTED", "params.output_format.json_schema.strict")


def patch(key, value):
    return f"provider_json {{ key: {json.dumps(key)} value: {json.dumps(json.dumps(value))} }}"


def test_patches_at_four_levels():
    text = f"""prompt {{
      messages {{ role: ROLE_USER {patch("openai", {"m": 1})}
        parts {{ text {{ text: "a" }} {patch("openai/chat", {"p": 2, "type": None})} }} }}
      messages {{ role: ROLE_ASSISTANT parts {{ tool_call {{ id: "c" name: "f" }} {patch("openai", {"t": 3})} }} }}
      messages {{ role: ROLE_TOOL parts {{ tool_result {{ tool_call_id: "c" }} {patch("openai", {"r": 4})} }} }}
      tools {{ function {{ name: "f" }} {patch("openai", {"function": {"x": 5}})} }} }}
      options {{ {patch("openai", {"a": 1, "b": 1})} {patch("openai/chat", {"a": 2, "stream_options": {"o": 1}})}
        {patch("other", {"z": 1})} }}"""
    sent = body(text)
    assert sent["messages"][0] == {"role": "user", "content": [{"text": "a", "p": 2}], "m": 1}
    assert sent["messages"][1]["tool_calls"][0]["t"] == 3
    assert sent["messages"][2]["r"] == 4
    assert sent["tools"][0]["function"] == {"name": "f", "x": 5}
    assert (sent["a"], sent["b"]) == (2, 1)
    assert sent["stream_options"] == {"include_usage": True, "o": 1}
    assert "z" not in sent


@pytest.mark.parametrize(
    "value",
    [{"model": "x"}, {"stream": False}, {"stream_options": None}, {"stream_options": {"include_usage": False}},
     {"api_key": "k"}],
)  # fmt: skip
def test_what_a_patch_may_not_touch(value):
    text = f"{USER} options {{ {patch('openai', value)} }}"
    assert refused(text) == ("INVALID_REQUEST", 'options.provider_json["openai"]')


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"max_completion_tokens": 0}, "params.max_output_tokens"),
        ({"n": "2"}, "params.candidate_count"),
        ({"n": True}, "params.candidate_count"),
        ({"top_logprobs": 21}, "params.top_logprobs"),
    ],
)
def test_limits_hold_for_the_patched_body(value, param):
    assert refused(f"{USER} options {{ {patch('openai', value)} }}") == ("INVALID_REQUEST", param)


def test_a_limit_of_a_member_without_a_field():
    text = f"{USER} options {{ {patch('compat', {'n': 0})} }}"
    assert refused(text, replace(COMPATIBLE, params={"candidate_count": None})) == ("INVALID_REQUEST", "n")


def test_too_many_stop_texts():
    text = f"{USER} options {{ {patch('openai', {'stop': list('abcde')})} }}"
    assert refused(text) == ("PARAM_UNSUPPORTED", "params.stop")
    five = USER + "params { " + "".join(f'stop: "{char}" ' for char in "abcde") + "}"
    assert body(five + WARN)["stop"] == list("abcd")
    assert body(f"{USER} options {{ {patch('openai', {'stop': 'a'})} }}")["stop"] == "a"


def test_headers():
    def asked(*headers):
        lines = " ".join(
            f"headers {{ name: {json.dumps(name)} value: {json.dumps(value)} }}" for name, value in headers
        )
        return f'{USER} options {{ provider_headers {{ key: "openai" value {{ {lines} }} }} }}'

    text = asked(("OpenAI-Beta", "a"), ("openai-beta", "b"), ("x-evil", "c"))
    assert encoded(text).headers == {"openai-beta": "a, b"}
    assert warnings(text) == [("PARAM_DROPPED", 'options.provider_headers["openai"]')]
    assert refused(asked(("openai-beta", "a\r\nx: y"))) == ("INVALID_REQUEST", "options.provider_headers")


def test_a_request_is_not_changed_by_encoding_it():
    request = text_format.Parse(USER + SAMPLING, chat_pb2.StreamGenerateRequest())
    before = request.SerializeToString(deterministic=True)
    encode_request(request, OPENAI, model="gpt")
    assert request.SerializeToString(deterministic=True) == before


def test_support_tells_what_happens():
    table = support(OPENAI)
    assert table["params.temperature"] == models_pb2.SUPPORT_NATIVE
    assert table["params.top_k"] == models_pb2.SUPPORT_IGNORED
    assert table["prompt.tools.custom"] == models_pb2.SUPPORT_NATIVE
    assert support(COMPATIBLE)["prompt.tools.custom"] == models_pb2.SUPPORT_REJECTED
    assert support(COMPATIBLE)["params.output_modalities"] == models_pb2.SUPPORT_REJECTED


def test_large_media_arrives_whole():
    data = bytes(range(256)) * 4096
    request = chat_pb2.StreamGenerateRequest()
    part = request.prompt.messages.add(role=content_pb2.ROLE_USER).parts.add()
    part.media.mime_type = "image/png"
    part.media.data = data
    sent = json.loads(encode_request(request, OPENAI, model="m").body)
    url = sent["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.partition(",")[2]) == data


DEFAULTS = "params { candidate_count: 1 parallel_tool_calls: true logprobs: false top_logprobs: 0 }"
LOST = {"candidate_count": None, "parallel_tool_calls": None, "logprobs": None, "top_logprobs": None}


def test_asking_for_what_happens_anyway_is_no_loss():
    assert body(USER + DEFAULTS)["n"] == 1
    poor = replace(OPENAI, params=LOST)
    assert body(USER + DEFAULTS + ERROR, poor).keys() == {"model", "messages", "stream", "stream_options"}
    assert not warnings(USER + DEFAULTS, poor)


@pytest.mark.parametrize("param", ["candidate_count: 2", "parallel_tool_calls: false", "logprobs: true"])
def test_asking_for_anything_else_is(param):
    name = param.partition(":")[0]
    assert refused(f"{USER} params {{ {param} }}", replace(OPENAI, params=LOST)) == (
        "PARAM_UNSUPPORTED",
        f"params.{name}",
    )


@pytest.mark.parametrize(
    ("dialect", "model", "operations"),
    [
        (OPENAI, "gpt-6", ["generate"]),
        (OPENAI, "text-embedding-4", ["embed"]),
        (OPENAI, "davinci-002", ["complete"]),
        (OPENAI, "tts-1", []),
        (COMPATIBLE, "tts-1", ["generate", "complete", "embed"]),
    ],
)
def test_what_a_models_id_tells_of_its_operations(dialect, model, operations):
    assert list(dialect.operations_of(model)) == operations
