"""DeepSeek's dialect on the wire that it shares: what is sent for a request, and a turn with tools there and back."""

import json

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, completion_pb2, error_pb2, response_pb2
from antiphon_contract.fold import Fold
from antiphon_provider_deepseek import DEEPSEEK
from antiphon_wires import classification
from antiphon_wires.openai_chat.codec import ChatStream, Encoded, encode_completion, encode_request

USER = 'messages { role: ROLE_USER parts { text { text: "hi" } } }'
# What the vendor sends under load and in order: comments, empty lines, reasoning, a call, usage beside the finish.
ANSWER = (
    b": keep-alive\n\n\n\n"
    + b"".join(
        b"data: " + json.dumps({"id": "d1", "created": 1, "model": "deepseek-flash", **chunk}).encode() + b"\n\n"
        for chunk in (
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None, "reasoning_content": "hm "}}]},
            {"choices": [{"index": 0, "delta": {"content": None, "reasoning_content": "…\u00e9"}}]},
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {
                            "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]
                        },
                    }
                ]
            },
            {
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "tool_calls"}],
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "prompt_cache_hit_tokens": 8,
                    "prompt_cache_miss_tokens": 2,
                    "completion_tokens_details": {"reasoning_tokens": 3},
                },
            },
        )
    )
    + b": keep-alive\n\ndata: [DONE]\n\n"
)


def encoded(text: str) -> Encoded:
    request = text_format.Parse(text, chat_pb2.StreamGenerateRequest())
    return encode_request(request, DEEPSEEK, model="deepseek-flash")


def sent(text: str) -> dict:
    return json.loads(encoded(text).body)


def test_a_request_in_its_words():
    text = f"""prompt {{ {USER} tools {{ function {{ name: "f" strict: true }} }} }}
      params {{ max_output_tokens: 9 temperature: 0 top_p: 1 frequency_penalty: 1 presence_penalty: 1 seed: 1
        end_user_id: "u" prompt_cache_key: "k" store: true reasoning {{ effort: "xhigh" }}
        output_format {{ json_object {{}} }} {"".join(f'stop: "{n}" ' for n in range(16))} }}"""
    body = sent(text)
    assert body.pop("stop") == [str(n) for n in range(16)]
    assert body == {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": {"name": "f", "strict": True}}],
        "max_tokens": 9,
        "user_id": "u",
        "thinking": {"type": "enabled"},
        "reasoning_effort": "high",
        "response_format": {"type": "json_object"},
    }
    assert encoded(text).path == "/beta/chat/completions"
    warned = {(response_pb2.Warning.Kind.Name(one.kind), one.message) for one in encoded(text).warnings}
    assert warned == {
        ("KIND_PARAM_DROPPED", "deepseek ignores it while the model reasons (and 3 more)"),
        ("KIND_PARAM_DROPPED", "deepseek has no such parameter (and 2 more)"),
        ("KIND_PARAM_CLAMPED", "high is the nearest level offered"),
    }


def test_without_reasoning_it_takes_sampling():
    body = sent(f"prompt {{ {USER} }} params {{ temperature: 0 top_p: 0.5 reasoning {{ mode: MODE_DISABLED }} }}")
    assert body["thinking"] == {"type": "disabled"}
    assert (body["temperature"], body["top_p"]) == (0, 0.5)


def test_it_continues_a_message_and_fills_in_the_middle():
    text = f'prompt {{ {USER} messages {{ role: ROLE_ASSISTANT prefill: true parts {{ text {{ text: "So" }} }} }} }}'
    assert sent(text)["messages"][1] == {"role": "assistant", "content": "So", "prefix": True}
    assert encoded(text).path == "/beta/chat/completions"
    request = text_format.Parse('prompt { text: "a" suffix: "b" }', completion_pb2.StreamCompleteRequest())
    body = json.loads(encode_completion(request, DEEPSEEK, model="deepseek-flash", max_output_tokens=3).body)
    assert (body["prompt"], body["suffix"], body["max_tokens"]) == ("a", "b", 3)
    assert DEEPSEEK.completion_path == "/beta/completions"


@pytest.mark.parametrize("place", range(0, len(ANSWER), 7))
def test_a_turn_with_tools_there_and_back(place):
    stream, fold = ChatStream(DEEPSEEK, state_domain="acc"), Fold()
    for piece in (ANSWER[:place], ANSWER[place:]):
        fold.feed_events(stream.feed(piece))
        stream.check()
    fold.feed_events(stream.close())
    candidate = fold.response().candidates[0]
    assert [part.WhichOneof("kind") for part in candidate.message.parts] == ["reasoning", "tool_call"]
    assert fold.usage.input_tokens == 10
    assert (fold.usage.cache_read_input_tokens, fold.usage.reasoning_output_tokens) == (8, 3)

    request = text_format.Parse(f"prompt {{ {USER} }}", chat_pb2.StreamGenerateRequest())
    request.prompt.messages.append(candidate.message)
    again = encode_request(request, DEEPSEEK, model="deepseek-flash")
    assert json.loads(again.body)["messages"][1]["reasoning_content"] == "hm …\u00e9"
    assert again.warnings == ()


def test_calls_without_reasoning_go_back_with_an_empty_one():
    text = f'prompt {{ {USER} messages {{ role: ROLE_ASSISTANT parts {{ tool_call {{ id: "c" name: "f" }} }} }} }}'
    assert sent(text)["messages"][1]["reasoning_content"] == ""
    assert [one.kind for one in encoded(text).warnings] == [response_pb2.Warning.KIND_PART_DROPPED]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (402, b'{"error": {"message": "Insufficient Balance"}}', error_pb2.ERROR_REASON_QUOTA_EXHAUSTED),
        (503, b"", error_pb2.ERROR_REASON_PROVIDER_OVERLOADED),
        (500, b"", error_pb2.ERROR_REASON_PROVIDER_ERROR),
        (429, b"", error_pb2.ERROR_REASON_RATE_LIMITED),
        (422, b"{}", error_pb2.ERROR_REASON_INVALID_REQUEST),
    ],
)
def test_what_its_refusals_mean(status, body, reason):
    assert classification.classify("deepseek", status, {}, body, now_s=0.0, extra=DEEPSEEK.errors).reason == reason
