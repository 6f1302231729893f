"""Owns the keys of one provider in this process: a call leases one, and says afterwards whether the vendor took it.

    async with ring.lease(model) as key:      # counted in flight
        … send key.secret …
        key.accepted()                         # or: raise CallFailure(key.refused(error))

Forbids itself: choosing (key_versions does) and fetching (a KeySource does). Nothing here shows a value.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NoReturn, Protocol, Self, TypeAlias

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.key_versions import (
    REFUSED_FOR_S,
    KeySlot,
    KeyVersion,
    Refusal,
    Stage,
    Verdict,
    Wanted,
    choose,
    verdict,
)
from antiphon_kit.secrets import Secret, SecretSource

log: Final = logging.getLogger(__name__)

Prove: TypeAlias = Callable[[Secret], Awaitable[object]]
"""One cheap call that the vendor answers only to who has a good key. Raises CallFailure."""

SAID_AGAIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something an operator has to look at. `rule` is a word for machines, `message` is for people."""

    slot: str
    rule: str
    message: str
    since_s: float
    version: int = 0


class Problems:
    """What is wrong now, by slot and rule: logged when it begins and changes, once a minute while it lasts, at its end.

    `now_s`: monotonic.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Problem] = {}
        self._due_s: dict[tuple[str, str], float] = {}

    def report(self, slot: str, rule: str, message: str, *, now_s: float, version: int = 0) -> None:
        """It is so. Never with a value in `message`."""
        key = (slot, rule)
        known = self._open.get(key)
        if known is None or known.version != version:
            known = Problem(slot, rule, message, time.time(), version)
        elif known.message == message and now_s < self._due_s[key]:
            return
        self._open[key] = Problem(slot, rule, message, known.since_s, version)
        self._due_s[key] = now_s + SAID_AGAIN_S
        log.warning("key_problem", extra={"slot": slot, "rule": rule, "version": version, "detail": message})

    def settle(self, slot: str, *rules: str) -> None:
        """It is no longer so; without `rules`, nothing of the slot is."""
        for key in [key for key in self._open if key[0] == slot and (not rules or key[1] in rules)]:
            del self._open[key]
            log.info("key_problem_over", extra={"slot": slot, "rule": key[1]})

    def all(self) -> list[Problem]:
        """Ordered by slot and rule."""
        return sorted(self._open.values(), key=lambda each: (each.slot, each.rule))


class KeySource(Protocol):
    """Where the slots of a ring get their versions from."""

    slots: Sequence[KeySlot]
    problems: Problems

    async def refresh(self) -> None:
        """Called before every lease; must cost next to nothing."""
        ...

    async def poll(self) -> None:
        """Look for news at once."""
        ...

    async def run(self, prove: Prove | None) -> None:
        """Look for news again and again; ends by cancellation or when there never will be any."""
        ...

    async def aclose(self) -> None:
        """Give back what it holds."""
        ...


class Keyed(Protocol):
    """What a call is made with. `key`: the version that it used last."""

    key: KeyVersion | None


class KeyRing:
    """All keys of one provider. `roll` gives numbers in [0, 1)."""

    def __init__(self, source: KeySource, *, roll: Callable[[], float] = random.random) -> None:
        self._source = source
        self._roll = roll
        self._doubted = False
        self.prove: Prove | None = None
        """How a new version is checked before calls get it; the adapter knows."""

    @classmethod
    def of(cls, keys: "SecretSource | KeyRing | None", *, prove: Prove | None = None) -> "KeyRing":
        """The ring of one live value; None: of a server that takes no key, whose secret is empty."""
        ring = keys if isinstance(keys, KeyRing) else cls(OneKey(_NoKey() if keys is None else keys))
        ring.prove = prove or ring.prove
        return ring

    @property
    def slots(self) -> Sequence[KeySlot]:
        """What there is, for those who report it."""
        return self._source.slots

    @property
    def problems(self) -> list[Problem]:
        """What an operator has to look at."""
        return self._source.problems.all()

    def now_s(self) -> float:
        """The ring's monotonic clock."""
        return time.monotonic()

    def lease(self, model: str = "", job: "Keyed | None" = None) -> "KeyLease":
        """A key for one upstream call, for the body of an `async with`, which raises CallFailure if there is none.

        `job`: who is to know afterwards which one it was.
        """
        return KeyLease(self, model, job)

    async def take(self, model: str) -> KeyVersion:
        """Choose a version and count it in flight."""
        await self._source.refresh()
        wanted = Wanted(model, time.monotonic(), time.time())
        try:
            version = choose(self._source.slots, wanted, self._roll())
        except LookupError:
            self._refuse(wanted.now_s)
        if version.refusal is not None:
            # One call finds out whether it was mended; the next ones wait for what it learns.
            version.refusal.until_s = max(version.refusal.until_s, wanted.now_s + REFUSED_FOR_S)
        version.in_flight += 1
        return version

    def _refuse(self, now_s: float) -> NoReturn:
        for slot in self._source.slots:
            if slot.versions and slot.expired(now_s):
                problem = f"the secret store did not confirm {slot.name} for {slot.staleness_s(now_s):.0f} s"
                break
        else:
            problems = self._source.problems.all()
            names = ", ".join(slot.name for slot in self._source.slots)
            problem = problems[0].message if problems else f"{names}: not read yet, or every version is bad or revoked"
        raise failure(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, f"the provider has no usable key: {problem}")

    def accepted(self, version: KeyVersion, model: str) -> None:
        """The vendor took it."""
        version.success_time_s = time.time()
        version.successes += 1
        if not version.proven or version.refusal is not None:
            version.proven = True
            version.refusal = None
            self._source.problems.settle(version.slot, "refused")
        if self._doubted and version.stage is not Stage.CANDIDATE:
            self._settle_doubts(version.slot, model)

    def _settle_doubts(self, slot_name: str, model: str) -> None:
        """The version in service knows the model, so a candidate that did not lacks the right to it."""
        for candidate in self._versions(slot_name):
            if model in candidate.doubted and candidate.stage is Stage.CANDIDATE:
                self.roll_back(candidate, Reason.ERROR_REASON_MODEL_NOT_FOUND, 404, f"has no access to {model}")
        self._doubted = any(each.doubted for slot in self.slots for each in slot.versions)

    def refused(self, version: KeyVersion, model: str, error: error_pb2.CallError) -> error_pb2.CallError:
        """Take note of what `error` says about the key, and say whether another one may do better."""
        found = verdict(error.reason, error.http_status, version.stage)
        if found is Verdict.NONE:
            return error
        now_s = time.monotonic()
        if found is Verdict.UNKNOWN_MODEL:
            if version.stage is Stage.CANDIDATE:
                version.doubt(model)
                self._doubted = True
        elif found is Verdict.LIMITED:
            if len(self.slots) > 1 and self._has_other(version, model, now_s):
                delay_s = error.retry_delay.seconds if error.HasField("retry_delay") else REFUSED_FOR_S
                version.refusal = Refusal(error.reason, error.http_status, time.time(), now_s + delay_s)
        elif version.stage is Stage.CANDIDATE:
            self.roll_back(version, error.reason, error.http_status, f"was refused (HTTP {error.http_status})")
        elif version.stage in (Stage.CURRENT, Stage.GRACE):
            self._note(version, error.reason, error.http_status, now_s)
            if version in self._versions(version.slot):  # else a call of old, with a key that was replaced since
                message = f"{version.slot} version {version.number}: the provider refuses it (HTTP {error.http_status})"
                self._source.problems.report(version.slot, "refused", message, now_s=now_s, version=version.number)
        if found is not Verdict.LIMITED or version.refusal is not None:
            error.retry_same_backend = error.retry_same_backend or self._has_other(version, model, now_s)
        return error

    def _note(self, version: KeyVersion, reason: error_pb2.ErrorReason, http_status: int, now_s: float) -> None:
        version.refusal = Refusal(reason, http_status, time.time(), now_s + REFUSED_FOR_S)

    def roll_back(self, version: KeyVersion, reason: error_pb2.ErrorReason, http_status: int, why: str) -> None:
        """A candidate that the vendor does not take: no call gets it any more."""
        now_s = time.monotonic()
        self._note(version, reason, http_status, now_s)
        version.bad_here = True
        version.doubted.clear()
        version.move(Stage.BAD, time.time())
        message = (
            f"{version.slot} version {version.number} {why} and was rolled back; calls go on with the version in "
            "service; write a good key as a new version"
        )
        self._source.problems.report(version.slot, "rolled_back", message, now_s=now_s, version=version.number)

    def _has_other(self, version: KeyVersion, model: str, now_s: float) -> bool:
        try:
            other = choose(self.slots, Wanted(model, now_s, time.time()), 0.5, passing=version)
        except LookupError:
            return False
        return other.refusal is None or now_s >= other.refusal.until_s

    def _versions(self, slot_name: str) -> list[KeyVersion]:
        return [version for slot in self.slots if slot.name == slot_name for version in slot.versions]

    async def poll(self) -> None:
        """Look for news now instead of later."""
        await self._source.poll()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the keys live for the body of the `with`."""
        task = asyncio.create_task(self._source.run(self.prove))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._source.aclose()


class KeyLease:
    """The key of one call. Use it in an `async with`."""

    __slots__ = ("_job", "_model", "_ring", "_used_s", "_version")

    def __init__(self, ring: KeyRing, model: str, job: Keyed | None) -> None:
        self._ring = ring
        self._model = model
        self._job = job
        self._version: KeyVersion | None = None
        self._used_s = 0.0

    async def __aenter__(self) -> Self:
        self._version = version = await self._ring.take(self._model)
        if self._job is not None:
            self._job.key = version
        self._used_s = version.use_time_s
        version.calls += 1
        version.use_time_s = time.time()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The call is over. May be called again."""
        if self._version is not None:
            self._version.in_flight -= 1
            self._version = None

    @property
    def _held(self) -> KeyVersion:
        if self._version is None:
            raise RuntimeError("a key lease is used inside its `async with`")
        return self._version

    @property
    def secret(self) -> Secret:
        """What to send; the same object for every call with this version, empty for a server that takes no key."""
        return self._held.secret

    @property
    def version(self) -> int:
        """Number in the secret store."""
        return self._held.number

    @property
    def fingerprint(self) -> str:
        """12 hex digits that tell keys apart."""
        return self._held.fingerprint

    def unsent(self) -> None:
        """Nothing was sent with it, so it was no call."""
        self._held.calls -= 1
        self._held.use_time_s = self._used_s

    def accepted(self) -> None:
        """The vendor took the key."""
        self._ring.accepted(self._held, self._model)

    def refused(self, error: error_pb2.CallError) -> error_pb2.CallError:
        """`error`, with retry_same_backend where another key may do; any error may be given, it is looked at."""
        return self._ring.refused(self._held, self._model, error)


class _NoKey:
    """A server that takes no key."""

    def __init__(self) -> None:
        self._secret = Secret("")

    async def current(self) -> Secret:
        return self._secret


class OneKey:
    """One value from the environment or a file as a slot; a value that changed is the next version."""

    def __init__(self, source: SecretSource, name: str = "default") -> None:
        self._value = source
        self._slot = KeySlot(name)
        self.slots: Sequence[KeySlot] = (self._slot,)
        self.problems = Problems()

    async def refresh(self) -> None:
        secret = await self._value.current()
        held = self._slot.versions
        if held and held[0].secret is secret:
            return
        now_s = time.time()
        number = held[0].number + 1 if held else 1
        fingerprint = secret.fingerprint if secret else ""
        self._slot.versions = [
            KeyVersion(
                self._slot.name, number, secret, fingerprint, Stage.CURRENT, 1.0, stage_time_s=now_s, load_time_s=now_s
            )
        ]
        self.problems.settle(self._slot.name)

    async def poll(self) -> None:
        with contextlib.suppress(CallFailure):  # whoever leases is told
            await self.refresh()

    async def run(self, prove: Prove | None) -> None:
        pass

    async def aclose(self) -> None:
        pass
