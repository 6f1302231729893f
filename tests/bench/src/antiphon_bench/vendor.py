"""Owns the scripted vendor: a Chat Completions server that answers at once and always the same.

A model named `drip` gets its chunks one by one, with a pause that lets the caller read each before the next.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

MODEL: Final = "m"
DRIP_MODEL: Final = "drip"
TOKENS: Final = 64
CHUNKS: Final = TOKENS + 3
"""Chunks of a stream: role, tokens, finish, usage."""

_PAUSE_S: Final = 0.004
_USAGE: Final = {"prompt_tokens": 3, "completion_tokens": TOKENS, "total_tokens": TOKENS + 3}
_WORDS: Final = [f"tok{number} " for number in range(TOKENS)]
TEXT: Final = "".join(_WORDS)


def answer(model: str) -> bytes:
    """The whole answer as JSON."""
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": _USAGE}
    return json.dumps(body).encode()


def chunks(model: str) -> Iterator[bytes]:
    """The answer as server-sent events, the closing one with the last chunk."""

    def event(**members: Any) -> bytes:
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": model, "system_fingerprint": "fp"}
        return b"data: " + json.dumps({**head, **members}).encode() + b"\n\n"

    def choice(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return event(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], usage=None)

    yield choice({"role": "assistant", "content": ""})
    yield from (choice({"content": word}) for word in _WORDS)
    yield choice({}, "stop")
    yield event(choices=[], usage=_USAGE) + b"data: [DONE]\n\n"


async def _complete(request: web.Request) -> web.StreamResponse:
    body = json.loads(await request.read())
    model = body.get("model", "")
    headers = {"x-request-id": "r1"}
    if not body.get("stream"):
        return web.Response(body=answer(model), content_type="application/json", headers=headers)
    response = web.StreamResponse(headers={**headers, "content-type": "text/event-stream"})
    await response.prepare(request)
    if model == DRIP_MODEL:
        for chunk in chunks(model):
            await response.write(chunk)
            await asyncio.sleep(_PAUSE_S)
    else:
        await response.write(b"".join(chunks(model)))
    await response.write_eof()
    return response


async def _models(_: web.Request) -> web.Response:
    models = [{"id": name, "object": "model", "created": 1, "owned_by": "bench"} for name in (MODEL, DRIP_MODEL)]
    return web.json_response({"object": "list", "data": models})


async def serve(ready_fd: int) -> None:
    """Serve on a free port of the loopback interface, tell it to `ready_fd`, go on until cancelled."""
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", _complete)
    app.router.add_get("/v1/models", _models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    with os.fdopen(ready_fd, "w") as ready:
        ready.write(f"{host}:{port}\n")
    await asyncio.Event().wait()


def main(ready_fd: int) -> None:
    """Run until SIGTERM or SIGINT."""
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(ready_fd))
