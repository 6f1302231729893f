"""Which requests may be sent twice."""

import pytest

from antiphon.llm.v1 import chat_pb2, completion_pb2, embedding_pb2, rerank_pb2
from antiphon_router.shell.effects import has_effects

CHAT = "/antiphon.llm.v1.ChatService/"
FUNCTION = {"function": {"name": "f"}}


@pytest.mark.parametrize(
    ("facts", "effects"),
    [
        ({}, False),
        ({"params": {"store": False}}, False),
        ({"params": {"store": True}}, True),
        ({"prompt": {"tools": [FUNCTION, {"custom": {"name": "c"}}]}}, False),
        ({"prompt": {"tools": [FUNCTION, {"provider_tool": {"capability": "code"}}]}}, True),
        ({"prompt": {"tools": [{"mcp": {"server_label": "s"}}]}}, True),
        ({"prompt": {"tools": [{}]}}, True),
        ({"options": {"provider_json": {"openai": '{"seed": 1}'}}}, False),
        ({"options": {"provider_json": {"openai": '{"previous_response_id": "r"}'}}}, True),
        ({"options": {"provider_json": {"openai": '{"store": true}'}}}, True),
    ],
)
def test_a_chat_call_has_effects_by_what_it_asks_for(facts, effects):
    assert has_effects(CHAT + "Generate", chat_pb2.GenerateRequest(**facts).SerializeToString()) is effects
    assert has_effects(CHAT + "StreamGenerate", chat_pb2.StreamGenerateRequest(**facts).SerializeToString()) is effects


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("EmbeddingService/Embed", embedding_pb2.EmbedRequest(model="m")),
        ("RerankService/Rerank", rerank_pb2.RerankRequest(model="m")),
        ("CompletionService/Complete", completion_pb2.CompleteRequest(model="m")),
    ],
)
def test_other_calls_have_none_unless_the_vendor_is_told_to_keep_something(method, request_):
    assert not has_effects(f"/antiphon.llm.v1.{method}", request_.SerializeToString())
    request_.options.provider_json["x"] = '{"store":true}'
    assert has_effects(f"/antiphon.llm.v1.{method}", request_.SerializeToString())


def test_of_what_cannot_be_read_nothing_is_known():
    assert has_effects(CHAT + "Generate", b"\xff\xff")
    assert has_effects("/antiphon.llm.v1.NativeService/CallNative", b"")
