"""Owns a vendor that knows which keys it takes, and notes which it was sent: chat completions over real HTTP."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_EVENTS = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "hello"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}},
)


class KeyVendor:
    """`allowed`: keys to the models they may use; None: all. `calls`: (when, key, status), chats only."""

    def __init__(self) -> None:
        self.allowed: dict[str, set[str] | None] = {}
        self.calls: list[tuple[float, str, int]] = []
        self.url = ""

    def status(self, key: str, model: str) -> int:
        """What a call gets."""
        if key not in self.allowed:
            return 401
        models = self.allowed[key]
        return 200 if not model or models is None or model in models else 404

    def uses(self, key: str) -> int:
        """Good calls with it."""
        return sum(1 for _, used, status in self.calls if used == key and status == 200)


@contextlib.contextmanager
def taking_calls() -> Iterator[KeyVendor]:
    """The vendor, in threads of its own."""
    vendor = KeyVendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            status = vendor.status(self._key(), "")
            self._answer(status, b'{"object":"list","data":[{"id":"m","object":"model"}]}' if status == 200 else b"{}")

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            key = self._key()
            status = vendor.status(key, request["model"])
            vendor.calls.append((time.monotonic(), key, status))
            if status != 200:
                code = "invalid_api_key" if status == 401 else "model_not_found"
                return self._answer(status, json.dumps({"error": {"message": f"no {key}", "code": code}}).encode())
            rows = [{"id": "c", "object": "chat.completion.chunk", "model": "m", **event} for event in _EVENTS]
            body = "".join(f"data: {json.dumps(row)}\n\n" for row in rows) + "data: [DONE]\n\n"
            return self._answer(200, body.encode(), "text/event-stream")

        def _key(self) -> str:
            return str(self.headers.get("authorization", "")).removeprefix("Bearer ")

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
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
