"""Owns the life of a certificate from Vault's authority: asked for, written, renewed at two thirds of its life.

    Vault ── issue ──> files in a private directory ──> LivePems ──> servers and channels, as with any other files

Forbids itself: keeping a private key longer than the process lives, and giving up while Vault is away.
"""

import asyncio
import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

from antiphon_contract.tls import SERVER_NAME, TlsFiles
from antiphon_kit.tls_settings import IssuerSettings
from antiphon_kit.vault_client import Trouble, VaultClient, VaultTrouble

log = logging.getLogger(__name__)

RENEW_AT: Final = 2 / 3
FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 60.0
MAX_LIFE: Final = "24h"


class Authority(Protocol):
    """What is asked of Vault; of VaultClient."""

    def issue(self, mount: str, role: str, wanted: Mapping[str, str]) -> object:
        """Raises VaultTrouble."""
        ...

    def close(self) -> None: ...


class Issuer:
    """One certificate and its files. `issue` and `close` are for one worker thread. `now_s`: seconds since 1970."""

    def __init__(
        self, settings: IssuerSettings, directory: Path, authority: Authority, *, now_s: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._authority = authority
        self._now_s = now_s
        self._trusted = ""
        self.files = TlsFiles(
            str(directory / "tls.crt"), str(directory / "tls.key"), str(directory / "ca.crt"), settings.server_name
        )

    def issue(self) -> float:
        """Replace the files; returns the seconds until that is due again. Raises VaultTrouble."""
        settings = self._settings
        wanted = {"alt_names": f"{SERVER_NAME},{settings.role}", "uri_sans": settings.identity, "ttl": MAX_LIFE}
        given = self._authority.issue(settings.mount, settings.role, wanted)
        try:
            certificate, chain, key, expires_s = _parts(given)
        except (KeyError, TypeError, ValueError):
            message = f"{settings.mount}/issue/{settings.role}: the answer is no certificate; check the engine there"
            raise VaultTrouble(Trouble.BROKEN, message) from None
        # Others may still show certificates of the authority before this one.
        kept = "" if self._trusted in chain else self._trusted
        self._trusted = chain
        _write(self.files.authorities, chain + kept)
        _write(self.files.certificate, certificate + chain)
        _write(self.files.key, key)
        log.info("certificate_issued", extra={"identity": settings.identity, "expires_s": expires_s})
        return max(RENEW_AT * (expires_s - self._now_s()), FIRST_RETRY_S)

    def close(self) -> None:
        """Forget the login."""
        self._authority.close()


def _parts(given: object) -> tuple[str, str, str, float]:
    """Certificate, its chain of authorities, key, and when it ends (seconds since 1970)."""
    if not isinstance(given, Mapping):
        raise TypeError
    chain = given.get("ca_chain") or [given["issuing_ca"]]
    return (
        f"{given['certificate'].strip()}\n",
        "".join(f"{authority.strip()}\n" for authority in chain),
        f"{given['private_key'].strip()}\n",
        float(given["expiration"]),
    )


def _write(path: str, content: str) -> None:
    fresh = Path(f"{path}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(content, encoding="ascii")
    fresh.replace(path)


@contextlib.asynccontextmanager
async def issuing(settings: IssuerSettings, authority: Authority | None = None) -> AsyncIterator[TlsFiles]:
    """Files with a certificate that stays good, for the body of the `with`. Waits for the first one."""
    directory = Path(tempfile.mkdtemp(prefix="antiphon-tls-"))
    thread = ThreadPoolExecutor(1, thread_name_prefix="certificates")
    issuer = Issuer(settings, directory, authority or VaultClient(settings.vault))
    try:
        due_s = await _issued(issuer, thread)
        renewing = asyncio.create_task(_renew(issuer, thread, due_s), name="certificates")
        try:
            yield issuer.files
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
    finally:
        thread.submit(issuer.close)
        thread.shutdown(wait=False)
        shutil.rmtree(directory, ignore_errors=True)


async def _renew(issuer: Issuer, thread: ThreadPoolExecutor, due_s: float) -> None:
    while True:
        await asyncio.sleep(due_s)
        due_s = await _issued(issuer, thread)


async def _issued(issuer: Issuer, thread: ThreadPoolExecutor) -> float:
    """Issue, again and again until it is done."""
    retry_s = FIRST_RETRY_S
    while True:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, issuer.issue)
        except VaultTrouble as trouble:
            log.error(  # noqa: TRY400 - the text says it
                "certificate_not_issued", extra={"detail": str(trouble), "kind": trouble.kind.value, "retry_s": retry_s}
            )
        await asyncio.sleep(retry_s)
        retry_s = min(2 * retry_s, LAST_RETRY_S)
