"""Owns what becomes of the versions of one slot when Vault, the vendor or the clock say something new about them.

Forbids itself: I/O. Who asks Vault and the vendor is vault_keys.
"""

import logging
import time
from collections.abc import Collection, Mapping
from typing import Final

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import Reason, reason_name
from antiphon_kit.key_ring import Problems
from antiphon_kit.key_versions import REFUSED_FOR_S, KeySlot, KeyVersion, Refusal, Stage, Verdict, verdict
from antiphon_kit.vault_documents import Staged, without_document
from antiphon_kit.vault_settings import SlotReference

log: Final = logging.getLogger(__name__)

TRIAL_SHARE: Final = 0.1
TRIAL_SUCCESSES: Final = 20
TRIAL_S: Final = 30.0
"""Without a coordinator a new version gets a tenth of the calls, until it succeeded twenty times or for 30 s."""

SOFT_STALENESS_S: Final = 60.0


class VaultSlot:
    """One slot. `seen` is what the ring sees of it."""

    def __init__(
        self,
        reference: SlotReference,
        max_staleness_s: float,
        problems: Problems,
        *,
        stale_after_s: float = SOFT_STALENESS_S,
    ) -> None:
        self.seen = KeySlot(
            reference.name, reference.weight, max_staleness_s=max_staleness_s, confirmed_s=time.monotonic()
        )
        self.has_document = False
        self.unreadable: set[int] = set()
        self._revoked: set[int] = set()
        self._bad: set[int] = set()
        self._trial_began_s = 0.0
        self._problems = problems
        self._stale_after_s = stale_after_s

    @property
    def name(self) -> str:
        """`<provider>/<slot>`."""
        return self.seen.name

    def held(self, number: int) -> KeyVersion | None:
        """The version, if its key is here."""
        return next((each for each in self.seen.versions if each.number == number), None)

    def report(self, rule: str, message: str, version: int = 0) -> None:
        """Tell an operator."""
        self._problems.report(self.name, rule, message, now_s=time.monotonic(), version=version)

    def settle(self, *rules: str) -> None:
        """It is no longer so."""
        self._problems.settle(self.name, *rules)

    def plan_alone(self, alive: Collection[int]) -> dict[int, Staged]:
        """The stages where no document tells them. `alive`: versions that Vault has."""
        self._end_trial()
        self._bad |= {each.number for each in self.seen.versions if each.bad_here}
        current = next((each.number for each in self.seen.versions if each.stage is Stage.CURRENT), None)
        return without_document(alive, current, self._bad | self.unreadable, trial_share=TRIAL_SHARE)

    def _end_trial(self) -> None:
        """Promote a candidate that did well."""
        for each in self.seen.versions:
            if each.stage is not Stage.CANDIDATE or not each.proven:
                continue
            if each.successes >= TRIAL_SUCCESSES or time.monotonic() - self._trial_began_s >= TRIAL_S:
                for other in self.seen.versions:
                    if other.stage is Stage.CURRENT:
                        self._enter(other, Staged(Stage.GRACE))
                self._enter(each, Staged(Stage.CURRENT, 1.0))

    def restage(self, stages: Mapping[int, Staged]) -> None:
        """Give the versions that are here their stages, before anything is fetched: a revocation does not wait."""
        self._revoked |= {number for number, staged in stages.items() if staged.stage is Stage.REVOKED}
        for version in self.seen.versions:
            staged = stages.get(version.number)
            if version.number in self._revoked:
                self._enter(version, Staged(Stage.REVOKED))
            elif staged is not None:
                if self.has_document and staged.stage is not Stage.CANDIDATE:
                    version.bad_here = False
                self._enter(version, staged)

    def is_revoked(self, number: int) -> bool:
        """Whether it was revoked at any time, whatever a document says now."""
        return number in self._revoked

    def _enter(self, version: KeyVersion, staged: Staged) -> None:
        stage = Stage.BAD if version.bad_here and staged.stage is Stage.CANDIDATE else staged.stage
        before = version.stage
        version.share, version.not_before_s = staged.share, staged.not_before_s
        if not version.move(stage, time.time()):
            return
        if stage is Stage.CURRENT:
            version.doubted.clear()
            if self._is_best(version):
                self.settle("rolled_back", "unchecked")
        log.info(
            "key_stage",
            extra={
                "slot": self.name,
                "version": version.number,
                "fingerprint": version.fingerprint,
                "stage": stage.name,
                "before": before.name,
            },
        )

    def _is_best(self, version: KeyVersion) -> bool:
        """Whether no newer one was refused, which somebody still has to look at."""
        return not any(each.bad_here and each.number > version.number for each in self.seen.versions)

    def is_readable(self) -> bool:
        """Whether what is in service is newer than anything that could not be read."""
        current = max((each.number for each in self.seen.versions if each.stage is Stage.CURRENT), default=0)
        return all(number < current for number in self.unreadable)

    def add(self, version: KeyVersion) -> None:
        """Hold a version that was fetched."""
        self.seen.versions = sorted([*self.seen.versions, version], key=lambda each: -each.number)
        log.info(
            "key_loaded",
            extra={
                "slot": self.name,
                "version": version.number,
                "fingerprint": version.fingerprint,
                "stage": version.stage.name,
            },
        )

    def drop(self, wanted: Collection[int]) -> None:
        """Let go of keys that no stage needs, once no call runs with them; a bad one stays to be seen."""
        current = max((each.number for each in self.seen.versions if each.stage is Stage.CURRENT), default=0)
        kept = []
        for each in self.seen.versions:
            stays = each.number in wanted or (each.stage is Stage.BAD and each.number > current)
            if not stays and each.stage is not Stage.BAD:
                self._enter(each, Staged(Stage.REVOKED))
            if stays or each.in_flight:
                kept.append(each)
        self.seen.versions = kept

    def took(self, version: KeyVersion) -> None:
        """The vendor, or nobody because there is no way to ask, has no objection."""
        version.proven = True
        version.check_time_s = time.time()
        version.refusal = None
        self._trial_began_s = time.monotonic()
        if self._is_best(version):
            self.settle("unchecked", "refused")

    def turned_down(self, version: KeyVersion, reason: error_pb2.ErrorReason, http_status: int) -> bool:
        """What the vendor's answer to a check means; whether the stages have to be thought over."""
        if reason == Reason.ERROR_REASON_RATE_LIMITED or http_status in (404, 405):
            self.took(version)  # it knows the key, or has nothing to ask for: calls find out
            return False
        if verdict(reason, http_status, Stage.CANDIDATE) is not Verdict.REFUSED:
            name = reason_name(reason)
            self.unchecked(version, f"the provider answered {name}")
            return False
        now_s = time.monotonic()
        version.refusal = Refusal(reason, http_status, time.time(), now_s + REFUSED_FOR_S)
        where = f"{self.name} version {version.number}"
        if version.stage is Stage.CANDIDATE:
            version.bad_here = True
            version.move(Stage.BAD, time.time())
            remedy = "calls go on with the version in service; write a good key as a new version"
            message = f"{where} is refused by the provider (HTTP {http_status}) and was rolled back; {remedy}"
            self.report("rolled_back", message, version.number)
            return True
        self.report("refused", f"{where}: the provider refuses it (HTTP {http_status})", version.number)
        news = not (self.has_document or version.bad_here)
        if news:  # an older version is tried; without one this one stays in service
            version.bad_here = True
            version.move(Stage.BAD, time.time())
        return news

    def unchecked(self, version: KeyVersion, why: str) -> None:
        """The vendor could not be asked; a candidate waits for it."""
        self.report("unchecked", f"{self.name} version {version.number}: not checked yet, {why}", version.number)

    def watch_age(self, server: str) -> None:
        """Tell when nobody confirmed the keys for a while."""
        age_s = self.seen.staleness_s(time.monotonic())
        if age_s < self._stale_after_s or not self.seen.versions or self.seen.max_staleness_s is None:
            self.settle("stale")
            return
        most_s = self.seen.max_staleness_s
        then = "out of use" if age_s >= most_s else f"to go out of use at {most_s:g} s"
        self.report("stale", f"{self.name}: not confirmed by {server} for more than {self._stale_after_s:g} s; {then}")
