"""An answer goes back as it came: plan, calls, content and citations; and what others answered."""

import json

import pytest
from cohere_recording import DOCUMENT, RAG, THINKING, TOOLS, cited, end, said, start
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_contract.fold import Fold
from antiphon_provider_cohere.codec import ChatStream, encode_chat

Kind = response_pb2.Warning.Kind


def answer(recording):
    folded, stream = Fold(), ChatStream()
    folded.feed_events(stream.feed(recording))
    stream.check()
    return folded.response().candidates[0].message


def replay(message, policy=0):
    request = chat_pb2.StreamGenerateRequest()
    request.prompt.messages.append(message)
    request.options.unsupported_policy = policy
    encoded = encode_chat(request, model="m")
    warnings = [(Kind.Name(warning.kind), warning.path) for warning in encoded.warnings]
    return json.loads(encoded.body)["messages"][0], warnings


def assistant(parts):
    text = f"role: ROLE_ASSISTANT {parts}"
    return text_format.Merge(text, content_pb2.Message())


# -- own answers


def test_a_tool_turn():
    assert replay(answer(TOOLS)) == (
        {
            "role": "assistant",
            "tool_plan": "I will look.",
            "tool_calls": [
                {"id": "weather_e8p4", "type": "function",
                 "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}},
                {"id": "now_y46a", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ],
        },
        [],
    )  # fmt: skip


def test_thinking():
    assert replay(answer(THINKING)) == (
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm, so"}, {"type": "text", "text": "It is four."}],
        },
        [],
    )


def test_citations_go_back_byte_for_byte():
    message = answer(RAG)
    sent, warnings = replay(message)
    assert sent["content"] == "The key bénéfices are 😀."
    [citation] = sent["citations"]
    assert citation["sources"] == [DOCUMENT]
    assert warnings == []
    request = chat_pb2.StreamGenerateRequest()
    request.prompt.messages.append(message)
    raw = message.parts[0].text.citations[0].provider_json["cohere"].encode()
    assert raw in encode_chat(request, model="m").body
    assert raw in RAG


def test_citations_of_plan_and_thinking():
    sent, warnings = replay(answer(start() + said("x") + cited(0, type="PLAN", text="p", start=1) + end()))
    assert sent["citations"] == [{"type": "PLAN", "text": "p", "start": 1}]
    assert warnings == []


def test_a_citation_keeps_naming_its_block():
    message = answer(
        start() + said("a", 0) + said("b", 1) + cited(0, content_index=1, text="b") + cited(1, content_index=0) + end()
    )
    assert [c["content_index"] for c in replay(message)[0]["citations"]] == [0, 1]
    del message.parts[0]
    sent, _ = replay(message)
    assert sent["citations"] == [{"content_index": 0, "text": "b"}]


def test_patches_of_parts_and_calls():
    sent, warnings = replay(
        assistant(
            'parts { text { text: "t" } provider_json { key: "cohere" value: "{\\"x\\": 1}" } } '
            'parts { reasoning { text: "r" } provider_json { key: "cohere" value: "{\\"y\\": 2}" } } '
            'parts { tool_call { id: "c" name: "f" } provider_json { key: "cohere/chat" value: "{\\"z\\": 3}" } } '
            'parts { reasoning { text: "p" label: "tool_plan" } provider_json { key: "cohere" value: "{}" } }'
        )
    )
    assert sent["content"] == [
        {"type": "text", "text": "t", "x": 1}, {"type": "thinking", "thinking": "r", "y": 2},
    ]  # fmt: skip
    assert sent["tool_calls"][0]["z"] == 3
    assert warnings == [("KIND_PARAM_DROPPED", "prompt.messages[0].parts[3].provider_json")]


def test_a_patched_text_that_is_no_string_stays_a_block():
    part = 'parts { text { text: "t" } provider_json { key: "cohere" value: "{\\"text\\": [1]}" } }'
    assert replay(assistant(part))[0]["content"] == [{"type": "text", "text": [1]}]


def test_own_blocks():
    sent, warnings = replay(
        assistant(
            'parts { native { provider: "cohere" native_type: "x" native_json: "{\\"type\\": \\"x\\"}" } } '
            'parts { native { provider: "openai" native_type: "y" native_json: "{}" } } parts { native { } }'
        )
    )
    assert sent["content"] == [{"type": "x"}]
    assert [path for _, path in warnings] == ["prompt.messages[0].parts[1].native"] * 1 + [
        "prompt.messages[0].parts[2].native"
    ]


@pytest.mark.parametrize("native_json", ["", "[1]", "{"])
def test_a_citation_that_is_no_object(native_json):
    text = f'parts {{ native {{ provider: "cohere" native_type: "citation" native_json: "{native_json}" }} }}'
    with pytest.raises(CallFailure) as raised:
        replay(assistant(text))
    assert reason_name(raised.value.error.reason) == "INVALID_REQUEST"


# -- the answers of others


def test_what_others_answered():
    sent, warnings = replay(
        assistant(
            'parts { reasoning { text: "thought" } opaque { issuer: "anthropic" kind: "thinking.signature" } } '
            "parts { reasoning { visibility: VISIBILITY_REDACTED } } "
            'parts { text { text: "said" citations { cited_text: "x" } } } '
            'parts { refusal { text: "no" } } parts { compaction { summary: "so far" } } parts { compaction { } } '
            'parts { tool_call { id: "1" name: "f" input: "a \\"b\\"" kind: KIND_CUSTOM } } '
            'parts { tool_call { id: "2" name: "g" kind: KIND_PROVIDER } } '
            "parts { media { } } parts { tool_result { } } parts { document { } }"
        )
    )
    assert sent["content"] == [
        {"type": "thinking", "thinking": "thought"}, {"type": "text", "text": "said"},
        {"type": "text", "text": "no"}, {"type": "text", "text": "so far"},
    ]  # fmt: skip
    assert sent["tool_calls"] == [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"input":"a \\"b\\""}'}}
    ]
    assert "citations" not in sent
    found = {path.removeprefix("prompt.messages[0]."): kind for kind, path in warnings}
    assert found == {
        "parts[0].opaque[0]": "KIND_OPAQUE_STATE_DROPPED",
        "parts[1].reasoning": "KIND_PART_DROPPED",
        "parts[2].text.citations[0]": "KIND_PART_DROPPED",
        "parts[3].refusal": "KIND_EMULATED",
        "parts[4].compaction": "KIND_EMULATED",
        "parts[5].compaction": "KIND_PART_DROPPED",
        "parts[6].tool_call": "KIND_EMULATED",
        "parts[7].tool_call": "KIND_PART_DROPPED",
        "parts[8].media": "KIND_PART_DROPPED",
        "parts[9].tool_result": "KIND_PART_DROPPED",
        "parts[10].document": "KIND_PART_DROPPED",
    }


def test_an_answer_without_anything_is_an_empty_text():
    assert replay(assistant(""))[0] == {"role": "assistant", "content": ""}
