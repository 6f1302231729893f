"""Owns what must hold at every moment of a simulated run, whatever goes wrong; apart from the code it judges."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from antiphon_router.core.failover import Attempt, Turn
from antiphon_router.core.faults import Failure, Reason
from antiphon_router.core.health import UNOBSERVED, WATCH, Health
from antiphon_router.core.resolve import Refusal, Resolution
from antiphon_router.core.values import AfterContent, Ask, Candidate, Scope, State, TargetKey
from antiphon_router.shell.roster import Roster

IN = (State.HEALTHY, State.DEGRADED, State.SLOW_START)
NEVER = (State.RATE_LIMITED, State.DISABLED, State.DRAINING)
PENALTY_S = 5.0
FAILURES, RESTARTS, WALKS = 3, 2, 4
LATE, BREACH = 2.5, 3
"""An answer that takes so many times the usual of small requests may be called late; so many of them are a breach."""
LATE_OVER_S = 10.0
GIVEN_BACK_S = 60.0
"""After the last late answer: ten seconds until it is no longer counted, 38 s from 5 % to 100 %, and the next call."""
CALLERS = (Reason.INVALID_REQUEST, Reason.CONTEXT_LENGTH_EXCEEDED)


class Broken(AssertionError):
    """A law does not hold."""


class Laws:
    """Watches one run. What was told by providers is remembered here, independently of the router."""

    def __init__(self, roster: Roster, resolution: Resolution) -> None:
        self._roster = roster
        self._fleet = roster.fleet
        self._resolution = resolution
        self._limited: dict[TargetKey, float] = {}
        self._probing: dict[TargetKey, Attempt] = {}
        self._late: dict[TargetKey, list[float]] = {}
        self.calm_since = math.inf
        """Nothing goes wrong from then on."""
        self.calls = self.attempts = self.second = self.hedges = 0

    def _health(self, key: TargetKey) -> Health:
        return self._roster.health_of(key)

    def _expect(self, holds: bool, law: str) -> None:
        if not holds:
            raise Broken(f"at {self._roster.clock():.3f} s: {law}")

    # An attempt starts.

    def started(self, attempt: Attempt, turn: Turn, ask: Ask, *, hedge: bool, delivered: bool) -> None:
        """`attempt` of `turn` has just begun."""
        candidate, now = attempt.candidate, self._roster.clock()
        self.attempts += 1
        self.hedges += hedge
        self.second += bool(turn.tried) and turn.walking is None and not hedge
        self._expect(not delivered, "no attempt after content that was not made void")
        counted = len(turn.tried) - turn.walks - turn.restarts
        self._expect(counted < FAILURES, f"no attempt after {FAILURES} failures")
        self._expect(turn.walks <= WALKS, f"no more than {WALKS} further keys")
        self._expect(not ask.hard or candidate.backend.account == ask.affinity, "a hard affinity is kept")
        self._expect(candidate.long_context is turn.larger, "the larger model takes what is too long, nothing else")
        self._expect(candidate.backend.id not in turn.closed, "what refused for good is not asked again")
        self._expect(attempt.replica.key not in turn.lost, "a lost replica is not asked again")
        self._expect(now >= self._limited.get(candidate.pool, 0.0) - 1e-9, "a rate limit is never undercut")
        self._expect(not self._is_full(candidate, but=1), "a bound on calls is kept")
        known = (*((key, self._fleet.shared.get(key)) for key in candidate.keys), self._own(attempt))
        desperate = [key for key, health in known if health is not None and self._is_out(key, health, attempt, now)]
        if desperate:
            self._expect(not hedge, "a hedge goes only to what is well")
            self._expect(self._fitness(candidate, turn, ask) < 0.5, "what is out is asked only if most of its tier is")

    def _own(self, attempt: Attempt) -> tuple[TargetKey, Health | None]:
        return attempt.replica.key, self._fleet.healths.get(attempt.replica.key, UNOBSERVED)

    def _is_out(self, key: TargetKey, health: Health, attempt: Attempt, now: float) -> bool:
        """Whether the attempt uses a target that takes no calls; raises where it may not."""
        if key in attempt.probes:
            self._expect(key not in self._probing, f"one probe at a time, {key.id}")
            self._expect(health.state is State.HALF_OPEN and health.since == now, "a probe is known as one")
            was = health.before
            self._expect(was is not None and was.next_try is not None and was.next_try <= now, "a probe is due")
            self._probing[key] = attempt
            return False
        if health.state in IN:
            return False
        was = health.before or health
        self._expect(was.state not in NEVER, f"{was.state} {key.id} is never asked")
        lost = was.rule == WATCH or was.state is State.UNSPECIFIED
        self._expect(key.scope is Scope.REPLICA or not lost, "only replicas have a health stream")
        return True

    def _fitness(self, candidate: Candidate, turn: Turn, ask: Ask) -> float:
        """What part of the tier of `candidate` takes calls, each way to serve counted once."""
        (tier,) = [tier for tier in self._resolution.tiers if candidate in tier]
        parts = []
        for other in tier:
            backend = other.backend
            if backend.id in turn.closed or other.long_context is not turn.larger or (not other.weight and tier[1:]):
                continue
            if other is not candidate and (self._is_full(other) or (ask.hard and backend.account != ask.affinity)):
                continue
            shared = all(self._takes(key) for key in other.keys)
            replicas = [r for r in self._fleet.replicas[backend.id] if r.key not in turn.lost]
            well = sum(shared and self._takes(replica.key) for replica in replicas)
            parts.append(well / len(replicas) if replicas else 0.0)
        return sum(parts) / len(parts) if parts else 0.0

    def _is_full(self, candidate: Candidate, but: int = 0) -> bool:
        backend, fleet = candidate.backend, self._fleet
        running = sum(fleet.loads[replica.key].in_flight for replica in fleet.replicas[backend.id])
        return bool(backend.max_in_flight) and running - but >= backend.max_in_flight

    def _takes(self, key: TargetKey) -> bool:
        return self._health(key).state in IN

    # It ends.

    def answered(self, attempt: Attempt, begun: float, usual: float) -> None:
        """`attempt` of `begun` got its first content after `usual` times what is usual for small requests."""
        if begun >= self.calm_since and usual >= LATE:
            for key in (attempt.replica.key, attempt.candidate.pool):
                self._late.setdefault(key, []).append(self._roster.clock())

    def is_well(self, key: TargetKey) -> bool:
        """Whether nothing is left of the faults at `key`. Large requests may have been late together by chance."""
        health = self._health(key)
        if health.state is not State.DEGRADED:
            return health.state in (State.HEALTHY, State.SLOW_START)
        late = self._late.get(key, [])
        before = [at for at in late if health.since - LATE_OVER_S <= at <= health.since]
        return len(before) >= BREACH and self._roster.clock() - late[-1] <= GIVEN_BACK_S

    @contextmanager
    def outcome(self, attempt: Attempt, failure: Failure | None) -> Iterator[None]:
        """The roster is told the outcome of `attempt` meanwhile."""
        roster, key = self._roster, attempt.replica.key
        fleet = self._fleet
        faultless = failure is not None and failure.reason in CALLERS
        before = (dict(fleet.shared), dict(fleet.tallies), dict(fleet.throttles)) if faultless else ({}, {}, {})
        load, health = fleet.loads[key], fleet.healths[key]
        if self._probing:
            self._probing = {k: by for k, by in self._probing.items() if by is not attempt}
        yield
        self.settle()
        if failure is None:
            return
        if failure.reason is Reason.RATE_LIMITED and failure.delay_s is not None:
            until = roster.clock() + min(failure.delay_s, 300.0)
            pool = attempt.candidate.pool
            self._limited[pool] = max(self._limited.get(pool, 0.0), until)
        if faultless:
            unprobed = {k: v for k, v in before[0].items() if k not in attempt.probes}
            after = {k: v for k, v in fleet.shared.items() if k not in attempt.probes}
            self._expect(unprobed == after, "a caller's fault changes no health")
            self._expect(before[1:] == (fleet.tallies, fleet.throttles), "a caller's fault is not counted")
            same = (
                key in (*attempt.probes, *attempt.rescues) or self._health(key).state is health.at(roster.clock()).state
            )
            self._expect(same, "a caller's fault changes no replica")
            self._expect(fleet.loads[key] == load, "a caller's fault makes nobody look slower or faster")
        elif failure.reason is not Reason.CANCELLED:
            known = load.first_content_s
            floor = PENALTY_S if known is None else min(known, PENALTY_S)
            now_known = fleet.loads[key].first_content_s
            self._expect(now_known is not None and now_known >= floor - 1e-9, "a failure is not a fast answer")

    def settle(self) -> None:
        """Something happened: a probe that is out stays the only one, until it is told or has become moot."""
        for key in list(self._probing):
            health = self._health(key)
            if health.state is State.HALF_OPEN:
                continue
            moot = health.state in (*IN, State.DRAINING, State.UNSPECIFIED) or health.rule == WATCH
            self._expect(moot, f"nobody but its probe decides on {key.id}")
            del self._probing[key]

    def restarted(self, turn: Turn, asked: AfterContent, *, tools: bool) -> None:
        """An answer begins anew."""
        self._expect(asked in self._resolution.policy.after_content, "only what route and caller agree on begins anew")
        self._expect(asked is AfterContent.HOLD or not tools, "nothing begins anew once a tool call was delivered")
        self._expect(turn.restarts <= RESTARTS, f"nothing begins anew more than {RESTARTS} times")

    def refused(self, refusal: Refusal, turn: Turn, ask: Ask) -> None:
        """A call gets no attempt."""
        if turn.tried or ask.hard:
            return
        for tier in self._resolution.tiers:
            for candidate in tier:
                if self._is_full(candidate) or candidate.long_context:
                    continue
                if not all(self._takes(key) or _is_ejected(self._health(key)) for key in candidate.keys):
                    continue
                backend = candidate.backend.id
                states = [self._health(replica.key) for replica in self._fleet.replicas[backend]]
                able = any((health.before or health).state not in NEVER for health in states)
                self._expect(not able, f"nobody is refused while {backend} may be tried ({refusal.message})")
        known = [until for until in self._limited.values() if until > self._roster.clock()]
        if refusal.reason is Reason.RATE_LIMITED and refusal.retry_after_s is not None and known:
            earliest = min(known) - self._roster.clock()
            self._expect(refusal.retry_after_s <= max(known) - self._roster.clock() + 60.0, "the wait told is real")
            self._expect(refusal.retry_after_s >= 0.0 and earliest >= 0.0, "the wait told is not past")

    def budgets(self, elapsed_s: float) -> None:
        """At the end: what was spent on attempts beyond the first."""
        self._expect(self.second <= 0.1 * self.calls + 3.0 * elapsed_s + 31.0, "second attempts are a share of calls")
        self._expect(self.hedges <= 0.05 * self.calls, "hedges are a share of calls")


def _is_ejected(health: Health) -> bool:
    was = health.before or health
    return was.state is State.OPEN and was.rule != WATCH
