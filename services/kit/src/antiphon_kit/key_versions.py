"""Owns which version of a provider key a call gets: stages, shares, refusals, and the choice among them.

Forbids itself: clocks, chance and I/O. Time and the roll of the dice are arguments.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import Reason
from antiphon_kit.secrets import Secret

REFUSED_FOR_S: Final = 300.0
"""How long a refused version is passed over while another one lives; then one call tries it again."""

_MAX_DOUBTED: Final = 64


class Stage(enum.IntEnum):
    """Stage of a version in its rotation; the numbers of antiphon.router.v1.KeyStatus."""

    CANDIDATE = 1
    CURRENT = 2
    GRACE = 3
    BAD = 4
    REVOKED = 5


USABLE: Final = frozenset({Stage.CANDIDATE, Stage.CURRENT, Stage.GRACE})


@dataclass(slots=True)
class Refusal:
    """The provider did not take the key. `since_s` is wall time, `until_s` monotonic."""

    reason: error_pb2.ErrorReason
    http_status: int
    since_s: float
    until_s: float


@dataclass(slots=True, eq=False)
class KeyVersion:
    """One version of one key in this process. Times are wall clock in seconds, 0: never."""

    slot: str
    number: int
    secret: Secret
    fingerprint: str
    stage: Stage
    share: float = 0.0
    """Part of the slot's calls that a candidate gets, 0..1."""

    not_before_s: float = 0.0
    stage_time_s: float = 0.0
    load_time_s: float = 0.0
    success_time_s: float = 0.0
    use_time_s: float = 0.0
    proven: bool = False
    """The provider took it, in a call or in a check."""

    check_time_s: float = 0.0
    """When a check found nothing against it."""

    calls: int = 0
    """Calls that it was sent with."""

    successes: int = 0
    """Calls that the provider took it for."""

    bad_here: bool = False
    """Refused in this process while a candidate: out at once, whatever a document goes on to say."""

    in_flight: int = 0
    refusal: Refusal | None = None
    doubted: set[str] = field(default_factory=set)
    """Models that the provider does not know under this candidate, and may know under the version in service."""

    def move(self, stage: Stage, at_s: float) -> bool:
        """Enter `stage`; whether that is a change."""
        changed = stage is not self.stage
        if changed:
            self.stage, self.stage_time_s = stage, at_s
        return changed

    def doubt(self, model: str) -> None:
        """Keep calls of `model` from this candidate. Names come from callers, so there is an end to them."""
        if len(self.doubted) < _MAX_DOUBTED:
            self.doubted.add(model)


@dataclass(slots=True, eq=False)
class KeySlot:
    """One key of a provider, `<provider>/<name>`: its versions, newest first. `weight` is against other slots.

    `max_staleness_s`: how long it may be used after the secret store last confirmed it, at `confirmed_s` (monotonic);
    None: there is no store to ask.
    """

    name: str
    weight: float = 1.0
    versions: list[KeyVersion] = field(default_factory=list)
    max_staleness_s: float | None = None
    confirmed_s: float = 0.0

    def staleness_s(self, now_s: float) -> float:
        """Since the store last confirmed it; 0 where there is none."""
        return 0.0 if self.max_staleness_s is None else now_s - self.confirmed_s

    def expired(self, now_s: float) -> bool:
        """Whether nobody confirmed it for too long."""
        return self.max_staleness_s is not None and now_s - self.confirmed_s >= self.max_staleness_s


class Wanted(NamedTuple):
    """What a choice is made for: a model ("" for none), at a moment on both clocks."""

    model: str
    now_s: float
    wall_s: float


