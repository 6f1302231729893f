"""Owns the live state of every target: health, load, pace, last error. Lends the core clock and dice, and obeys it.

    begin(resolution, turn, ask, left_s)    the next attempt; `ask`: affinities and the size of the request
    hedge_delay_s, hedge, has_other         a second attempt beside a slow first one; the delay is asked once per call
    may_retry(turn)                         a credit for the next attempt; a walk to the next key needs none
    aside(candidate)                        a copy of a call, from which nothing is learned
    enable, key_changed, limits_told        what people, key rotation and the limits of providers tell

Forbids itself: deciding. Everything happens on the event loop, between two awaits. Shares are reviewed every 2 s by the
calls that come in, so there is no timer.
"""

import math
import random
import time
from collections.abc import Callable
from typing import Final

from antiphon.llm.v1 import error_pb2
from antiphon_router.core import balance, budget, decide, outcomes
from antiphon_router.core.budget import Budget, Throttle
from antiphon_router.core.failover import NEW_TURN, Attempt, Turn
from antiphon_router.core.faults import Failure, Reason, classified, is_upstream
from antiphon_router.core.fleet import Changes, Fleet
from antiphon_router.core.health import POLICY, REMOVED, TAKES_CALLS, UNOBSERVED, Health
from antiphon_router.core.pace import Pace
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.tally import Tally, is_stale
from antiphon_router.core.values import NO_ASK, Ask, Candidate, Cause, Dice, Load, Replica, Scope, State, TargetKey
from antiphon_router.shell.gate import Waits
from antiphon_router.shell.meters import Meters
from antiphon_router.shell.quotas import Quotas
from antiphon_router.shell.remembered import LastErrors, trim
from antiphon_router.shell.running import Running
from antiphon_router.shell.turns import log_turn

__all__ = ["Roster", "Running"]

MAX_CALM: Final = 1024
BUDGET_EVERY_S: Final = 0.5

UNREMARKABLE: Final = Health()


