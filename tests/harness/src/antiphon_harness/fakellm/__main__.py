"""`python -m antiphon_harness.fakellm WITNESS_LOG`: the program. It says where it serves by ANTIPHON_READY_FD."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from antiphon_harness.fakellm.server import Upstream
from antiphon_harness.fakellm.witness import WitnessLog


async def _serve(log: WitnessLog, listen: str) -> None:
    loop = asyncio.get_running_loop()
    upstream = Upstream(log)
    host, _, port = listen.rpartition(":")
    server = await loop.create_server(upstream.connection, host, int(port), backlog=1024)
    host, port = server.sockets[0].getsockname()[:2]
    with os.fdopen(int(os.environ["ANTIPHON_READY_FD"]), "w") as ready:
        ready.write(f"{host}:{port}\n")
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    server.close()
    for task in tuple(upstream.playing):
        task.cancel()
    await asyncio.gather(*upstream.playing, return_exceptions=True)


def main() -> int:
    """Serve until SIGTERM."""
    log = WitnessLog(Path(sys.argv[1]))
    try:
        uvloop.run(_serve(log, os.environ.get("ANTIPHON_LISTEN", "127.0.0.1:0")))
    finally:
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
