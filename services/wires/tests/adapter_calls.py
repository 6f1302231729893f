"""How the tests of adapters make a call."""

import contextlib

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2
from antiphon_contract.errors import CallFailure
from antiphon_contract.fold import Fold
from antiphon_kit.provider import Turn

SSE = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


def turn(text="", model="m"):
    """A turn that says hi; `text`: more of the request, as protobuf text."""
    hi = 'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } } }'
    return Turn(request=text_format.Parse(hi + text, chat_pb2.StreamGenerateRequest()), model=model, state_domain="acc")


async def batches(provider, a_turn):
    async with contextlib.aclosing(provider.generate(a_turn)) as found:
        return [batch async for batch in found]


async def fold(provider, a_turn):
    folded = Fold()
    for batch in await batches(provider, a_turn):
        folded.feed_events(batch)
    return folded


async def failure(awaitable):
    with pytest.raises(CallFailure) as raised:
        await awaitable
    return raised.value.error
