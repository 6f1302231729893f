"""The SDK is the source of our headers: what it would send for the same call is what we send."""

import contextlib
from dataclasses import replace

import openai

from antiphon.llm.v1 import chat_pb2, content_pb2
from antiphon_kit.provider import Turn
from antiphon_kit.secrets import EnvSecret
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import OPENAI

# Of the transport, or about retries and limits that we do not leave to the SDK.
OWN = {"host", "connection", "accept-encoding", "content-length", "x-stainless-retry-count", "x-stainless-read-timeout"}
# The SDK takes any type, because it decides by `stream` in the body.
ASKED = {"accept"}
ANSWER = (
    b'data: {"id":"c","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}'
    b"\n\ndata: [DONE]\n\n"
)


async def test_we_send_what_the_sdk_would_send(vendor):
    vendor.says(ANSWER, Content_Type="text/event-stream")
    ours = OpenAIChatAdapter(replace(OPENAI, base_url=vendor.url), EnvSecret({"K": "sk-same"}, "K"))
    part = content_pb2.Part(text=content_pb2.TextPart(text="hi"))
    message = content_pb2.Message(role=content_pb2.ROLE_USER, parts=[part])
    request = chat_pb2.StreamGenerateRequest(model="m", prompt=chat_pb2.Prompt(messages=[message]))
    async with contextlib.aclosing(ours.generate(Turn(request=request, model="m"))) as batches:
        async for _ in batches:
            pass
    await ours.aclose()
    async with openai.AsyncOpenAI(api_key="sk-same", base_url=vendor.url, max_retries=0) as sdk:
        stream = await sdk.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for _ in stream:
            pass
    mine, theirs = vendor.requests
    assert mine.path == theirs.path
    assert mine.json == theirs.json
    differing = {
        name for name in {*mine.headers, *theirs.headers} - OWN if mine.headers.get(name) != theirs.headers.get(name)
    }
    assert differing == ASKED
