"""The Responses API of the openai service against llama.cpp's real one: streamed, folded, counted, usage compared."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2, chat_pb2_grpc, content_pb2, usage_pb2
from antiphon_conformance import calling
from antiphon_conformance.calling import Ask
from antiphon_conformance.outcome import Outcome, Target
from antiphon_conformance.program import Launch, routed, started

ASKED = "Say hello to the world."
LIMIT = 12


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    """Its URL."""
    script = Path(__file__).with_name("llama_server.py")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def target(llama: str) -> Iterator[Target]:
    env = {"OPENAI_BASE_URL": "{llama}/v1", "OPENAI_API_KEY": "sk-unused-here", "OPENAI_API": "responses"}
    with started(Launch("antiphon_provider_openai", env), llama=llama) as provider:
        provider.until_serving()
        with routed({"openai": [provider.address]}) as router:
            yield Target(router.address, "openai", routed=True)


def asked(llama: str, path: str, **more: object) -> dict[str, Any]:
    """What the server itself says."""
    body = {"model": "any", "input": [{"role": "user", "content": ASKED}], **more}
    request = urllib.request.Request(  # loopback
        f"{llama}/v1{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=90) as answer:
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


async def say(target: Target, streamed: bool, **params: object) -> Outcome:
    async with grpc.aio.insecure_channel(target.address) as channel:
        ask = Ask(channel, target, streamed=streamed)
        return await ask.send(ask.request("any", ASKED, max_output_tokens=LIMIT, temperature=0.0, **params))


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "unary"])
async def test_the_answer_and_the_usage_are_the_servers_own(llama: str, target: Target, streamed: bool) -> None:
    outcome = await say(target, streamed)
    assert outcome.ok, outcome.message
    own = asked(llama, "/responses", max_output_tokens=LIMIT, temperature=0.0)
    assert outcome.answer.text == own["output"][0]["content"][0]["text"]
    usage = outcome.record.usage
    assert usage.source == usage_pb2.Usage.SOURCE_PROVIDER
    assert usage.input_tokens == own["usage"]["input_tokens"]
    assert usage.output_tokens == own["usage"]["output_tokens"] <= LIMIT
    assert json.loads(usage.native_json)["total_tokens"] == own["usage"]["total_tokens"]
    start = outcome.answer.start
    assert start is not None
    assert start.provider_response_id.startswith("resp_")
    if streamed:
        deltas = [event for frame in outcome.frames for event in frame.events if event.text_delta]
        assert len(deltas) > 1, "a real stream comes in pieces"


async def test_a_conversation_goes_on(target: Target) -> None:
    first = await say(target, streamed=False)
    async with grpc.aio.insecure_channel(target.address) as channel:
        ask = Ask(channel, target, streamed=True)
        request = ask.request("any", ASKED, max_output_tokens=LIMIT)
        request.prompt.messages.add(role=content_pb2.ROLE_ASSISTANT, parts=first.answer.parts[0])
        calling.say(request, content_pb2.ROLE_USER, "And again.")
        second = await ask.send(request)
    assert second.ok, second.message
    assert second.record.usage.input_tokens > first.record.usage.input_tokens


async def test_a_count_is_the_servers_own(llama: str, target: Target) -> None:
    request = calling.request(target.name("any"), ASKED)
    count = chat_pb2.CountTokensRequest(model=request.model, prompt=request.prompt)
    async with grpc.aio.insecure_channel(target.address) as channel:
        counted = await chat_pb2_grpc.ChatServiceStub(channel).CountTokens(count, timeout=90)
    assert counted.input_tokens == asked(llama, "/responses/input_tokens")["input_tokens"] > 0
    assert not counted.estimated


async def test_what_this_api_lacks_is_warned_of_and_not_sent(target: Target) -> None:
    outcome = await say(target, streamed=True, seed=7)
    assert outcome.ok, outcome.message
    assert [warning.path for warning in outcome.record.warnings] == ["params.seed"]
