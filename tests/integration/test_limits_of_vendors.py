"""Two accounts at one vendor: the one that the vendor says is near its limit gets fewer calls, until it is not."""

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from antiphon_client import AsyncClient
from antiphon_conformance.program import Launch, started

EVENTS = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "hello"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
)
LATENCY_S = 0.05
"""The same for both, so that only limits tell them apart."""

LIMIT = 1000
ROUTES = """\
backends:
- {id: near, provider: openai, addresses: ['NEAR'], state_domain: near}
- {id: twin, provider: openai, addresses: ['TWIN'], state_domain: twin}
"""


class LimitedVendor:
    """`left`: of LIMIT requests per minute, by key, as told in every answer; `calls` by key."""

    def __init__(self) -> None:
        self.left = {"sk-near": LIMIT, "sk-twin": LIMIT}
        self.calls: Counter[str] = Counter()
        self.url = ""


@contextlib.contextmanager
def limiting() -> Iterator[LimitedVendor]:
    """The vendor, in threads of its own."""
    vendor = LimitedVendor()
    rows = [{"id": "c", "object": "chat.completion.chunk", "model": "m", **event} for event in EVENTS]
    body = ("".join(f"data: {json.dumps(row)}\n\n" for row in rows) + "data: [DONE]\n\n").encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            key = self.headers["authorization"].removeprefix("Bearer ")
            vendor.calls[key] += 1
            time.sleep(LATENCY_S)
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(body)))
            self.send_header("x-ratelimit-limit-requests", str(LIMIT))
            self.send_header("x-ratelimit-remaining-requests", str(vendor.left[key]))
            self.send_header("x-ratelimit-reset-requests", "4m0s")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        vendor.url = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield vendor
        finally:
            server.shutdown()


@pytest.mark.timeout(120)
async def test_who_is_near_the_limit_gets_fewer_calls_and_its_share_back(tmp_path):
    with contextlib.ExitStack() as stack:
        vendor = stack.enter_context(limiting())
        places = {}
        for name in ("near", "twin"):
            env = {"OPENAI_BASE_URL": vendor.url, "OPENAI_API_KEY": f"sk-{name}", "OPENAI_API": "chat"}
            provider = stack.enter_context(started(Launch("antiphon_provider_openai", env)))
            provider.until_serving()
            places[name.upper()] = provider.address
        routes = tmp_path / "routes.yaml"
        routes.write_text(ROUTES.replace("NEAR", places["NEAR"]).replace("TWIN", places["TWIN"]))
        env = {"ANTIPHON_ADMIN_LISTEN": "127.0.0.1:0", "ANTIPHON_CONFIG": str(routes)}
        router = stack.enter_context(started(Launch("antiphon_router", env)))
        router.until_serving()
        async with AsyncClient(router.address) as client:

            async def shares(count: int) -> float:
                """The part of `count` calls, eight at once, that the one near its limit got."""
                vendor.calls.clear()
                left = iter(range(count))

                async def caller() -> None:
                    for _ in left:
                        assert (await client.generate("hello", model="openai/m")).text == "hello"

                await asyncio.gather(*(caller() for _ in range(8)))
                return vendor.calls["sk-near"] / count

            await shares(32)
            before = await shares(160)
            assert 0.25 < before < 0.75
            vendor.left["sk-near"] = LIMIT // 20
            await shares(32)
            short = await shares(160)
            assert 0.0 < short < 0.2, f"{short:.0%} of the calls, with 5 % of its limit left"
            vendor.left["sk-near"] = LIMIT
            for _ in range(20):
                if (after := await shares(80)) > 0.25:
                    break
            assert after > 0.25, f"{after:.0%} of the calls, with all of its limit left"
