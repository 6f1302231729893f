"""Owns how a running process is connected: its certificate from files or from Vault, or plaintext on loopback."""

import contextlib
from collections.abc import AsyncIterator

from antiphon_kit.tls import Transport, from_files
from antiphon_kit.tls_settings import TlsSettings


@contextlib.asynccontextmanager
async def connected(settings: TlsSettings) -> AsyncIterator[Transport]:
    """For the body of the `with`. Raises SettingError for files that cannot be used; waits for Vault."""
    if settings.issuer is not None:
        # Here, so that who does not use Vault does not carry its client.
        from antiphon_kit.certificates import issuing

        async with issuing(settings.issuer) as files:
            yield Transport(from_files(files), settings.peers, settings.insecure)
    else:
        live = None if settings.files is None else from_files(settings.files)
        yield Transport(live, settings.peers, settings.insecure)
