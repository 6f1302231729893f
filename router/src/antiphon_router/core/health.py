"""Owns the health of one target: its states, what leads from one to the next, and how long each lasts.

                       failures in a row, or most of the last ones        a call's turn, `now >= next_try`
    HEALTHY ─────────────────────────────────────────> OPEN ───────────────────────────────────────────> HALF_OPEN
     ^  |  any ── provider limits the rate ──> RATE_LIMITED ─── (RATE_LIMITED and DISABLED likewise) ──────┘  |  |
     |  |  any ── key or account refused ────> DISABLED                    probe fails: back, twice as long <──┘  |
     |  └─ too many late or refused ─> DEGRADED, a smaller share, which a calm time gives back                    |
     └── ramp of `ramp_s` done ── SLOW_START <────────────────────────────────────────────── probe succeeds ──────┘

    A replica has a health stream besides, and that decides over it:
    UNSPECIFIED ── serving ──> HEALTHY           any ── not serving, leaves discovery ──> DRAINING ── serving ──┐
                                                 any ── stream lost ──> OPEN (UNREACHABLE) ── serving ──> SLOW_START

HALF_OPEN admits nobody: its one probe is out. If that meets other trouble where the rate was limited, OPEN follows.
PANIC is no state of a target but of a choice, see admit.py.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from antiphon_router.core.values import Cause, Dice, State

WATCH: Final = "health_watch"
REMOVED: Final = "discovery"


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of the machine, in seconds where not said otherwise."""

    trip_after: float = 3.0
    open_s: float = 1.0
    open_max_s: float = 60.0
    jitter: float = 0.2
    forget_level_s: float = 30.0
    relapse: int = 2
    """Levels added at once when it fails while it is still starting: it flaps."""
    ramp_s: float = 10.0
    ramp_from: float = 0.1
    limit_max_s: float = 300.0
    disabled_s: float = 300.0
    disabled_max_s: float = 86_400.0
    abandoned_s: float = 1.0
    review_s: float = 2.0
    shrink: float = 0.8
    grow: float = 0.05
    least_weight: float = 0.05


POLICY: Final = Policy()


class Admission(Enum):
    """Whether a call may use a target now."""

    IN = auto()
    PROBE = auto()
    OUT = auto()


TAKES_CALLS: Final = frozenset({State.HEALTHY, State.DEGRADED, State.SLOW_START, State.PANIC})
_DUE = frozenset({State.OPEN, State.RATE_LIMITED, State.DISABLED})