def choose(slots: Sequence[KeySlot], wanted: Wanted, roll: float, passing: KeyVersion | None = None) -> KeyVersion:
    """The version for a call. `roll` is in [0, 1). `passing`: any but this one. Raises LookupError if there is none.

    A slot by weight among those that have a version nobody refused, then a version by stage and share. Where all are
    refused, the one refused longest ago: it may have been mended, and the router keeps calls from a dead account.
    """
    if len(slots) == 1 and passing is None and len(slots[0].versions) == 1:
        only = slots[0].versions[0]
        if only.stage is Stage.CURRENT and not slots[0].expired(wanted.now_s) and only.not_before_s <= wanted.wall_s:
            return only
    usable = [(slot, _usable(slot, wanted, passing)) for slot in slots]
    fit = [(slot, [each for each in versions if not _is_out(each, wanted)]) for slot, versions in usable]
    fit = [(slot, versions) for slot, versions in fit if versions]
    if fit:
        versions, roll = _by_weight(fit, roll)
        return _by_stage(versions, roll)
    refused = [(each.refusal.since_s, each.number, each) for _, many in usable for each in many if each.refusal]
    if not refused:
        raise LookupError("no usable version")
    return min(refused, key=lambda row: row[:2])[2]


def _usable(slot: KeySlot, wanted: Wanted, passing: KeyVersion | None) -> list[KeyVersion]:
    if slot.expired(wanted.now_s):
        return []
    return [
        each
        for each in slot.versions
        if each.stage in USABLE and each.not_before_s <= wanted.wall_s and each is not passing and _is_ripe(each)
    ]


def _is_ripe(version: KeyVersion) -> bool:
    """A candidate takes no call before the provider took it in a check."""
    return version.stage is not Stage.CANDIDATE or version.proven


def _is_out(version: KeyVersion, wanted: Wanted) -> bool:
    refused = version.refusal is not None and wanted.now_s < version.refusal.until_s
    return refused or (version.stage is Stage.CANDIDATE and wanted.model in version.doubted)


def _by_weight(fit: Iterable[tuple[KeySlot, list[KeyVersion]]], roll: float) -> tuple[list[KeyVersion], float]:
    """The versions of the slot that `roll` falls on, and what is left of the roll, in [0, 1) again."""
    rows = list(fit)
    point = roll * sum(slot.weight for slot, _ in rows)
    for slot, versions in rows[:-1]:
        if point < slot.weight:
            return versions, point / slot.weight
        point -= slot.weight
    slot, versions = rows[-1]
    return versions, min(point / slot.weight, 0.999999999)


def _by_stage(versions: Sequence[KeyVersion], roll: float) -> KeyVersion:
    """A candidate for its share, else the newest of the first stage there is: current, grace, candidate."""
    start = 0.0
    for each in versions:
        if each.stage is Stage.CANDIDATE:
            if start <= roll < start + each.share:
                return each
            start += each.share
    for stage in (Stage.CURRENT, Stage.GRACE):
        for each in versions:
            if each.stage is stage:
                return each
    return versions[0]


class Verdict(enum.Enum):
    """What an error says about the key that was sent."""

    NONE = enum.auto()
    REFUSED = enum.auto()
    """The key itself: nobody's call would go through with it."""

    LIMITED = enum.auto()
    """Its account, for a while."""

    UNKNOWN_MODEL = enum.auto()
    """It may be the model's name or the key's rights."""


_IN_SERVICE: Final = frozenset({Stage.CURRENT, Stage.GRACE})
_ACCOUNT: Final = frozenset({Reason.ERROR_REASON_QUOTA_EXHAUSTED, Reason.ERROR_REASON_RATE_LIMITED})


def verdict(reason: error_pb2.ErrorReason, http_status: int, stage: Stage) -> Verdict:
    """What an answer with `http_status` says about the version that was sent, in `stage`.

    A candidate has to do all that the version in service does, so a spent account refuses it.
    """
    if http_status < 400:
        return Verdict.NONE
    if reason == Reason.ERROR_REASON_PROVIDER_CREDENTIALS:
        return Verdict.REFUSED
    if stage is Stage.CANDIDATE and reason == Reason.ERROR_REASON_QUOTA_EXHAUSTED:
        return Verdict.REFUSED
    if reason in _ACCOUNT:
        return Verdict.LIMITED
    # Also for a call that was under way when its candidate was rolled back or replaced.
    if stage not in _IN_SERVICE and reason == Reason.ERROR_REASON_MODEL_NOT_FOUND:
        return Verdict.UNKNOWN_MODEL
    return Verdict.NONE
