import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antiphon.llm.v1 import chat_pb2, chat_pb2_grpc, content_pb2, response_pb2

TIMEOUT_S = 60
PROGRAM = (sys.executable, "-m", "antiphon_provider_local")
SERVING = health_pb2.HealthCheckResponse.SERVING


@asynccontextmanager
async def program(**env: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The provider as a process of its own, and the address it serves on."""
    readable, writable = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        env=os.environ | {"ANTIPHON_READY_FD": str(writable), "LOCAL_CONTEXT_TOKENS": "512"} | env,
        pass_fds=(writable,),
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(writable)
    try:
        with os.fdopen(readable) as ready:
            yield process, (await asyncio.to_thread(ready.readline)).strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def serving(channel: grpc.aio.Channel) -> None:
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    async for answer in watch:
        if answer.status == SERVING:
            watch.cancel()
            return


async def test_sigterm_in_the_middle_of_an_answer_lets_it_finish_and_exits_cleanly() -> None:
    request = chat_pb2.StreamGenerateRequest(model="local/smollm2-135m-instruct")
    request.prompt.messages.add(role=content_pb2.ROLE_USER).parts.add().text.text = "Tell a story."
    request.params.max_output_tokens = 30
    async with (
        asyncio.timeout(TIMEOUT_S),
        program() as (process, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        await serving(channel)
        call = chat_pb2_grpc.ChatServiceStub(channel).StreamGenerate(request)
        frames = aiter(call)
        await anext(frames)
        process.send_signal(signal.SIGTERM)
        end = [frame async for frame in frames][-1].events[-1].end
        assert end.usage.output_tokens == 30
        assert end.outcome == response_pb2.ResponseEnd.OUTCOME_INCOMPLETE
        assert await call.code() == grpc.StatusCode.OK
        assert await process.wait() == 0


async def test_a_missing_model_stops_the_start_with_one_line() -> None:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, env=os.environ | {"LOCAL_MODEL_PATH": "/nowhere/model.gguf"}, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 78
    (line,) = errors.decode().splitlines()
    assert line.startswith("LOCAL_MODEL_PATH='/nowhere/model.gguf': no such file; ")
