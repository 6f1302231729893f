"""The adapter against a real server of this dialect: llama.cpp's /v1/messages with the small model of the test wheels.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md (2026-11), as xllamacpp builds it.
"""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from anthropic_calls import fold, turn

from antiphon.llm.v1 import response_pb2, usage_pb2
from antiphon_kit.secrets import EnvSecret
from antiphon_provider_anthropic.adapter import AnthropicAdapter

SERVER = Path(__file__).parents[4] / "tests" / "integration" / "llama_server.py"
ASKED = {"model": "any", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    """Its URL."""
    with subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()


@pytest.fixture
async def provider(llama):
    made = AnthropicAdapter(llama, EnvSecret({"K": "sk-unused-here"}, "K"))
    yield made
    await made.aclose()


def posted(url: str, body: dict) -> dict:
    """What the server itself says to the same request, without a stream."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("limit", [3, 64])
async def test_a_streamed_answer_folds_to_what_the_server_says(llama, provider, limit):
    own = posted(f"{llama}/v1/messages", {**ASKED, "temperature": 0, "max_tokens": limit})
    patch = 'options { provider_json { key: "anthropic" value: \'{"temperature": 0}\' } }'
    folded = await fold(provider, turn(f"params {{ max_output_tokens: {limit} }} {patch}", model="any"))
    [answer] = folded.response().candidates
    assert "".join(part.text.text for part in answer.message.parts) == own["content"][0]["text"] != ""
    assert folded.start.provider_response_id
    assert folded.usage.source == usage_pb2.Usage.SOURCE_PROVIDER
    told = own["usage"]
    cached = told.get("cache_read_input_tokens", 0)
    assert folded.usage.input_tokens == told["input_tokens"] + cached
    assert folded.usage.output_tokens == told["output_tokens"]
    assert answer.end.native_reason == own["stop_reason"]
    if limit == 3:
        assert answer.end.reason == response_pb2.FINISH_REASON_MAX_OUTPUT_TOKENS


async def test_a_real_stream_comes_in_pieces(provider):
    answer = provider.generate(turn("params { max_output_tokens: 16 }", model="any"))
    async with contextlib.aclosing(answer) as batches:
        deltas = [event.text_delta for batch in [one async for one in batches] for event in batch if event.text_delta]
    assert len(deltas) > 1


async def test_a_stop_text_is_told(llama, provider):
    own = posted(f"{llama}/v1/messages", {**ASKED, "temperature": 0})["content"][0]["text"]
    word = own.split()[1]
    patch = 'options { provider_json { key: "anthropic" value: \'{"temperature": 0}\' } }'
    text = f"params {{ max_output_tokens: 16 stop: {json.dumps(word)} }} {patch}"
    [answer] = (await fold(provider, turn(text, model="any"))).response().candidates
    assert word not in answer.message.parts[0].text.text
    assert answer.end.matched_stop == word


async def test_the_server_counts(llama, provider):
    counted = await provider.count_tokens(turn(model="any"))
    own = posted(f"{llama}/v1/messages/count_tokens", {name: ASKED[name] for name in ("model", "messages")})
    assert counted.input_tokens == own["input_tokens"] > 0


async def test_the_server_is_ready_and_lists_its_model(provider):
    await provider.ready()
    assert [model.provider for model in await provider.list_models()] == ["anthropic"]
