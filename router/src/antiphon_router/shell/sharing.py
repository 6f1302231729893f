"""Owns what this router shares with others: facts out, facts in, and whose turn it is to probe.

    a health turns ── Outbox ──> store ── news ──> the other routers
    Roster.learn <── core.facts <── store           the store is lost: this router goes on alone, and comes back

Nothing here is ever waited for by a call: a turn of a health only notes what to do, and a task of its own does it.
A probe is left to one router by moving the others' `next_try`, before it comes, to when that router must be done.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from antiphon.config.v1 import suite_pb2
from antiphon_contract.errors import CallFailure
from antiphon_kit.secrets import SecretSource
from antiphon_router.core import facts
from antiphon_router.core.facts import Fact
from antiphon_router.core.health import TAKES_CALLS, Health
from antiphon_router.core.values import Scope, State, TargetKey
from antiphon_router.shell.fact_store import FAILURES, FactStore
from antiphon_router.shell.fleet_status import FleetStatus
from antiphon_router.shell.roster import Roster

log = logging.getLogger(__name__)

PING_EVERY_S: Final = 0.5
FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 5.0
NAME: Final = "antiphon"
MAX_WAITING: Final = 4096

AHEAD_S: Final = 0.3
"""How long before its time a probe is asked for: longer than the store may take to answer."""

WINDOW_S: Final = 2.0
"""How long a probe that was granted may wait for a call that makes it."""

_PROBED: Final = frozenset({State.OPEN, State.RATE_LIMITED, State.DISABLED})


class Sharing:
    """One router's part in a fleet. `observe` belongs into `Roster.observer`."""

    def __init__(
        self, config: suite_pb2.Fleet, roster: Roster, status: FleetStatus, password: SecretSource | None = None
    ) -> None:
        self._roster = roster
        self._status = status
        self._url = config.redis_url
        own = secrets.token_hex(6)
        self._open: Callable[[], FactStore] = lambda: FactStore(config.redis_url, config.name or NAME, own, password)
        self._outbox: dict[TargetKey, float | None] = {}
        """What is to be told: until when a fact holds, or None for what is over."""
        self._told: dict[TargetKey, Fact] = {}
        self._learned: dict[TargetKey, float] = {}
        self._probes = Probes(roster)
        self._wake = asyncio.Event()

    def observe(self, key: TargetKey, before: Health, after: Health) -> Health:
        """A health turned here; what it becomes is given back. Called between two awaits, so it only takes notes."""
        now = self._roster.clock()
        fact = facts.fact_of(key, before, after, now)
        if fact is not None:
            self._told[key] = fact
            self._outbox[key] = now + fact.left_s
        elif facts.is_over(before, after):
            self._outbox[key] = None
        if self._outbox:
            if len(self._outbox) > MAX_WAITING:
                del self._outbox[next(iter(self._outbox))]
            self._wake.set()
        return self._probes.observe(key, after, now) if self._status.connected else after

    async def run(self) -> None:
        """Share for ever; ends by cancellation only."""
        self._status.began(self._url)
        retry_s, alone = FIRST_RETRY_S, False
        while True:
            why = "closed"
            try:
                async with self._open() as store:
                    if alone:
                        log.info("fleet_found_again", extra={"store": self._url})
                    retry_s, alone = FIRST_RETRY_S, False
                    await self._share(store)
            except* FAILURES as group:
                why = type(_first(group)).__name__
            except* CallFailure as group:
                why = str(_first(group))
            finally:
                self._lost()
            if not alone:
                alone = True
                log.warning("fleet_lost", extra={"store": self._url, "error": why})
            await asyncio.sleep(retry_s * random.uniform(0.8, 1.2))  # noqa: S311 - it only spreads load
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    async def _share(self, store: FactStore) -> None:
        async with asyncio.TaskGroup() as group:
            subscribed = asyncio.Event()
            group.create_task(self._hear(store, subscribed))
            await subscribed.wait()
            for fact in await store.present():
                self._learn(fact)
            self._status.turned(connected=True)
            log.info("fleet_joined", extra={"store": self._url, "facts": len(self._learned)})
            self._wake.set()
            self._probes.begin()
            group.create_task(self._tell(store))
            group.create_task(self._probes.run(store))
            while True:
                await asyncio.sleep(PING_EVERY_S)
                await store.ping()
                self._count()

    def _lost(self) -> None:
        if self._status.connected:
            self._status.turned(connected=False)
        self._probes.forget()

    async def _hear(self, store: FactStore, subscribed: asyncio.Event) -> None:
        async with aclosing(store.news(subscribed.set)) as news:
            async for told in news:
                if told.over:
                    health = self._roster.health_of(told.key)
                    self._roster.learn({told.key: facts.over(health, self._roster.clock())})
                elif (fact := await store.read(told.key)) is not None:
                    self._learn(fact)

    def _learn(self, fact: Fact) -> None:
        now = self._roster.clock()
        health = self._roster.health_of(fact.key)
        learned = facts.learned(health, fact, now)
        self._learned[fact.key] = now + fact.left_s
        self._count()
        if learned is not health:
            self._roster.learn({fact.key: self._probes.observe(fact.key, learned, now)})

    def _count(self) -> None:
        now = self._roster.clock()
        self._learned = {key: until for key, until in self._learned.items() if until > now}
        self._status.facts = len(self._learned)

    async def _tell(self, store: FactStore) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                key, until = next(iter(self._outbox.items()))
                left_s = 0.0 if until is None else until - self._roster.clock()
                if until is None:
                    await store.drop(key)
                elif left_s > 0:
                    told = self._told[key]
                    await store.put(Fact(key, told.state, told.cause, told.rule, left_s))
                # What failed stays for the next connection; what has become newer meanwhile, too.
                if self._outbox.get(key, 0.0) == until:
                    del self._outbox[key]
                    self._told.pop(key, None)


