"""Owns the goals about new keys under load: good ones, bad ones, and those that must go at once."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from antiphon.router.v1 import keys_pb2
from antiphon_harness import checker
from antiphon_harness.bed import CALM
from antiphon_harness.collector import Collector
from antiphon_harness.fakellm.script import Rule, Script
from antiphon_harness.faultproxy import FaultProxy, Weather
from antiphon_harness.goal import Bound, Figures, Goal
from antiphon_harness.key_watch import KeyWatch, asked
from antiphon_harness.processes import HarnessError
from antiphon_harness.vault_bed import BACKEND, VAULTED, Coordinator, VaultBed, until_so

_SETTLE_S: Final = 8.0
_ROTATION_S: Final = 120.0


@dataclass(slots=True)
class _Rotations:
    """Versions that came into service, with the moment of it."""

    promoted: dict[int, float] = field(default_factory=dict)
    took_s: list[float] = field(default_factory=list)

    def late_uses(self, bed: VaultBed) -> float:
        """The longest time from a promotion to the last use of the version before it, in seconds."""
        late = [0.0]
        for version, at in self.promoted.items():
            used = bed.upstream.witness.accepted(since=at, key=bed.key(version - 1))
            late += [one.at - at for one in used]
        return max(late)


async def rotated(bed: VaultBed) -> Figures:
    """First without a coordinator, by nothing but a write to the store; then with one."""
    alone, driven = _Rotations(), _Rotations()
    async with KeyWatch(bed.processes) as watch:
        async with bed.load() as shots:
            await watch.until("version 1 in service", lambda: watch.everywhere(1, "CURRENT"))
            for version in range(2, 2 + bed.count(4, 1)):
                await _rotate(bed, watch, alone, version, None)
            async with bed.coordinator() as coordinator:
                first = version + 1
                for version in range(first, first + bed.count(20, 3)):
                    await _rotate(bed, watch, driven, version, coordinator)
                await asyncio.sleep(bed.pick(15.0, 4.0))
                shown = await coordinator.shown()
        off = await _unaccounted(bed, watch, range(1, version + 1))
    seen = bed.upstream.witness.accepted(since=shots[0].sent - 1)
    return {
        "rotations": len(alone.promoted) + len(driven.promoted),
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "seconds from a promotion to the last use of the old key": driven.late_uses(bed),
        "the same without a coordinator": alone.late_uses(bed),
        "requests per key that the processes count otherwise than the upstream": off,
        "calls with more attempts than their record tells": len(checker.unaccounted(shots, seen)),
        "versions that `antiphon keys` does not show in service": float(
            not any(f" {version} " in line and "current" in line for line in shown.splitlines())
        ),
        "longest rotation, s": max(alone.took_s + driven.took_s),
    }


async def _rotate(
    bed: VaultBed, watch: KeyWatch, into: _Rotations, version: int, coordinator: Coordinator | None
) -> None:
    started = time.monotonic()
    number = await bed.store.put(bed.slot, bed.key(version))
    assert number == version, "somebody else writes here"
    if coordinator is not None:
        await coordinator.admin.RotateKey(keys_pb2.RotateKeyRequest(slot=bed.slot, version=version), timeout=20)
    await watch.until(f"version {version} in service", lambda: watch.everywhere(version, "CURRENT"), _ROTATION_S)
    # Alone each process promotes on its own account; a coordinator promotes for all.
    began = watch.began(version, "CURRENT")
    into.promoted[version] = began[-1] if coordinator is None else began[0]
    into.took_s.append(time.monotonic() - started)


async def _unaccounted(bed: VaultBed, watch: KeyWatch, versions: Sequence[int]) -> float:
    """By how much the counts of both sides differ, once they had time to be told."""

    # Checks are requests too, but no calls.
    def off() -> int:
        witness = bed.upstream.witness
        return sum(
            abs(watch.calls(number) + watch.checks(number) - len(witness.accepted(key=key)) - witness.listed(key))
            for number in versions
            for key in (bed.key(number),)
        )

    async def agree() -> bool:
        return off() == 0

    await until_so(agree, _SETTLE_S)
    return float(off())


G18: Final = Goal(
    id="G18",
    title="20 rotations of a provider key in the secret store, under load",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("rotations", least=20, full_only=True),
        Bound("failed", most=0),
        Bound("seconds from a promotion to the last use of the old key", most=15.0),
        Bound("the same without a coordinator", most=15.0),
        Bound("requests per key that the processes count otherwise than the upstream", most=0),
        Bound("calls with more attempts than their record tells", most=0),
        Bound("versions that `antiphon keys` does not show in service", most=0),
    ),
    run=rotated,
)


def _refusal(status: int, code: str) -> Script:
    return Script(status=status, error={"message": f"refused: {code}", "type": "invalid_request_error", "code": code})


BAD: Final[dict[str, Script | None]] = {
    "typo": None,
    "org": _refusal(401, "mismatched_organization"),
    "model": _refusal(404, "model_not_found"),
    "revoked": None,
    "forbidden": _refusal(403, "permission_denied"),
    "dies": _refusal(401, "invalid_api_key"),
}
"""Kinds of bad keys. None: refused by the check before the first call; else the check finds nothing, and calls get
this. `dies`: only once it was in use."""

_PLAIN_KINDS: Final = ("typo", "org")
_GIVEN_UP_S: Final = 10.0
"""After the first refusal: no bound is met any more, and what is still refused stays."""


@dataclass(slots=True)
class _Trial:
    """What became of the bad keys."""

    back_s: list[float] = field(default_factory=list)
    lasted_s: list[float] = field(default_factory=list)
    uses: int = 0
    promoted: int = 0
    alarms: int = 0
    stuck: bool = False
    """A bad key did not go, or came into service; then nothing is learnt from the next one."""


async def bad_keys(bed: VaultBed) -> Figures:
    """Bad keys in a row, with a coordinator; then two more by a process alone."""
    trial = _Trial()
    async with Collector() as collector:
        await bed.start_anew({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "1000"})
        async with KeyWatch(bed.processes) as watch, bed.load() as shots:
            await watch.until("version 1 in service", lambda: watch.everywhere(1, "CURRENT"))
            await _try_all(bed, watch, trial, _PLAIN_KINDS, None)
            if not trial.stuck:
                await _try_driven(bed, watch, trial)

            async def exported() -> bool:
                return collector.has("metrics", "antiphon.key.problems", "rolled_back")

            metric = await until_so(exported, 10.0, 0.2)
            evicted = not watch.everywhere(1, "CURRENT")
    return {
        "bad keys": len(trial.back_s),
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "seconds from the first refusal to the rollback": max(trial.back_s),
        "seconds from the first refusal to the last use": max(trial.lasted_s),
        "bad keys that came into service": trial.promoted,
        "share of the traffic that saw a bad key": trial.uses / max(1, len(shots)),
        "the version in service is gone": float(evicted),
        "alarms in `antiphon keys`": trial.alarms,
        "alarms as a metric": float(metric != float("inf")),
    }


async def _try_driven(bed: VaultBed, watch: KeyWatch, trial: _Trial) -> None:
    async with bed.coordinator() as coordinator:
        await _try_all(bed, watch, trial, list(BAD), coordinator)
        last = 1 + len(trial.back_s)
        shown = await coordinator.shown()
        trial.alarms = sum("ALARM rolled_back" in line and f"version {last}" in line for line in shown.splitlines())


async def _try_all(
    bed: VaultBed, watch: KeyWatch, trial: _Trial, kinds: Sequence[str], coordinator: Coordinator | None
) -> None:
    for kind in kinds:
        if not trial.stuck:
            await _try_bad(bed, watch, trial, kind, coordinator)


async def _try_bad(bed: VaultBed, watch: KeyWatch, trial: _Trial, kind: str, coordinator: Coordinator | None) -> None:
    key = f"sk-harness-bad-{kind}-{'driven' if coordinator else 'alone'}"
    script = BAD[kind]
    await bed.upstream.keys([bed.key(1)] if script is None else None)
    dies = kind == "dies"
    await bed.upstream.rules(*([Rule(script, key=key)] if script and not dies else []), Rule(CALM))
    version = await bed.store.put(bed.slot, key)
    if dies and script is not None:
        await watch.until("the bad key is in use", lambda: watch.successes(version) > 0, _ROTATION_S)
        await bed.upstream.rules(Rule(script, key=key), Rule(CALM))

    def out() -> bool:
        return bool(watch.began(version, "BAD")) or ("rolled_back" in watch.rules() and not _used(watch, version))

    await watch.comes(lambda: out() or _refused_for_s(bed, key) >= _GIVEN_UP_S)
    back = time.monotonic()
    trial.stuck = not out() or bool(watch.began(version, "CURRENT"))
    if not out() and not _refused_for_s(bed, key):
        raise HarnessError(f"version {version} ({kind}) was not tried")
    if coordinator is not None and not trial.stuck:

        async def written() -> bool:
            return (await bed.store.stages(bed.slot)).get(version) == "bad"

        await until_so(written, _GIVEN_UP_S)
        back = time.monotonic()
    await asyncio.sleep(0.5)
    used = bed.upstream.witness.accepted(key=key)
    refused = [one.ended for one in used if one.status >= 400 and one.ended]
    first = min([*refused, *watch.began(version, "BAD")], default=back)
    trial.back_s.append(back - first)
    trial.lasted_s.append(max([0.0, *(one.at - first for one in used)]))
    trial.uses += len(used)
    trial.promoted += bool(watch.began(version, "CURRENT"))


def _refused_for_s(bed: VaultBed, key: str) -> float:
    """Seconds since a call with it was refused first; 0: none was."""
    now = time.monotonic()
    return now - min((one.ended for one in bed.upstream.witness.accepted(key=key) if one.status >= 400), default=now)


def _used(watch: KeyWatch, version: int) -> bool:
    return any(use.version == version for one in watch.told.values() for use in one.uses)


G19: Final = Goal(
    id="G19",
    title="bad new keys in a row: typos, revoked, wrong organisation, no access to the model",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("bad keys", least=6),
        Bound("failed", most=0),
        Bound("seconds from the first refusal to the rollback", most=1.0, short_most=4.0),
        Bound("seconds from the first refusal to the last use", most=1.0, short_most=4.0),
        Bound("bad keys that came into service", most=0),
        Bound("share of the traffic that saw a bad key", most=0.01, short_most=0.05),
        Bound("the version in service is gone", most=0),
        Bound("alarms in `antiphon keys`", least=1),
        Bound("alarms as a metric", least=1),
    ),
    bare=True,
    run=bad_keys,
)


async def emergency(bed: VaultBed) -> Figures:
    """A version in service is revoked: with the coordinator's push, and with the way of the push cut."""
    await bed.start_anew({"ANTIPHON_VAULT_POLL_S": "5"})
    proxies = [FaultProxy(one.address) for one in bed.processes]
    async with proxies[0], proxies[1]:
        watched = ",".join(f"{BACKEND}={proxy.address}" for proxy in proxies)
        async with (
            KeyWatch(bed.processes) as watch,
            bed.load() as shots,
            bed.coordinator(watched) as coordinator,
        ):
            await watch.until("version 1 in service", lambda: watch.everywhere(1, "CURRENT"))
            pushed = await _revoke(bed, watch, coordinator, 2)
            await _promote(bed, watch, coordinator, 3)
            for proxy in proxies:
                proxy.weather = Weather(blackhole=True)
            polled = await _revoke_now(bed, watch, coordinator, 3)
            # Whoever writes that it is in service again does not bring it back.
            for proxy in proxies:
                proxy.weather = Weather()
            risen = await _resurrect(bed, 2)
    return {
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "seconds until it was unused, pushed": pushed,
        "seconds until it was unused, push cut": polled,
        "uses after the document was changed back": risen,
    }


