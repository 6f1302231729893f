"""Owns the coordinator's talk with Vault: which slots there are, their versions, and their state documents.

Every request runs in one worker thread. Forbids itself: keys. The coordinator's policy does not let it read one.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from antiphon_keys.document import Document, parsed, rendered
from antiphon_kit import vault_documents
from antiphon_kit.vault_client import Trouble, VaultClient, VaultTrouble
from antiphon_kit.vault_settings import STATE_SUFFIX

T = TypeVar("T")

STORE: Final = "secret store"
"""What problems with Vault as a whole are about, in place of a slot."""

USUAL_VERSIONS: Final = 10
"""How many versions an engine keeps that was not told."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One slot in Vault."""

    name: str
    document: Document | None = None
    """None: nobody ever wrote one."""

    cas: int = 0
    """Version of the document."""

    alive: tuple[int, ...] = ()
    """Versions of the key that can be read, newest first."""

    newest: int = 0
    oldest: int = 0
    max_versions: int = USUAL_VERSIONS
    written_s: Mapping[int, float] = field(default_factory=dict)
    """When each version was written, wall clock."""


class Conflict(Exception):
    """Somebody else wrote the document meanwhile."""


class Store:
    """One Vault. `client` is used on one thread only, and closed in the end. Methods raise VaultTrouble."""

    def __init__(self, client: VaultClient) -> None:
        self._client = client
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vault")

    async def slots(self) -> list[str]:
        """`<provider>/<name>` of every key there is."""
        return await self._in_thread(self._slots)

    async def read(self, name: str) -> Stored:
        """What is there now. Raises also BadDocument."""
        return await self._in_thread(partial(self._read, name))

    async def write(self, stored: Stored, document: Document) -> None:
        """Replace the document, if it still is the one of `stored`. Raises Conflict."""
        rows = {number: row for number, row in document.items() if number >= stored.oldest}
        try:
            await self._in_thread(partial(self._client.write, stored.name + STATE_SUFFIX, rendered(rows), stored.cas))
        except VaultTrouble as trouble:
            if trouble.kind is Trouble.BROKEN:  # what a stale `cas` is answered with
                raise Conflict from None
            raise

    async def delete(self, name: str, version: int) -> None:
        """Take a version of the key out of reach, so that it can be undone."""
        await self._in_thread(partial(self._client.delete, name, version))

    def close(self) -> None:
        """Not waited for: Vault may be frozen, and the thread ends by its own time limit."""
        self._thread.submit(self._client.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _slots(self) -> list[str]:
        found = []
        for provider in self._names(""):
            if provider.endswith("/"):
                names = self._names(provider)
                found += [f"{provider}{name}" for name in names if not name.endswith((STATE_SUFFIX, "/"))]
        return sorted(found)

    def _names(self, path: str) -> list[str]:
        try:
            return self._client.names(path)
        except VaultTrouble as trouble:
            if trouble.kind is Trouble.MISSING:
                return []
            raise

    def _read(self, name: str) -> Stored:
        path = name + STATE_SUFFIX
        metadata = self._client.metadata(name)
        alive = vault_documents.living(metadata, name)
        assert isinstance(metadata, Mapping)
        written = {int(number): _moment(row) for number, row in metadata["versions"].items()}
        cas = self._version(path)
        # A document that was deleted told what is revoked: MISSING then, and nobody goes on without it.
        document = parsed(self._client.read(path, cas), path) if cas else None
        return Stored(
            name,
            document,
            cas,
            tuple(alive),
            max(written, default=0),
            min(written, default=0),
            metadata.get("max_versions") or USUAL_VERSIONS,
            written,
        )

    def _version(self, path: str) -> int:
        try:
            metadata = self._client.metadata(path)
        except VaultTrouble as trouble:
            if trouble.kind is Trouble.MISSING:
                return 0
            raise
        return int(metadata.get("current_version") or 0) if isinstance(metadata, Mapping) else 0


def _moment(row: object) -> float:
    try:
        return datetime.fromisoformat(str(row["created_time"])).timestamp()  # type: ignore[index]
    except (ValueError, KeyError, TypeError):
        return 0.0
