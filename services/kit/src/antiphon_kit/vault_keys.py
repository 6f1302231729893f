"""Owns the keys that come from Vault or OpenBao: looks for news every few seconds and keeps the last good ones.

    poll ─> state document, or the list of versions ─> fetch what is new ─> check it at the vendor ─> stages of the slot

Every look happens in a worker thread; a frozen Vault costs calls nothing. A version once seen revoked stays so.
"""

import asyncio
import base64
import binascii
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from antiphon_contract.errors import CallFailure
from antiphon_kit import vault_documents
from antiphon_kit.key_ring import KeyRing, Problems, Prove
from antiphon_kit.key_versions import KeySlot, KeyVersion, Stage
from antiphon_kit.secrets import Secret
from antiphon_kit.vault_client import Trouble, VaultClient, VaultTrouble
from antiphon_kit.vault_documents import BadDocument, Staged
from antiphon_kit.vault_settings import STATE_SUFFIX, SlotReference, VaultSettings
from antiphon_kit.vault_slot import VaultSlot

log: Final = logging.getLogger(__name__)
T = TypeVar("T")

PROVE_S: Final = 5.0
FINGERPRINT_PATH: Final = "fingerprint"
_JITTER: Final = 0.2
_ROUNDS: Final = 4
_TROUBLES: Final = tuple(kind.value for kind in Trouble)


def vault_ring(settings: VaultSettings, references: Sequence[SlotReference]) -> KeyRing:
    """The ring of these slots. Create it inside the running loop."""
    return KeyRing(VaultKeys(settings, references))


class VaultKeys:
    """A KeySource over one Vault. `client` is used on one thread only, and closed in the end."""

    def __init__(
        self,
        settings: VaultSettings,
        references: Sequence[SlotReference],
        *,
        client: VaultClient | None = None,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._client = client or VaultClient(settings)
        self._roll = roll
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vault")
        self._prove: Prove | None = None
        self._fingerprint_key: bytes | None = None
        self._polling = asyncio.Lock()
        self.problems = Problems()
        self._slots = [
            VaultSlot(each, settings.max_staleness_s, self.problems, stale_after_s=settings.stale_after_s)
            for each in references
        ]
        self.slots: Sequence[KeySlot] = tuple(each.seen for each in self._slots)

    async def refresh(self) -> None:
        pass

    async def run(self, prove: Prove | None) -> None:
        self._prove = prove
        while True:
            try:
                await self.poll()
            except Exception:  # whatever one look ran into, the next one may not
                log.exception("vault_poll_failed")
            await asyncio.sleep(self._settings.poll_s * (1 - _JITTER + 2 * _JITTER * self._roll()))

    async def poll(self) -> None:
        """One look at every slot."""
        async with self._polling:
            for slot in self._slots:
                await self._look(slot)
                slot.watch_age(self._settings.address)

    async def aclose(self) -> None:
        # Not waited for: Vault may be frozen, and the thread ends by its own time limit.
        self._thread.submit(self._client.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _look(self, slot: VaultSlot) -> None:
        asked_s = time.monotonic()
        kind = ""
        try:
            for _ in range(_ROUNDS):
                if not await self._settle(slot, await self._stages(slot)):
                    break
            slot.seen.confirmed_s = asked_s
            if self._client.warning:
                kind = Trouble.IDENTITY.value
                slot.report(kind, self._client.warning)
        except VaultTrouble as trouble:
            kind = trouble.kind.value
            slot.report(kind, str(trouble))
        except BadDocument as bad:
            slot.report("malformed", str(bad))
        slot.settle(*(each for each in _TROUBLES if each != kind))

    async def _stages(self, slot: VaultSlot) -> dict[int, Staged]:
        """What every version is to be: by the document of whoever rotates, else by the rule for a process alone."""
        path = f"{slot.name}{STATE_SUFFIX}"
        try:
            document = await self._in_thread(partial(self._client.read, path))
        except VaultTrouble as trouble:
            # A document that is gone tells nothing; it may have said what was revoked.
            if trouble.kind is not Trouble.MISSING or slot.has_document:
                raise
            metadata = await self._in_thread(partial(self._client.metadata, slot.name))
            if alive := vault_documents.living(metadata, slot.name):
                return slot.plan_alone(alive)
            message = f"{slot.name}: {self._settings.address} has no version of it; write one with value=<key>"
            raise VaultTrouble(Trouble.MISSING, message) from None
        stages = vault_documents.stages_of(document, path)
        slot.has_document = True
        return stages

    async def _settle(self, slot: VaultSlot, stages: Mapping[int, Staged]) -> bool:
        """Make the slot what `stages` say. Whether there is reason to think the stages over at once."""
        slot.restage(stages)
        wanted = [number for number in vault_documents.needed(stages) if not slot.is_revoked(number)]
        again = False
        for number in wanted:
            version = slot.held(number)
            if version is None:
                try:
                    version = await self._fetched(slot.name, number, stages[number])
                except BadDocument as bad:
                    slot.report("malformed", str(bad), number)
                    again |= not slot.has_document and number not in slot.unreadable
                    slot.unreadable.add(number)
                    continue
                slot.add(version)
            again |= await self._checked(slot, version)
        slot.drop(wanted)
        if slot.is_readable():
            slot.settle("malformed")
        return again

    async def _fetched(self, name: str, number: int, staged: Staged) -> KeyVersion:
        path = f"{name} version {number}"
        data = await self._in_thread(partial(self._client.read, name, number))
        secret = Secret(vault_documents.key_of(data, path))
        key = await self._key_for_fingerprints()
        fingerprint = secret.fingerprint_under(key) if key else secret.fingerprint
        now_s = time.time()
        version = KeyVersion(name, number, secret, fingerprint, staged.stage, staged.share, staged.not_before_s)
        version.stage_time_s = version.load_time_s = now_s
        return version

    async def _key_for_fingerprints(self) -> bytes | None:
        """Shared by all who may read keys; without it fingerprints are this process's own."""
        if self._fingerprint_key is None:
            try:
                document = await self._in_thread(partial(self._client.read, FINGERPRINT_PATH))
                value = vault_documents.key_of(document, FINGERPRINT_PATH)
                self._fingerprint_key = base64.b64decode(value, validate=True)
            except (VaultTrouble, BadDocument, binascii.Error):
                return None
        return self._fingerprint_key

    async def _checked(self, slot: VaultSlot, version: KeyVersion) -> bool:
        """Have the vendor look at a version before calls get it; whether the stages have to be thought over."""
        if version.proven or version.stage not in (Stage.CANDIDATE, Stage.CURRENT):
            return False
        if version.refusal is not None and time.monotonic() < version.refusal.until_s:
            return False
        if self._prove is None:  # calls find out
            slot.took(version)
            return False
        try:
            async with asyncio.timeout(PROVE_S):
                await self._prove(version.secret)
        except CallFailure as failed:
            return slot.turned_down(version, failed.error.reason, failed.error.http_status)
        except TimeoutError:
            slot.unchecked(version, "the provider did not answer")
            return False
        slot.took(version)
        return False
