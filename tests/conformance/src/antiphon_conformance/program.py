"""Owns running a service as a real process: its address learnt, its log kept, its end brought about and waited for.

A program writes `host:port` and a line feed to the file descriptor in ANTIPHON_READY_FD once it is bound.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

START_LIMIT_S = 100.0
STOP_LIMIT_S = 15.0
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")


@dataclass(frozen=True, slots=True)
class Launch:
    """A Python module to run as a service, in a folder of its own that holds `files`.

    `{name}` in a value of `env` or in a file is filled in by `started`.
    """

    module: str
    env: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)


class Program:
    """A running service."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
        self.name = name
        self.address = address
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """What it has written so far, both streams."""
        return self._log.read_text(errors="replace")

    def command_line(self) -> str:
        return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()

    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()

    def wait(self, within_s: float = STOP_LIMIT_S) -> int:
        """Exit code. Raises TimeoutExpired."""
        return self.process.wait(within_s)

    def until_serving(self, service: str = "", within_s: float = START_LIMIT_S) -> None:
        """Waits for the health service to say SERVING. Raises AssertionError."""
        with grpc.insecure_channel(self.address, options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest(service=service), timeout=within_s, wait_for_ready=True
            )
            with contextlib.suppress(grpc.RpcError):
                for answer in watch:
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        watch.cancel()
                        return
        raise AssertionError(f"{self.name} is not SERVING {service!r} after {within_s} s:\n{self.log()[-4000:]}")


@contextlib.contextmanager
def started(launch: Launch, **values: str) -> Iterator[Program]:
    """A process that runs `launch`, with `values` filled into its environment; ended when the block is left.

    It inherits nothing but what a Python process needs, so no key of the developer's gets into a test.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    own = {name: value.format(**values) for name, value in launch.env.items()}
    read_fd, write_fd = os.pipe()
    with tempfile.TemporaryDirectory(prefix="antiphon-") as folder, os.fdopen(read_fd, "rb") as ready:
        log = Path(folder) / "log"
        for name, content in launch.files.items():
            (Path(folder) / name).write_text(content.format(**values))
        env = {"ANTIPHON_LISTEN": "127.0.0.1:0", **inherited, **own, "ANTIPHON_READY_FD": str(write_fd)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", launch.module],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(write_fd,),
                cwd=folder,
            )
        os.close(write_fd)
        try:
            # select() takes no descriptor above 1023, and a test process may have many.
            waiting = select.poll()
            waiting.register(ready, select.POLLIN)
            address = ready.readline().decode().strip() if waiting.poll(START_LIMIT_S * 1000) else ""
            assert address, f"{launch.module} did not start:\n{log.read_text(errors='replace')[-4000:]}"
            yield Program(launch.module, process, address, log)
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def routed(backends: Mapping[str, Sequence[str]], **env: str) -> Iterator[Program]:
    """A router in front of `backends`: name of the provider, which is the backend's id too, to its addresses."""
    rows = [
        f"  - id: {name}\n    provider: {name}\n    addresses: [{', '.join(map(repr, addresses))}]\n"
        for name, addresses in backends.items()
    ]
    with tempfile.TemporaryDirectory(prefix="antiphon-") as folder:
        routes = Path(folder) / "routes.yaml"
        routes.write_text("backends:\n" + "".join(rows))
        listen = {"ANTIPHON_ADMIN_LISTEN": "127.0.0.1:0", "ANTIPHON_CONFIG": str(routes)}
        with started(Launch("antiphon_router", {**listen, **env})) as router:
            router.until_serving()
            yield router
