"""Earlier answers on their way back to the vendor, their own and those of others."""

import json
from dataclasses import replace

import pytest
from chat_request import DEEPSEEK_LIKE, ERROR, WARN, body, encoded, messages, refused, warnings

from antiphon_wires.openai_chat.codec import OPENAI


@pytest.mark.parametrize("written", [' {"b": 1, "b": 2.50}\n', "{oops ", "\t"])
@pytest.mark.parametrize("kind", ["KIND_FUNCTION", "KIND_CUSTOM"])
def test_what_the_model_wrote_for_a_tool_goes_back_as_it_stands(kind, written):
    text = f'parts {{ tool_call {{ id: "c" name: "f" input: {json.dumps(written)} kind: {kind} }} }}'
    [message] = messages(f"messages {{ role: ROLE_ASSISTANT {text} }}")
    [call] = message["tool_calls"]
    assert written in call[call["type"]].values()


def test_an_answer_goes_back():
    text = """
    messages { role: ROLE_ASSISTANT name: "bot"
      parts { text { text: "Let " } } parts { text { text: "me" citations { cited_text: "x" } } }
      parts { tool_call { id: "c1" name: "f" input: "{\\"a\\": 1e400}" kind: KIND_FUNCTION } }
      parts { tool_call { id: "c2" name: "g" } }
      parts { tool_call { id: "c3" name: "h" input: "free" kind: KIND_CUSTOM } } }
    messages { role: ROLE_TOOL
      parts { tool_result { tool_call_id: "c1" parts { text { text: "r" } } } }
      parts { tool_result { tool_call_id: "c2" data_json: "{\\"x\\":1}" parts { text { text: "r" } } } }
      parts { tool_result { tool_call_id: "c3" } } }
    """
    assert messages(text) == [
        {
            "role": "assistant",
            "content": "Let me",
            "name": "bot",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1e400}'}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                {"id": "c3", "type": "custom", "custom": {"name": "h", "input": "free"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [{"type": "text", "text": "r"}, {"type": "text", "text": '{"x":1}'}],
        },
        {"role": "tool", "tool_call_id": "c3", "content": ""},
    ]
    assert warnings(f"prompt {{ {text} }}") == [("PART_DROPPED", "prompt.messages[0].parts[1].text.citations")]


def test_calls_alone_refusals_and_nothing():
    def answer(parts):
        return messages(f"messages {{ role: ROLE_ASSISTANT {parts} }}")[0]

    assert answer('parts { tool_call { id: "c" name: "f" } }')["content"] is None
    assert answer("") == {"role": "assistant", "content": ""}
    assert answer('parts { refusal { text: "no" } }') == {"role": "assistant", "content": None, "refusal": "no"}
    assert answer('parts { text { text: "well" } } parts { refusal { text: "no" } }')["content"] == [
        {"type": "text", "text": "well"},
        {"type": "refusal", "refusal": "no"},
    ]


def test_errors_and_images_of_tools():
    failed = """prompt { messages { role: ROLE_TOOL parts { tool_result { tool_call_id: "c" is_error: true
      parts { text { text: "boom" } } } } } }"""
    assert [part["text"] for part in body(failed)["messages"][0]["content"]] == ["The tool failed:", "boom"]
    assert warnings(failed) == [("EMULATED", "prompt.messages[0].parts[0].tool_result.is_error")]
    image = """prompt { messages { role: ROLE_TOOL parts { tool_result { tool_call_id: "c"
      parts { media { mime_type: "image/png" data: "x" } } parts { native { provider: "x" } } } } } }"""
    assert refused(image) == ("PARAM_UNSUPPORTED", "prompt.messages[0].parts[0].tool_result.parts[0].media")
    assert body(image + WARN)["messages"][0]["content"] == ""


def test_words_do_not_belong_into_tool_messages():
    text = 'prompt { messages { role: ROLE_TOOL parts { text { text: "x" } } } }'
    assert refused(text) == ("INVALID_REQUEST", "prompt.messages[0].parts[0]")
    assert messages("messages { role: ROLE_TOOL }") == []