async def _promote(bed: VaultBed, watch: KeyWatch, coordinator: Coordinator, version: int) -> None:
    number = await bed.store.put(bed.slot, bed.key(version))
    assert number == version, "somebody else writes here"
    await coordinator.admin.PromoteKey(keys_pb2.PromoteKeyRequest(slot=bed.slot, version=version), timeout=20)
    await watch.until(f"version {version} in service", lambda: watch.everywhere(version, "CURRENT"))

    async def used() -> bool:
        return len(bed.upstream.witness.accepted(key=bed.key(version))) >= 5

    await until_so(used, 20.0)


async def _revoke(bed: VaultBed, watch: KeyWatch, coordinator: Coordinator, version: int) -> float:
    await _promote(bed, watch, coordinator, version)
    return await _revoke_now(bed, watch, coordinator, version)


async def _revoke_now(bed: VaultBed, watch: KeyWatch, coordinator: Coordinator, version: int) -> float:
    """Seconds from the order to the last use."""
    ordered = time.monotonic()
    await coordinator.admin.RevokeKey(keys_pb2.RevokeKeyRequest(slot=bed.slot, version=version), timeout=30)
    await watch.until(f"version {version} out", lambda: not _usable(watch, version), 30.0)
    await asyncio.sleep(1.0)
    return max([0.0, *(one.at - ordered for one in bed.upstream.witness.accepted(since=ordered, key=bed.key(version)))])


def _usable(watch: KeyWatch, version: int) -> bool:
    return any(use.version == version and use.status <= 3 for one in watch.told.values() for use in one.uses)


async def _resurrect(bed: VaultBed, version: int) -> int:
    since = time.monotonic()
    stages = await bed.store.stages(bed.slot)
    current = next(number for number, stage in stages.items() if stage == "current")
    await bed.store.write_stages(bed.slot, {**stages, current: "grace", version: "current"})
    for process in bed.processes:
        await asked(process.address, refresh=True)
    await asyncio.sleep(1.5)
    return len(bed.upstream.witness.accepted(since=since, key=bed.key(version)))


G20: Final = Goal(
    id="G20",
    title="emergency: a version in service is revoked",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("failed", most=0),
        Bound("seconds until it was unused, pushed", most=2.0),
        Bound("seconds until it was unused, push cut", most=6.0, short_most=8.0),
        Bound("uses after the document was changed back", most=0),
    ),
    bare=True,
    run=emergency,
)