class Roster:
    """All targets. `changed` is called whenever a replica begins or ceases to take calls."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Dice | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.clock = clock
        self._dice: Dice = dice or random.Random()  # noqa: S311 - it balances, it hides nothing
        self.changed = changed
        self._replicas: dict[str, list[Replica]] = {}
        self._healths: dict[TargetKey, Health] = {}
        self._shared: dict[TargetKey, Health] = {}
        self._loads: dict[TargetKey, Load] = {}
        self._calm: dict[Resolution, decide.Calm] = {}
        self._budget = Budget(updated=clock())
        self._requests = 0
        self.observer: Callable[[TargetKey, Health, Health], Health] | None = None
        """Learns how the health of a target that replicas share turns, and may put its next try off."""
        self._tallies: dict[TargetKey, Tally] = {}
        self._paces: dict[TargetKey, Pace] = {}
        self._throttles: dict[str, Throttle] = {}
        self._quotas = Quotas()
        self._meters = Meters()
        self._rekeyed: dict[str, float] = {}
        self.waits: Waits | None = None
        """Where waits for first content are counted, if anybody wants to know."""
        self._hedges: dict[str, float] = {}
        """Credit of routes for second attempts beside slow ones, by name."""
        self._reviewed = clock()
        self._review_at = self._reviewed + POLICY.review_s
        self.last_errors = LastErrors()
        self.fleet = Fleet(
            self._replicas,
            self._healths,
            self._shared,
            self._loads,
            self._tallies,
            self._paces,
            self._throttles,
            self._quotas.by_pool,
            self._meters.by_backend,
            self._rekeyed,
        )

    # Replicas come and go.

    def add(self, replica: Replica) -> None:
        """`replica` exists; nothing is known of it until its health stream speaks. It may be another backend's too."""
        self._calm.clear()
        self._replicas.setdefault(replica.backend, []).append(replica)
        self._healths.setdefault(replica.key, Health(State.UNSPECIFIED, since=self.clock()))
        self._loads.setdefault(replica.key, Load())

    def readmit(self, replica: Replica) -> None:
        """`replica` is back before it was forgotten: a new one as far as its health goes."""
        self._apply({replica.key: Health(State.UNSPECIFIED, since=self.clock())})

    def detach(self, replica: Replica) -> None:
        """`replica` is no longer its backend's, only another's."""
        self._calm.clear()
        self._replicas[replica.backend].remove(replica)

    def remove(self, replica: Replica) -> None:
        """`replica` left discovery: no new calls; `forget` it when its last call has ended."""
        now = self.clock()
        health = self._healths[replica.key].not_serving(now, cause=Cause.OPERATOR, rule=REMOVED)
        self._apply({replica.key: health})

    def forget(self, replica: Replica) -> None:
        """Nothing runs at `replica` any more."""
        self.detach(replica)
        for mapping in (self._healths, self._loads, self._tallies, self.last_errors):
            mapping.pop(replica.key, None)

    def is_idle(self, replica: Replica) -> bool:
        """Whether no call runs there."""
        return not self._loads[replica.key].in_flight

    def health_of(self, key: TargetKey) -> Health:
        """Health of any target, as of now."""
        mapping = self._healths if key.scope is Scope.REPLICA else self._shared
        return mapping.get(key, UNOBSERVED if key.scope is Scope.REPLICA else UNREMARKABLE).at(self.clock())

    def takes_calls(self, backend: str) -> bool:
        """Whether any replica of `backend` does."""
        return any(self._healths[replica.key].state in TAKES_CALLS for replica in self._replicas.get(backend, ()))

    def any_takes_calls(self) -> bool:
        """Whether there is a backend with a replica that takes calls."""
        return any(health.state in TAKES_CALLS for health in self._healths.values())

    # What health streams say.

    def serving(self, replica: Replica) -> None:
        """Its health stream says SERVING."""
        self._apply({replica.key: self._healths[replica.key].at(self.clock()).serving(self.clock())})

    def not_serving(self, replica: Replica) -> None:
        """Its health stream says anything else."""
        self._apply({replica.key: self._healths[replica.key].not_serving(self.clock())})

    def unreachable(self, replica: Replica, retry_in_s: float, error: error_pb2.CallError) -> None:
        """Its health stream is lost and will be opened again in `retry_in_s`."""
        now = self.clock()
        self.last_errors.note(replica.key, error, now)
        self._apply({replica.key: self._healths[replica.key].unreachable(now, now + retry_in_s)})

    # What other routers say.

    def learn(self, changes: Changes) -> None:
        """Take healths as they are; the observer, who brings them, is not asked."""
        self._apply(changes, learned=True)

    # Calls.

    def credit(self) -> None:
        """A call came in; a part of a second attempt is earned."""
        self._requests += 1
        if self.clock() - self._budget.updated > BUDGET_EVERY_S:
            self._settle_budget()

    def may_retry(self, turn: Turn = NEW_TURN) -> bool:
        """Take one second attempt out of the budget, if there is one. The next key of a backend is free."""
        if turn.walking is not None:
            return True
        self._settle_budget()
        left = budget.spent(self._budget, self.clock())
        if left is not None:
            self._budget = left
        return left is not None

    def _settle_budget(self) -> None:
        self._budget = budget.credited(self._budget, self._requests, self.clock())
        self._requests = 0

    def begin(
        self, resolution: Resolution, turn: Turn, ask: Ask = NO_ASK, left_s: float = math.inf
    ) -> "Running | Refusal":
        """The next attempt of `turn`, which counts as running until `close`. `left_s`: until the deadline."""
        now = self.clock()
        if now >= self._review_at:
            self._review(now)
        attempt = self._calmly(resolution, now) if turn is NEW_TURN and not (ask[0] or ask[2]) else None
        if attempt is None:
            decided = decide.choose(resolution, turn, self.fleet, now, self._dice, ask=ask, left_s=left_s)
            if isinstance(decided, Refusal):
                return decided
            attempt = decided
        return self._begun(attempt, now, ask)

    def _begun(self, attempt: Attempt, now: float, ask: Ask) -> Running:
        if attempt.probes:
            self._apply(outcomes.started(attempt, self.fleet, now))
        if self._throttles:
            self._throttle(attempt, now, started=1)
        return self._running(attempt, now, ask.size)

    def _running(self, attempt: Attempt, now: float, size: int) -> Running:
        self._loads[attempt.replica.key].in_flight += 1
        running = Running(self, attempt, now, size)
        backend = attempt.candidate.backend
        if backend.bounds is not None:
            self._meters.draw(backend, backend.bounds, running)
        return running

    def aside(self, candidate: Candidate, size: int) -> Running | None:
        """A copy of a call, of `size` bytes; None: there is no room for it. It runs and draws, and tells nothing."""
        now = self.clock()
        attempt = decide.choose_aside(candidate, self.fleet, now, self._dice)
        if attempt is None:
            return None
        running = self._running(attempt, now, size)
        running.mute()
        return running

    def hedge_delay_s(self, resolution: Resolution, attempt: Attempt, ask: Ask = NO_ASK) -> float | None:
        """After how long without content `attempt` may be hedged; None: never. Once per call: it earns the credit."""
        hedge = resolution.policy.hedge
        if hedge is None:
            return None
        name = resolution.name
        self._hedges[name] = budget.hedge_earned(self._hedges.get(name, 0.0), hedge.max_percent)
        if hedge.delay_s is not None:
            return hedge.delay_s
        pace = self._paces.get(attempt.candidate.pool)
        return None if pace is None else pace.expected_s(pace.p95_s, ask.size)

    def hedge(
        self, resolution: Resolution, turn: Turn, beside: Attempt, ask: Ask = NO_ASK, left_s: float = math.inf
    ) -> Running | None:
        """A second attempt beside `beside`; None: nobody is well enough for it, or the route has spent its credit."""
        now = self.clock()
        left = budget.hedge_spent(self._hedges.get(resolution.name, 0.0))
        if left is None:
            return None
        attempt = decide.choose_other(
            resolution, turn, self.fleet, now, self._dice, beside=beside, ask=ask, left_s=left_s
        )
        if attempt is None:
            return None
        self._hedges[resolution.name] = left
        return self._begun(attempt, now, ask)

    def has_other(self, resolution: Resolution, turn: Turn, attempt: Attempt, ask: Ask = NO_ASK) -> bool:
        """Whether another backend could take the call if `attempt` failed."""
        return decide.has_other(resolution, turn, self.fleet, self.clock(), beside=attempt, ask=ask)

    def _calmly(self, resolution: Resolution, now: float) -> Attempt | None:
        calm = self._calm.get(resolution)
        if calm is None:
            if len(self._calm) >= MAX_CALM:
                self._calm.clear()
            calm = self._calm[resolution] = decide.calm(resolution, self.fleet)
        return decide.among(calm, self.fleet, now, self._dice)

    def succeeded(self, attempt: Attempt, elapsed_s: float, size: int = 0) -> None:
        """First content of a request of `size` bytes after `elapsed_s`."""
        now = self.clock()
        key, pool = attempt.replica.key, attempt.candidate.pool
        pace = self._paces.get(pool)
        if pace is None:
            pace = self._paces[pool] = Pace()
            trim(self._paces, self._paces)
        normal_s = pace.observed(elapsed_s, size, now)
        balance.observe(self._loads[key], normal_s, now)
        if self.waits is not None and pace.usual_s is not None:
            self.waits.add(normal_s, pace.usual_s)
        late = pace.late_s is not None and normal_s > pace.late_s
        if late or self._tallies:
            self._tallies.update(outcomes.noted_success(attempt, self._tallies, now, late=late))
        if not outcomes.is_routine(attempt, self.fleet):
            self._apply(outcomes.succeeded(attempt, self.fleet, now))

    def count_waits(self, waits: Waits | None) -> None:
        """Count in `waits` from now on how long calls wait for their first content; None: nowhere."""
        self.waits = waits

    def failed(self, attempt: Attempt, failure: Failure, error: error_pb2.CallError, begun: float) -> None:
        """The upstream failed `attempt` of `begun`, or its caller did, before or after content."""
        now = self.clock()
        key = attempt.replica.key
        rule = classified(failure)
        if is_upstream(rule):
            balance.observe_failure(self._loads[key], failure.elapsed_s, now)
        elif failure.reason is Reason.DEADLINE_EXCEEDED:
            balance.observe_cancel(self._loads[key], failure.elapsed_s, now)
        blamed = outcomes.blamed(attempt, rule)
        if blamed is not None:
            self.last_errors.note(blamed, error, now)
            self._tallies.update(outcomes.noted_failure(attempt, failure, self._tallies, now))
        if outcomes.is_overload(failure):
            self._throttle(attempt, now, failed=1)
        self._apply(outcomes.failed(attempt, failure, self.fleet, now, self._dice, begun=begun))

    def abandoned(self, attempt: Attempt, elapsed_s: float) -> None:
        """The caller left before first content."""
        now = self.clock()
        balance.observe_cancel(self._loads[attempt.replica.key], elapsed_s, now)
        self._apply(outcomes.abandoned(attempt, self.fleet, now))

    def ended(self, running: Running) -> None:
        """Nothing of it runs any more."""
        backend = running.attempt.candidate.backend
        self._loads[running.attempt.replica.key].in_flight -= 1
        if backend.bounds is not None:
            self._meters.put_right(backend, backend.bounds, running)

    def _throttle(self, attempt: Attempt, now: float, *, started: int = 0, failed: int = 0) -> None:
        provider = attempt.candidate.backend.provider
        known = self._throttles.get(provider)
        if known is not None or failed:
            # The attempt whose failure is the first one had started as well.
            started += known is None
            self._throttles[provider] = budget.throttled(known or Throttle(), now, started=started, failed=failed)

    def _review(self, now: float) -> None:
        elapsed_s, self._reviewed, self._review_at = now - self._reviewed, now, now + POLICY.review_s
        if self._throttles:
            for provider in [p for p, throttle in self._throttles.items() if budget.is_spent_out(throttle, now)]:
                del self._throttles[provider]
        if self._quotas.by_pool and self._quotas.review(now):
            self._calm.clear()
        self._apply(outcomes.reviewed(self.fleet, now, elapsed_s))
        for key in [key for key, tally in self._tallies.items() if is_stale(tally, now)]:
            del self._tallies[key]

    # What people, key rotation and the limits of providers tell.

    def enable(self, key: TargetKey) -> None:
        """Have `key` tried now, if calls have put it out. A rate limit is not undercut."""
        self._apply(outcomes.enabled(key, self.fleet, self.clock()))

    def key_changed(self, backend: str) -> None:
        """`backend` has a new version of its key."""
        now = self._rekeyed[backend] = self.clock()
        self._apply(outcomes.key_changed(backend, self.fleet, now))

    def keys_changed(self, replica: Replica) -> None:
        """`replica` has a new version of its key, which is that of every backend it serves."""
        for backend, replicas in self._replicas.items():
            if any(one.key == replica.key for one in replicas):
                self.key_changed(backend)

    def limits_told(self, attempt: Attempt, value: str, begun: float) -> None:
        """An answer to `attempt`, which began at `begun`, says what its provider's limits leave; empty: enough."""
        if self._quotas.tell(attempt.candidate.pool, value, begun=begun, now=self.clock()):
            self._calm.clear()

    def _apply(self, changes: Changes, *, learned: bool = False) -> None:
        turned = False
        for key, told in changes.items():
            health = told
            is_replica = key.scope is Scope.REPLICA
            mapping = self._healths if is_replica else self._shared
            before = mapping.get(key, UNREMARKABLE)
            if self.observer is not None and not is_replica and not learned:
                health = self.observer(key, before, told)
            if health.state is not before.state:
                self._calm.clear()
                log_turn(key, health)
            if is_replica:
                self._healths[key] = health
                turned = turned or (before.state in TAKES_CALLS) is not (health.state in TAKES_CALLS)
            elif health.unremarkable:
                self._shared.pop(key, None)
            else:
                self._shared[key] = health
                trim(self._shared, self._shared)
        if turned:
            self.changed()
