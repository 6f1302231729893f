"""Providers of this wire, pointed at a real llama.cpp HTTP server by base URL, give real answers with usage."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from antiphon.llm.v1 import response_pb2, usage_pb2
from antiphon_conformance.calling import Ask
from antiphon_conformance.outcome import Target
from antiphon_conformance.program import Launch, routed, started


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


@pytest.fixture(scope="module", params=["openai", "deepseek"])
def target(llama: str, request: pytest.FixtureRequest) -> Iterator[Target]:
    name, prefix = request.param, request.param.upper()
    env = {f"{prefix}_BASE_URL": "{llama}/v1", f"{prefix}_API_KEY": "sk-unused-here"}
    launch = Launch(f"antiphon_provider_{name}", env)
    with started(launch, llama=llama) as provider:
        provider.until_serving()
        with routed({name: [provider.address]}) as router:
            yield Target(router.address, name, routed=True)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "unary"])
async def test_a_real_server_answers_with_usage(target: Target, streamed: bool) -> None:
    async with grpc.aio.insecure_channel(target.address) as channel:
        ask = Ask(channel, target, streamed=streamed)
        outcome = await ask("any", "Say hello.", max_output_tokens=16, temperature=0.0)
    assert outcome.ok, outcome.message
    usage = outcome.record.usage
    assert outcome.answer.text
    assert usage.source == usage_pb2.Usage.SOURCE_PROVIDER
    assert usage.input_tokens > 0
    assert 0 < usage.output_tokens <= 16
    assert outcome.answer.finish.reason in (
        response_pb2.FINISH_REASON_STOP,
        response_pb2.FINISH_REASON_MAX_OUTPUT_TOKENS,
    )
    if streamed:
        deltas = [event for frame in outcome.frames for event in frame.events if event.text_delta]
        assert len(deltas) > 1, "a real stream comes in pieces"