class Probes:
    """Who probes: one router at a time for each target, as long as the store answers."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._due: dict[TargetKey, float] = {}
        self._held: dict[TargetKey, float | None] = {}
        """Leases of ours, and the `next_try` for which they were taken."""
        self._turned = asyncio.Event()

    def observe(self, key: TargetKey, health: Health, now: float) -> Health:
        """A health turned; a probe that would be due before it can be asked for waits that long."""
        if key.scope is Scope.REPLICA or (health.state in TAKES_CALLS and key not in self._held):
            self._due.pop(key, None)
            return health
        if health.state in _PROBED and health.next_try is not None:
            health = facts.postponed(health, now + AHEAD_S)
            self._due[key] = (health.next_try or now) - AHEAD_S
        elif key in self._held:
            self._due[key] = now
        self._turned.set()
        return health

    def begin(self) -> None:
        """The store answers: look at everything that is out."""
        now = self._roster.clock()
        for key, health in list(self._roster.fleet.shared.items()):
            observed = self.observe(key, health, now)
            if observed is not health:
                self._roster.learn({key: observed})

    def forget(self) -> None:
        """The store is lost: everybody probes for himself."""
        self._due.clear()
        self._held.clear()

    async def run(self, store: FactStore) -> None:
        """Ask for each probe in time; ends by cancellation or with the store."""
        while True:
            self._turned.clear()
            now = self._roster.clock()
            for key in [key for key, at in self._due.items() if at <= now]:
                await self._ask(key, store)
            wait_s = min(self._due.values(), default=now + PING_EVERY_S) - self._roster.clock()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._turned.wait()

    async def _ask(self, key: TargetKey, store: FactStore) -> None:
        self._due.pop(key, None)
        health, now = self._roster.health_of(key), self._roster.clock()
        if health.state is State.HALF_OPEN:
            if key in self._held:
                await store.lease(key, WINDOW_S)
                self._due[key] = now + WINDOW_S / 2
            return
        asked = self._held.pop(key, None)
        if health.state not in _PROBED or health.next_try is None:
            if asked is not None:
                await store.release(key)
            return
        if asked is not None:
            await store.release(key)
            if asked == health.next_try:
                # Granted, and no call came to make it: somebody else's turn.
                self._postpone(key, now + random.uniform(0.5, 1.5))  # noqa: S311 - it only spreads turns
                return
        taken_s = await store.lease(key, health.next_try - now + WINDOW_S)
        if taken_s:
            self._postpone(key, self._roster.clock() + max(AHEAD_S, taken_s))
        else:
            self._held[key] = health.next_try
            self._due[key] = health.next_try + WINDOW_S - AHEAD_S

    def _postpone(self, key: TargetKey, until: float) -> None:
        health = facts.postponed(self._roster.health_of(key), until)
        if health.next_try is not None:
            self._due[key] = health.next_try - AHEAD_S
        self._roster.learn({key: health})


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
