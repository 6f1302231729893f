"""How the tests of the adapter make a call, and what the vendor answers."""

import contextlib
import json

import pytest
from anthropic_speech import begin, end, said
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2
from antiphon_contract.errors import CallFailure
from antiphon_contract.fold import Fold
from antiphon_kit.provider import Turn

KEY = "sk-ant-test-0123456789abcdef"
SSE = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}
ANSWER = begin() + said(0, "Hel", "lo") + end()


def turn(text="", model="claude-opus-5-5"):
    request = text_format.Parse(
        'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } } }' + text,
        chat_pb2.StreamGenerateRequest(),
    )
    return Turn(request=request, model=model, state_domain="acc")


async def batches(provider, a_turn=None):
    async with contextlib.aclosing(provider.generate(a_turn or turn())) as found:
        return [batch async for batch in found]


async def fold(provider, a_turn=None):
    folded = Fold()
    for batch in await batches(provider, a_turn):
        folded.feed_events(batch)
    return folded


async def failure(awaitable):
    with pytest.raises(CallFailure) as raised:
        await awaitable
    return raised.value.error


def error_body(kind="invalid_request_error", message="no", **details):
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, "details": details}}).encode()