@dataclass(frozen=True, slots=True)
class Health:
    """State of one target and why. `next_try` None: not by itself."""

    state: State = State.HEALTHY
    cause: Cause = Cause.UNSPECIFIED
    rule: str = ""
    since: float = 0.0
    next_try: float | None = None
    failures: float = 0.0
    """Weighted failures in a row."""
    level: int = 0
    """How often it went out lately: the n of 1 s * 2^n."""
    proven: bool = False
    """Its health stream has said SERVING before; what comes back is warmed up slowly."""
    before: "Health | None" = None
    """HALF_OPEN: what it goes back to when the probe fails."""
    weight: float = 1.0
    """DEGRADED: what is left of its share."""
    refuted: bool = False
    """HALF_OPEN: other calls have since told that it is out, so that the probe's success is old news."""

    def at(self, now: float, policy: Policy = POLICY) -> "Health":
        """This health once the passing of time is taken into account."""
        if self.state is State.SLOW_START and now >= self.since + policy.ramp_s:
            return replace(
                _CALM, since=self.since + policy.ramp_s, failures=self.failures, level=self.level, proven=self.proven
            )
        if self.level and self.state is State.HEALTHY and now >= self.since + self.level * policy.forget_level_s:
            return replace(self, level=0)
        return self

    def admission(self, now: float) -> Admission:
        """Whether a call may start now. What the health stream put out waits for the health stream."""
        if self.state in TAKES_CALLS:
            return Admission.IN
        due = self.state in _DUE and self.rule != WATCH and self.next_try is not None and now >= self.next_try
        return Admission.PROBE if due else Admission.OUT

    def share(self, now: float, policy: Policy = POLICY) -> float:
        """Share of its fair part of calls, above 0 and at most 1."""
        if self.state is State.DEGRADED:
            return self.weight
        if self.state is not State.SLOW_START:
            return 1.0
        done = (now - self.since) / policy.ramp_s
        return min(1.0, policy.ramp_from + (1.0 - policy.ramp_from) * done)

    @property
    def unremarkable(self) -> bool:
        """Nothing is known that a new target would not have."""
        return self.state is State.HEALTHY and not self.failures and not self.level and not self.proven

    @property
    def ejected(self) -> bool:
        """Out for failures of calls and nothing else, which is what panic does not heed."""
        was = self.before or self
        return was.state is State.OPEN and was.rule != WATCH

    # What a call brings about.

    def started(self, now: float) -> "Health":
        """The one probe of a target that is due leaves."""
        if self.admission(now) is not Admission.PROBE:
            return self
        return replace(self, state=State.HALF_OPEN, since=now, next_try=None, before=self)

    def recovered(self, now: float, *, probe: bool = True) -> "Health":
        """The probe succeeded, or a call that went there for want of better: that may only end what calls put out.

        DRAINING and DISABLED stay: one lucky call does not undo them.
        """
        if not probe and self.before is not None and self.before.state is not State.OPEN:
            return self
        if self.refuted and self.before is not None:
            return self.before
        if self.state not in (State.HALF_OPEN, State.OPEN, State.UNSPECIFIED):
            return self
        return self._slowly(now)

    def _slowly(self, now: float) -> "Health":
        return Health(State.SLOW_START, self.cause, self.rule, now, level=self.level, proven=self.proven)

    def succeeded(self) -> "Health":
        """A call that was no probe succeeded; for a target that is out that is old news."""
        if self.state in TAKES_CALLS and self.failures:
            return replace(self, failures=0.0)
        return self

    def abandoned(self, now: float, policy: Policy = POLICY) -> "Health":
        """The probe ended without telling anything about this target."""
        if self.before is None:
            return self
        return replace(self.before, next_try=max(now + policy.abandoned_s, self.before.next_try or 0.0))

    def failed(
        self,
        now: float,
        dice: Dice,
        *,
        cause: Cause,
        rule: str,
        weight: float,
        probe: bool = True,
        mostly: bool = False,
        policy: Policy = POLICY,
    ) -> "Health":
        """A call failed by this target's fault. Stragglers of a target that is out change nothing.

        `probe`: it was its probe, if one is out; `mostly`: most of its last calls have failed.
        """
        if self.before is not None:
            if not probe:
                return self
            if self.refuted:
                return self.before
            # The time of a limit is over: this is other trouble, and called a limit it would keep out even a call in
            # PANIC, for as long as the outages before have made it.
            state = State.OPEN if self.before.state is State.RATE_LIMITED else self.before.state
            return self._out(state, now, dice, cause=cause, rule=rule, policy=policy)
        if self.state not in TAKES_CALLS or not weight:
            return self
        failures = self.failures + weight
        if failures < policy.trip_after and not mostly:
            return replace(self, failures=failures)
        return self._out(State.OPEN, now, dice, cause=cause, rule=rule, policy=policy)

    def _out(self, state: State, now: float, dice: Dice, *, cause: Cause, rule: str, policy: Policy) -> "Health":
        calm_s = now - self.since if self.state is State.HEALTHY else 0.0
        level = max(0, self.level - int(calm_s / policy.forget_level_s))
        if self.state is State.SLOW_START and state is State.OPEN:
            level += policy.relapse
        open_s = policy.disabled_s
        if state is not State.DISABLED:
            open_s = min(policy.open_s * 2.0 ** min(level, 16), policy.open_max_s)
            # A rate limit is never undercut, so jitter only adds to it.
            low = 1.0 if state is State.RATE_LIMITED else 1.0 - policy.jitter
            open_s *= dice.uniform(low, 1.0 + policy.jitter)
        return Health(state, cause, rule, now, now + open_s, level=level + 1, proven=self.proven)

    def limited(
        self,
        now: float,
        dice: Dice,
        *,
        delay_s: float | None,
        rule: str,
        probe: bool = True,
        policy: Policy = POLICY,
    ) -> "Health":
        """The provider limits the rate, for `delay_s` where it says so. A later, shorter hint never shortens."""
        if self.before is not None and not probe:
            return self._refuted(self.before.limited(now, dice, delay_s=delay_s, rule=rule, policy=policy))
        if delay_s is None and self.state is State.RATE_LIMITED:
            return self
        was = self.before if self.refuted and self.before is not None else self
        if delay_s is None:
            # It doubles with every limit that follows on a limit; other trouble has not made it longer.
            known = self if self.cause is Cause.RATE_LIMIT else replace(self, level=0)
            fresh = known._out(State.RATE_LIMITED, now, dice, cause=Cause.RATE_LIMIT, rule=rule, policy=policy)
        else:
            until = now + min(delay_s, policy.limit_max_s)
            fresh = Health(State.RATE_LIMITED, Cause.RATE_LIMIT, rule, now, until, level=self.level, proven=self.proven)
        if was.state is not State.RATE_LIMITED or was.next_try is None or fresh.next_try is None:
            return fresh
        return replace(fresh, since=was.since, next_try=max(was.next_try, fresh.next_try))

    def disabled(
        self,
        now: float,
        *,
        cause: Cause,
        rule: str,
        delay_s: float | None = None,
        probe: bool = True,
        policy: Policy = POLICY,
    ) -> "Health":
        """Out until someone mends it; one probe per `disabled_s`, or after `delay_s` if it is told, finds out."""
        if self.before is not None and not probe:
            return self._refuted(self.before.disabled(now, cause=cause, rule=rule, delay_s=delay_s, policy=policy))
        was = self.before or self
        since = was.since if was.state is State.DISABLED else now
        until = now + (policy.disabled_s if delay_s is None else min(delay_s, policy.disabled_max_s))
        return Health(State.DISABLED, cause, rule, since, until, proven=self.proven)

    def _refuted(self, before: "Health") -> "Health":
        # The probe is still out, so nobody else may go; what it will tell is older than what others have told.
        return replace(self, before=before, refuted=True)

    # What time and people bring about.

    def reviewed(
        self, now: float, *, breached: bool, calm: bool, cause: Cause, steps: int = 1, policy: Policy = POLICY
    ) -> "Health":
        """Looked at every `review_s`: too many of its calls were late or refused as overload, or none lately.

        `steps`: reviews that are due at once because nothing happened in between; a calm time gives back for each.
        """
        if self.state not in (State.HEALTHY, State.DEGRADED):
            return self
        if breached:
            weight = max(policy.least_weight, self.weight * policy.shrink)
            since = self.since if self.state is State.DEGRADED else now
            return replace(self, state=State.DEGRADED, cause=cause, rule="aimd", since=since, weight=weight)
        if not calm or self.state is State.HEALTHY:
            return self
        weight = self.weight + policy.grow * steps
        if weight < 1.0 - 1e-9:
            return replace(self, weight=weight)
        return replace(_CALM, since=now, failures=self.failures, level=self.level, proven=self.proven)

    def enabled(self, now: float) -> "Health":
        """A person wants it tried: what calls have put out is due for its one probe. A rate limit is not undercut."""
        out = self.state in (State.OPEN, State.DISABLED) and self.rule != WATCH
        return replace(self, next_try=now) if out else self

    def rekeyed(self, now: float) -> "Health":
        """Its key is another one: what was said of the old one is void."""
        was = self.before or self
        return self._slowly(now) if was.state is State.DISABLED else self

    # What the health stream and discovery of a replica bring about.

    def serving(self, now: float) -> "Health":
        """Its health stream says SERVING. What calls have put out stays out: the stream says nothing about calls."""
        by_stream = self.state in (State.UNSPECIFIED, State.DRAINING) or (
            self.state is State.OPEN and self.rule == WATCH
        )
        if not by_stream:
            return self
        return self._slowly(now) if self.proven else Health(since=now, proven=True)

    def not_serving(self, now: float, *, cause: Cause = Cause.NOT_SERVING, rule: str = WATCH) -> "Health":
        """No new calls, running ones go on."""
        if self.state is State.DRAINING:
            return self
        return Health(State.DRAINING, cause, rule, now, level=self.level, proven=self.proven)

    def unreachable(self, now: float, retry_at: float) -> "Health":
        """Its health stream is lost and is opened again at `retry_at`."""
        since = self.since if self.state is State.OPEN and self.rule == WATCH else now
        return Health(State.OPEN, Cause.UNREACHABLE, WATCH, since, retry_at, level=self.level, proven=self.proven)


_CALM: Final = Health()
UNOBSERVED: Final = Health(State.UNSPECIFIED)
