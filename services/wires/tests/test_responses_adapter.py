"""The adapter of both APIs against a vendor by script: where a call goes, what is sent, counts, what is declared."""

import json
from dataclasses import replace

import pytest
from responses_wire import USER, created, ended, parsed, said, sse

from antiphon.llm.v1 import models_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_contract.fold import Fold
from antiphon_kit.provider import Turn
from antiphon_kit.secrets import EnvSecret
from antiphon_wires.openai_chat.codec import OPENAI
from antiphon_wires.openai_responses.adapter import OpenAIAdapter

KEYS = EnvSecret({"KEY": "sk-test-0123456789"}, "KEY")
SUMMARY = 'params { reasoning { summary: "auto" } }'
CHAT = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
COUNT = b'{"object":"response.input_tokens","input_tokens":31}'


@pytest.fixture
async def adapter(vendor, request):
    made = OpenAIAdapter(replace(OPENAI, base_url=vendor.url), KEYS, api=getattr(request, "param", "auto"))
    yield made
    await made.aclose()


async def answer(adapter, text, model="gpt", **kwargs):
    fold = Fold()
    async for batch in adapter.generate(Turn(request=parsed(text), model=model, state_domain="acc", **kwargs)):
        fold.feed_events(batch)
    return fold.response().candidates[0]


async def refused(coroutine):
    with pytest.raises(CallFailure) as raised:
        await coroutine
    return reason_name(raised.value.error.reason)


async def test_a_call_that_needs_it_goes_to_responses(adapter, vendor):
    vendor.says(sse(created(), said("Hel"), said("lo"), ended()), Content_Type="text/event-stream")
    candidate = await answer(adapter, USER + SUMMARY, max_output_tokens=7)
    assert candidate.message.parts[0].text.text == "Hello"
    [received] = vendor.requests
    assert (received.method, received.path) == ("POST", "/v1/responses")
    assert received.headers["authorization"] == "Bearer sk-test-0123456789"
    assert received.headers["accept"] == "text/event-stream"
    assert received.json["max_output_tokens"] == 7
    assert received.json["store"] is False


async def test_every_other_call_goes_to_chat_completions(adapter, vendor):
    vendor.says(CHAT, Content_Type="text/event-stream")
    assert (await answer(adapter, USER)).message.parts[0].text.text == "hi"
    assert vendor.requests[0].path == "/v1/chat/completions"


async def test_an_answer_that_is_no_stream(adapter, vendor):
    vendor.says(b'{"error":{"code":"invalid_encrypted_content","message":"x"}}', 400, Content_Type="application/json")
    assert await refused(answer(adapter, USER + SUMMARY)) == "OPAQUE_STATE_REJECTED"
    vendor.says(b"<html>", Content_Type="text/html")
    assert await refused(answer(adapter, USER + SUMMARY)) == "UPSTREAM_PROTOCOL"


async def test_a_count(adapter, vendor):
    vendor.says(COUNT, Content_Type="application/json")
    turn = Turn(request=parsed(USER), model="gpt")
    counted = await adapter.count_tokens(turn)
    assert turn.key.secret.reveal() == "sk-test-0123456789"
    assert (counted.input_tokens, counted.estimated, counted.native_json) == (31, False, COUNT.decode())
    [received] = vendor.requests
    assert received.path == "/v1/responses/input_tokens"
    assert received.headers["accept"] == "application/json"
    assert received.json == {"model": "gpt", "input": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b"<html>", "OPERATION_UNSUPPORTED"),
        (405, b"", "OPERATION_UNSUPPORTED"),
        (404, b'{"error":{"code":"model_not_found","message":"x"}}', "MODEL_NOT_FOUND"),
        (400, b'{"error":{"message":"x"}}', "INVALID_REQUEST"),
        (200, b"{}", "UPSTREAM_PROTOCOL"),
        (200, b"<html>", "UPSTREAM_PROTOCOL"),
    ],
)
async def test_a_count_that_fails(adapter, vendor, status, body, reason):
    vendor.says(body, status, Content_Type="application/json")
    assert await refused(adapter.count_tokens(Turn(request=parsed(USER), model="gpt"))) == reason


@pytest.mark.parametrize("adapter", ["chat"], indirect=True)
async def test_chat_alone_counts_nothing(adapter, vendor):
    assert await refused(adapter.count_tokens(Turn(request=parsed(USER), model="gpt"))) == "OPERATION_UNSUPPORTED"
    vendor.says(CHAT, Content_Type="text/event-stream")
    await answer(adapter, USER + SUMMARY)
    assert vendor.requests[0].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("adapter", "seed", "tools", "counts"),
    [
        ("chat", models_pb2.SUPPORT_NATIVE, models_pb2.SUPPORT_REJECTED, False),
        ("auto", models_pb2.SUPPORT_NATIVE, models_pb2.SUPPORT_NATIVE, True),
        ("responses", models_pb2.SUPPORT_IGNORED, models_pb2.SUPPORT_NATIVE, True),
    ],
    indirect=["adapter"],
)
async def test_what_models_are_said_to_do(adapter, vendor, seed, tools, counts):
    listed = {"data": [{"id": name} for name in ("gpt-6", "text-embedding-3-small")]}
    vendor.says(json.dumps(listed).encode(), Content_Type="application/json")
    chat, vectors = await adapter.list_models()
    assert (chat.support["params.seed"], chat.support["prompt.tools.mcp"]) == (seed, tools)
    assert ("count_tokens" in chat.operations) is counts
    assert "count_tokens" not in vectors.operations
