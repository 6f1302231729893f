"""Owns llama.cpp's HTTP face: it insists on one, so it is put where nobody else gets in, and used for what only it has.

Forbids itself: TCP ports.
"""

import http.client
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

from antiphon_contract.errors import Reason, failure

LIMIT_S: Final = 30.0
_LINUX: Final = sys.platform == "linux"


class PrivateHttp:
    """A Unix socket and a key of this process. On Linux the socket has a name but no file that a SIGKILL leaves."""

    def __init__(self, *, without_file: bool = _LINUX) -> None:
        self.key = secrets.token_hex(32)
        self._directory: Path | None = None
        if without_file:
            # llama.cpp takes what ends with .sock for a Unix socket, its HTTP library @ for the abstract namespace.
            self.host = f"@antiphon-local-{secrets.token_hex(16)}.sock"
            self._address = "\0" + self.host[1:]
        else:
            self._directory = Path(tempfile.mkdtemp(prefix="antiphon-local-"))
            self.host = self._address = str(self._directory / "llama.sock")

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of the answer; POST if there is a `body`. Blocks. Raises CallFailure(PROVIDER_ERROR)."""
        connection = _Connection(self._address)
        try:
            method = "GET" if body is None else "POST"
            connection.request(method, path, body, {"Authorization": f"Bearer {self.key}"})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            raise failure(Reason.ERROR_REASON_PROVIDER_ERROR, f"llama.cpp does not answer {path}; try again") from None
        finally:
            connection.close()

    def close(self) -> None:
        """Remove what is in the file system. May be called twice."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=LIMIT_S)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address)
