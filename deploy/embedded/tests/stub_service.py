"""Owns a stand-in for any service: serves health, journals what happens to it, misbehaves on request."""

import json
import os
import signal
import sys
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def journal(event: str, **facts: object) -> None:
    path = os.environ.get("ANTIPHON_TEST_JOURNAL")
    if path:
        line = json.dumps({"event": event, "pid": os.getpid(), "listen": os.environ.get("ANTIPHON_LISTEN"), **facts})
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def main() -> None:
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode == "misconfigured":
        print("LLM_TIMEOUT='soon': not a number of seconds; write 30", file=sys.stderr)
        sys.exit(78)
    if mode == "broken":
        sys.exit(3)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: None if mode == "stubborn" else stop.set())
    server = grpc.server(futures.ThreadPoolExecutor(4))
    status = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    port = server.add_insecure_port(os.environ.get("ANTIPHON_LISTEN", "127.0.0.1:0"))
    server.start()
    serving = health_pb2.HealthCheckResponse.SERVING
    if mode == "unready":
        serving = health_pb2.HealthCheckResponse.NOT_SERVING
        print(json.dumps({"event": "health", "serving": False, "detail": "the model is missing"}), flush=True)
    status.set("", serving)
    journal("started", names=sorted(os.environ))
    with os.fdopen(int(os.environ["ANTIPHON_READY_FD"]), "w") as ready:
        ready.write(f"127.0.0.1:{port}\n")
    while not stop.wait(0.05):
        pass
    journal("draining")
    server.stop(0).wait()
    journal("ended")


if __name__ == "__main__":
    main()
