"""Owns the scripted vendor: a server that answers at once and always the same, in the dialect of each provider.

A model named `drip` gets its chunks one by one, with a pause that lets the caller read each before the next.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from aiohttp import web

from antiphon_bench.dialects import DIALECTS, DRIP_MODEL, MODEL, Dialect

_PAUSE_S: Final = 0.004


def _answering(dialect: Dialect) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    headers = {"x-request-id": "r1"}

    async def answer(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        if not body.get("stream"):
            return web.Response(body=dialect.answer, content_type="application/json", headers=headers)
        response = web.StreamResponse(headers={**headers, "content-type": "text/event-stream"})
        await response.prepare(request)
        if body.get("model") == DRIP_MODEL:
            for chunk in dialect.chunks:
                await response.write(chunk)
                await asyncio.sleep(_PAUSE_S)
        else:
            await response.write(b"".join(dialect.chunks))
        await response.write_eof()
        return response

    return answer


async def _models(_: web.Request) -> web.Response:
    models = [{"id": name, "object": "model", "created": 1, "owned_by": "bench"} for name in (MODEL, DRIP_MODEL)]
    return web.json_response({"object": "list", "data": models})


async def serve(ready_fd: int) -> None:
    """Serve on a free port of the loopback interface, tell it to `ready_fd`, go on until cancelled."""
    app = web.Application(client_max_size=2**26)
    for dialect in DIALECTS:
        app.router.add_post(dialect.prefix + dialect.path, _answering(dialect))
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
