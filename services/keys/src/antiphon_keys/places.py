"""Owns the question where the provider processes are: a list, or the addresses of the routes file, names resolved."""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from antiphon_kit.config import ConfigError, load_suite

log = logging.getLogger(__name__)

DNS: Final = "dns:///"
KUBERNETES: Final = "k8s:///"


class Places:
    """`watch`: (address, backend); empty: those of the routes file, which is read again when it changes."""

    def __init__(self, watch: Sequence[tuple[str, str]], config: Path | None) -> None:
        self._named = list(watch)
        self._config = config if not watch else None
        self._read_at = 0

    def load(self) -> None:
        """Read the routes file. Raises ConfigError."""
        if self._config is None:
            return
        self._read_at = self._stamp()
        suite = load_suite(self._config)
        named = [(address, backend.id) for backend in suite.backends for address in backend.addresses]
        self._named = [each for each in named if not each[0].startswith(KUBERNETES)]
        for address, backend in named:
            if address.startswith(KUBERNETES):
                mend = "name its headless service in ANTIPHON_KEYS_WATCH"
                log.warning("not_watched", extra={"backend": backend, "address": address, "detail": mend})

    async def now(self) -> Mapping[str, str]:
        """Address to backend."""
        if self._config is not None and self._stamp() != self._read_at:
            try:
                self.load()
            except ConfigError as error:
                log.warning("routes_not_read", extra={"detail": str(error)})
        found: dict[str, str] = {}
        for address, backend in self._named:
            resolved = await _resolved(address.removeprefix(DNS)) if address.startswith(DNS) else [address]
            found |= dict.fromkeys(resolved, backend)
        return found

    def _stamp(self) -> int:
        assert self._config is not None
        try:
            return self._config.stat().st_mtime_ns
        except OSError:
            return self._read_at


async def _resolved(address: str) -> list[str]:
    host, _, port = address.rpartition(":")
    try:
        rows = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return []
    ips = sorted({str(row[4][0]) for row in rows})
    return [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in ips]
