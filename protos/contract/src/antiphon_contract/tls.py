"""Owns the certificates at both ends of a connection: their files, that they fit, and what a failed handshake means.

    files ── changed? ──> read ── fit together ──> Pems ──> new handshakes
                            └── half-written, do not fit ──> the last good ones stay, and one line in the log

Forbids itself: showing a private key, and giving up a certificate that works for one that does not.
"""

import logging
import os
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

log = logging.getLogger(__name__)

SERVER_NAME: Final = "antiphon"
"""DNS name in the certificate of whatever serves. Addresses change, and gRPC for Python verifies a server by DNS name
only; so every server of a suite has this one, and no certificate of a mere client may have it."""

LOOK_EVERY_S: Final = 1.0
_MAX_FILE_BYTES: Final = 1 << 20

Signature = tuple[tuple[int, int, int] | None, ...]


class TlsProblem(Exception):
    """Certificate files that cannot be used; says which one and why."""


@dataclass(frozen=True, slots=True)
class Pems:
    """A certificate with its chain, the key that fits it, and the authorities to trust."""

    certificate_chain: bytes
    private_key: bytes = field(repr=False)
    authorities: bytes

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a client that shows this certificate."""
        return grpc.ssl_channel_credentials(self.authorities, self.private_key, self.certificate_chain)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: own certificate with its chain, its key, authorities to trust.

    `server_name`: what the certificate of a server has to be for, when this is a client.
    """

    certificate: str
    key: str
    authorities: str
    server_name: str = SERVER_NAME

    def signature(self) -> Signature:
        """Changes whenever a file does, also when a symbolic link leads elsewhere."""
        return tuple(map(_signature, (self.certificate, self.key, self.authorities)))

    def read(self) -> Pems:
        """Raises TlsProblem unless certificate and key fit together and were not written meanwhile."""
        before = self.signature()
        pems = Pems(_read(self.certificate), _read(self.key), _read(self.authorities))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=pems.authorities.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise TlsProblem(f"{self.authorities}: no certificates of authorities in PEM form") from None
        try:
            # No password, so that OpenSSL does not ask the terminal for one.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError):
            problem = "certificate and key do not fit together, are encrypted, or are not in PEM form"
            raise TlsProblem(f"{self.certificate} and {self.key}: {problem}") from None
        if self.signature() != before:
            raise TlsProblem(f"{self.certificate}, {self.key} and {self.authorities}: being written")
        return pems


def _signature(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise TlsProblem(f"{path}: cannot be read ({error.strerror})") from None
    if not content.strip():
        raise TlsProblem(f"{path}: empty")
    return content


class LivePems:
    """What the files hold, or held when they were last in order. Any thread may use it.

    Raises TlsProblem when they are not in order to begin with.
    """

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._lock = threading.Lock()
        self._tried = files.signature()
        self.pems = files.read()
        """Another object whenever there are others."""
        self.problem = ""
        """Why the files as they are now are not used."""

    def renew(self) -> Pems:
        """Look at the files; read them if they changed."""
        with self._lock:
            signature = self.files.signature()
            if signature != self._tried:
                self._tried = signature
                self._renew()
            return self.pems

    def _renew(self) -> None:
        try:
            self.pems = self.files.read()
        except TlsProblem as problem:
            self.problem = str(problem)
            log.error("certificate_not_renewed", extra={"detail": self.problem})  # noqa: TRY400 - the text says it
        else:
            self.problem = ""
            log.info("certificate_renewed", extra={"certificate": self.files.certificate})


# What both balancers (pick_first and round_robin) say when no connection came about.
_CONNECTING: Final = "; last error: "
_CLOSED: Final = ("Socket closed", "Connection reset")
# What C-core and its BoringSSL write, grpcio 1.85; the first that is found decides.
_HANDSHAKES: Final = (
    ("WRONG_VERSION_NUMBER", "it does not speak TLS; set the ANTIPHON_TLS_ files there, or unset them here"),
    ("Hostname Verification", "its certificate is for another name; issue it for the name ANTIPHON_TLS_SERVER_NAME"),
    ("Tls handshake failed", "its certificate is expired, or of an authority that is not in ANTIPHON_TLS_CA_FILE"),
)
REFUSED: Final = "it refuses this client's certificate; use one that has not expired, of an authority that it trusts"
TLS_EXPECTED: Final = (
    "it expects TLS and was given no certificate; set ANTIPHON_TLS_CERT_FILE, ANTIPHON_TLS_KEY_FILE and "
    "ANTIPHON_TLS_CA_FILE"
)


def closed_in_handshake(details: str) -> bool:
    """Whether a status of the transport says that a new connection was closed before a word was said.

    All that a client sees of a server that refuses its certificate: in TLS 1.3 the client is done by then, and C-core
    does not wait for the alert. A server that ends in that moment looks the same.
    """
    return _CONNECTING in details and any(word in details for word in _CLOSED)


def explanation(details: str, *, secure: bool) -> str:
    """What went wrong in a handshake and how to mend it, from the details of an UNAVAILABLE; "" if nothing did."""
    if closed_in_handshake(details):
        return REFUSED if secure else ""
    if _CONNECTING not in details:
        return ""
    return next((text for sign, text in _HANDSHAKES if sign in details), "")