def test_the_history_of_another_provider_is_dropped_with_warnings_under_any_policy():
    text = """prompt { messages { role: ROLE_ASSISTANT
      parts { reasoning { text: "hm" } opaque { issuer: "anthropic" kind: "thinking.signature" data: "s" } }
      parts { tool_call { id: "c" kind: KIND_PROVIDER } }
      parts { tool_result { tool_call_id: "c" } }
      parts { native { provider: "anthropic" native_json: "{}" } }
      parts { media { mime_type: "audio/wav" data: "x" } }
      parts { compaction {} }
      parts { text { text: "answer" } phase: "final_answer" }
      opaque { kind: "x" } } }"""
    for policy in ("", WARN, ERROR):
        assert body(text + policy)["messages"] == [{"role": "assistant", "content": "answer"}]
    path = "prompt.messages[0]"
    assert warnings(text) == [
        ("OPAQUE_STATE_DROPPED", f"{path}.parts[0].opaque[0]"),
        ("PART_DROPPED", f"{path}.parts[0].reasoning"),
        ("PART_DROPPED", f"{path}.parts[1].tool_call"),
        ("PART_DROPPED", f"{path}.parts[2].tool_result"),
        ("PART_DROPPED", f"{path}.parts[3].native"),
        ("PART_DROPPED", f"{path}.parts[4].media"),
        ("PART_DROPPED", f"{path}.parts[5].compaction"),
        ("PART_DROPPED", f"{path}.parts[6].phase"),
        ("OPAQUE_STATE_DROPPED", f"{path}.opaque[0]"),
    ]


def test_what_can_be_said_otherwise_is():
    text = """prompt { messages { role: ROLE_ASSISTANT
      parts { compaction { summary: "earlier" } } parts { media { mime_type: "audio/wav" transcript: "spoken" } } } }"""
    assert body(text)["messages"] == [{"role": "assistant", "content": "earlierspoken"}]
    assert [kind for kind, _ in warnings(text)] == ["EMULATED", "EMULATED"]


def test_own_audio_goes_back_by_its_id():
    def answer(domain):
        return (
            'prompt { messages { role: ROLE_ASSISTANT parts { media { mime_type: "audio/*" transcript: "t" }'
            f' opaque {{ issuer: "openai" kind: "audio.id" data: "au1" state_domain: "{domain}" }} }} }} }}'
        )

    assert body(answer("a"), state_domain="a")["messages"] == [
        {"role": "assistant", "content": None, "audio": {"id": "au1"}}
    ]
    assert body(answer("b"), state_domain="a")["messages"] == [{"role": "assistant", "content": "t"}]
    assert warnings(answer("b"), state_domain="a")[0][0] == "OPAQUE_STATE_DROPPED"


def test_own_state_of_another_wire_is_dropped():
    text = """prompt { messages { role: ROLE_ASSISTANT parts { tool_call { id: "c" name: "f" }
      opaque { issuer: "openai" kind: "reasoning.encrypted_content" data: "x" } } } }"""
    assert warnings(text) == [("OPAQUE_STATE_DROPPED", "prompt.messages[0].parts[0].opaque[0]")]


def test_reasoning_goes_back_where_it_is_wanted_even_if_empty():
    text = """messages { role: ROLE_ASSISTANT parts { reasoning { text: "" } }
      parts { tool_call { id: "c" name: "f" } } }"""
    assert messages(text, DEEPSEEK_LIKE)[0]["reasoning_content"] == ""
    two = 'messages { role: ROLE_ASSISTANT parts { reasoning { text: "a" } } parts { reasoning { text: "b" } } }'
    assert messages(two, DEEPSEEK_LIKE)[0]["reasoning_content"] == "ab"


def test_prefill():
    text = 'prompt { messages { role: ROLE_ASSISTANT prefill: true parts { text { text: "So" } } } }'
    assert refused(text) == ("PARAM_UNSUPPORTED", "prompt.messages[0].prefill")
    assert body(text, DEEPSEEK_LIKE)["messages"][0]["prefix"] is True
    by_place = replace(OPENAI, prefill_field="")
    assert body(text, by_place)["messages"] == [{"role": "assistant", "content": "So"}]


def test_a_native_part_goes_back_verbatim():
    raw = '{"type":  "thing", "n": 1e400}'
    native = f'native {{ provider: "openai" native_json: {json.dumps(raw)} }}'
    text = f"prompt {{ messages {{ role: ROLE_USER parts {{ {native} }} }} }}"
    assert b'"n":1e400' in encoded(text).body
    bad = 'prompt { messages { role: ROLE_USER parts { native { provider: "openai" native_json: "[" } } } }'
    assert refused(bad) == ("INVALID_REQUEST", "prompt.messages[0].parts[0].native.native_json")


def test_a_part_of_an_answer_in_the_users_mouth_is_dropped():
    text = 'prompt { messages { role: ROLE_USER parts { reasoning {} } parts { text { text: "a" } } } }'
    assert body(text)["messages"][0]["content"] == "a"
    assert warnings(text) == [("PART_DROPPED", "prompt.messages[0].parts[0].reasoning")]
