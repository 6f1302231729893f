"""Owns the vendor of the demo: takes some keys and not others, and counts what it was sent. On loopback, scripted."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_EVENTS: Final = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Yes."}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
)
MODEL: Final = "scripted"


class DemoVendor:
    """`allowed`: the keys it takes. `chats`: by key, those that were answered."""

    def __init__(self) -> None:
        self.url = ""
        self.allowed: set[str] = set()
        self.chats: Counter[str] = Counter()


@contextmanager
def open_vendor() -> Iterator[DemoVendor]:
    """The vendor, in threads of its own, for the body of the `with`."""
    vendor = DemoVendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            rows = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "demo"}]}
            self._answer(json.dumps(rows), "application/json")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            rows = [{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL} | e for e in _EVENTS]
            body = "".join(f"data: {json.dumps(row)}\n\n" for row in rows)
            self._answer(body + "data: [DONE]\n\n", "text/event-stream")

        def _answer(self, text: str, kind: str) -> None:
            key = self.headers.get("authorization", "").removeprefix("Bearer ")
            known = key in vendor.allowed
            if known and self.command == "POST":
                vendor.chats[key] += 1
            body = (text if known else '{"error":{"message":"wrong key"}}').encode()
            self.send_response(200 if known else 401)
            self.send_header("content-type", kind if known else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    vendor.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield vendor
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
