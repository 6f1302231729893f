"""Owns the loop that drives rotations: look into the store now and then, decide at every news, write, push.

    poll ─> slots, versions, documents ┐
                                       ├─> rotation.advance ─> write with CAS ─> push ─> again
    news of the processes ─────────────┘        └─ conflict: read again

Forbids itself: deciding, which rotation and orders do. It keeps nothing that the document does not say.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from antiphon_keys import listing, observed, rotation
from antiphon_keys.document import Document
from antiphon_keys.metrics import Tally
from antiphon_keys.orders import Refused, Why
from antiphon_keys.rotation import Pace, Seen
from antiphon_keys.store import STORE, Conflict, Store, Stored
from antiphon_keys.watch import Watch
from antiphon_kit.key_ring import Problems
from antiphon_kit.key_versions import Stage
from antiphon_kit.vault_client import Trouble, VaultTrouble
from antiphon_kit.vault_documents import BadDocument

log = logging.getLogger(__name__)

ROUNDS: Final = 8
NEWS_APART_S: Final = 0.05
_TROUBLES: Final = tuple(kind.value for kind in Trouble)

Order = Callable[[Document, Seen, float], tuple[Document, int]]
"""The document of now, what is seen, the time -> the document to be, and the version it is about."""


class Coordinator:
    """All slots of one store. `news` may be called at any time; `delete` takes retired versions out of the store."""

    def __init__(self, store: Store, pace: Pace, *, poll_s: float, delete: bool = False) -> None:
        self._store = store
        self._pace = pace
        self._poll_s = poll_s
        self._delete = delete
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self.slots: dict[str, Stored] = {}
        self.problems = Problems()
        self.tally = Tally()
        self.looked = asyncio.Event()
        """Set once the store was read."""

    def news(self) -> None:
        """Something may have changed."""
        self._news.set()

    def seen(self, stored: Stored, watch: Watch) -> Seen:
        """What there is of a slot now."""
        return observed.seen(stored.name, stored.alive, watch.reports)

    async def run(self, watch: Watch) -> None:
        """Drive all there is; ends by cancellation only."""
        due_s = 0.0
        while True:
            try:
                if time.monotonic() >= due_s:
                    due_s = time.monotonic() + self._poll_s
                    await self._look()
                if watch.settled:
                    await self._drive(watch)
            except VaultTrouble as trouble:
                self._report(STORE, trouble.kind.value, str(trouble))
            except Exception:
                log.exception("round_failed")
            self._sum_up(watch)
            await asyncio.sleep(NEWS_APART_S)
            try:
                async with asyncio.timeout(max(due_s - time.monotonic(), 0)):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()

    def _sum_up(self, watch: Watch) -> None:
        held = listing.only_held(self.slots, watch.reports)
        wrong = observed.problems(watch.reports, listing.problems(self.problems.all()))
        self.tally.alarmed((*self.slots, *held), wrong)

    async def _look(self) -> None:
        names = await self._store.slots()
        async with self._writing:
            for name in self.slots.keys() - set(names):
                del self.slots[name]
                self.problems.settle(name)
            for name in names:
                await self._read(name)
        self.problems.settle(STORE)
        self.tally.looked()
        self.looked.set()

    async def _read(self, name: str) -> Stored | None:
        kind = ""
        try:
            self.slots[name] = await self._store.read(name)
        except VaultTrouble as trouble:
            kind = trouble.kind.value
            self._report(name, kind, str(trouble))
        except BadDocument as bad:
            kind = "malformed"
            self._report(name, kind, str(bad))
        self.problems.settle(name, *(each for each in (*_TROUBLES, "malformed") if each != kind))
        if kind:  # what was known may be wrong by now, and nothing is to be written upon it
            self.slots.pop(name, None)
            return None
        return self.slots[name]

    async def _drive(self, watch: Watch) -> None:
        for name in list(self.slots):
            async with self._writing:
                if name in self.slots:
                    await self._advance(name, watch)

    async def _advance(self, name: str, watch: Watch) -> None:
        for _ in range(ROUNDS):
            stored = self.slots[name]
            after = rotation.advance(stored.document, self.seen(stored, watch), time.time(), self._pace)
            if after is None or after is stored.document:
                break
            if not await self._write(stored, after, watch):
                return
        self._alarm(self.slots[name])

    async def order(self, name: str, order: Order, watch: Watch) -> int:
        """Carry out what somebody ordered; returns the version. Raises Refused, VaultTrouble."""
        async with self._writing:
            for _ in range(ROUNDS):
                if name not in await self._store.slots():
                    known = ", ".join(sorted(self.slots)) or "none"
                    raise Refused(Why.MISSING, f"there is no slot {name}; there is {known}")
                stored = await self._read(name)
                if stored is None:
                    problem = next(
                        (each.message for each in self.problems.all() if each.slot == name), "see its problems"
                    )
                    raise Refused(Why.STATE, f"{name} cannot be changed now: {problem}")
                seen = self.seen(stored, watch)
                before = stored.document
                if before is None and not watch.settled:
                    # Written now, it might leave out the version in service.
                    raise Refused(Why.STATE, f"{name} cannot be changed yet: not every process has told what it holds")
                if before is None:
                    before = rotation.advance(None, seen, time.time(), self._pace) or {}
                after, number = order(before, seen, time.time())
                if after is stored.document or await self._write(stored, after, watch):
                    self._alarm(self.slots[name])
                    return number
        raise VaultTrouble(Trouble.BROKEN, f"{name}: others keep writing its stages; try again")

    async def _write(self, stored: Stored, after: Document, watch: Watch) -> bool:
        """Write and push. False: somebody else wrote meanwhile, or the slot is gone; it was read again."""
        try:
            await self._store.write(stored, after)
        except Conflict:
            self.news()
            await self._read(stored.name)
            return False
        self.slots[stored.name] = replace(stored, document=after, cas=stored.cas + 1)
        self.tally.wrote(stored.name, stored.document, after)
        retired = self._tell(stored, after)
        await watch.push()
        if self._delete:
            for number in retired:
                await self._store.delete(stored.name, number)
        return True

    def _tell(self, stored: Stored, after: Document) -> list[int]:
        """Log what changed; returns the versions that came out of service as they should."""
        before = stored.document or {}
        retired = []
        for number in sorted(after):
            row, was = after[number], before.get(number)
            if was is not None and (was.stage, was.share) == (row.stage, row.share):
                continue
            if row.stage is Stage.REVOKED and was is not None and was.stage is Stage.GRACE:
                retired.append(number)
            log.info(
                "key_stage",
                extra={
                    "slot": stored.name,
                    "version": number,
                    "stage": row.stage.name,
                    "before": was.stage.name if was else "",
                    "share": row.share,
                },
            )
        return retired

    def _alarm(self, stored: Stored) -> None:
        document = stored.document or {}
        bad = rotation.refused_of(document)
        if bad is not None:
            message = f"{stored.name} version {bad} was rolled back; write a good key as a new version"
            self._report(stored.name, "rolled_back", message, bad)
        else:
            self.problems.settle(stored.name, "rolled_back")
        left = rotation.writes_left(document, stored.newest, stored.max_versions)
        if document and left <= rotation.FEW_LEFT:
            message = (
                f"{stored.name}: after {max(left, 0)} more versions the store drops one that is in service; bring a "
                "good key into service, or raise max_versions with `kv metadata put`"
            )
            self._report(stored.name, "crowded", message)
        else:
            self.problems.settle(stored.name, "crowded")

    def _report(self, slot: str, rule: str, message: str, version: int = 0) -> None:
        self.problems.report(slot, rule, message, now_s=time.monotonic(), version=version)
