"""Owns what simulated providers and replicas answer, by what is wrong with them now."""

from random import Random
from typing import NamedTuple

from scenery import Scene, Trouble

from antiphon_router.core.failover import Attempt
from antiphon_router.core.faults import Failure, Reason
from antiphon_router.core.pace import size_class

FLAP_S = 2.0
"""A target that flaps is down for so long, then up for as long."""
PING_S = 0.6
"""After so long a frozen replica counts as lost."""

_LOST = {"lost": True}
_ANSWERS: dict[str, tuple[Reason, dict[str, object]]] = {
    "error_500": (Reason.PROVIDER_ERROR, {"http_status": 500, "retry_same": True, "retry_other": True}),
    "error_503": (Reason.PROVIDER_ERROR, {"http_status": 503, "retry_same": True, "retry_other": True}),
    "flap": (Reason.PROVIDER_ERROR, {"http_status": 503, "retry_same": True, "retry_other": True}),
    "overloaded": (Reason.PROVIDER_OVERLOADED, {"http_status": 529, "retry_other": True}),
    "limit_untimed": (Reason.RATE_LIMITED, {"http_status": 429, "retry_other": True}),
    "revoked": (Reason.PROVIDER_CREDENTIALS, {"http_status": 401, "retry_other": True}),
    "forbidden": (Reason.PROVIDER_CREDENTIALS, {"http_status": 403, "retry_other": True}),
    "spent": (Reason.QUOTA_EXHAUSTED, {"http_status": 402, "retry_other": True}),
    "unreachable": (Reason.UPSTREAM_UNREACHABLE, {"retry_same": True, "retry_other": True}),
    "malformed": (Reason.UPSTREAM_PROTOCOL, {"retry_same": True, "retry_other": True}),
    "bug": (Reason.GATEWAY_INTERNAL, {"retry_other": True}),
    "drain": (Reason.GATEWAY_DRAINING, {"retry_other": True}),
}
FAILS_AFTER_CONTENT = Failure(Reason.STREAM_INTERRUPTED)
POISON = Failure(Reason.INVALID_REQUEST, http_status=400)
TOO_LONG = Failure(Reason.CONTEXT_LENGTH_EXCEEDED, http_status=400)


class Answer(NamedTuple):
    """What an attempt leads to: content or `failure` after `first_s`; then its end or `broken` after `rest_s`."""

    first_s: float
    failure: Failure | None = None
    rest_s: float = 0.0
    broken: Failure | None = None


class Upstreams:
    """All of a scene. `bad_keys`: how many versions of a backend's key are refused before one is taken."""

    def __init__(self, scene: Scene, dice: Random) -> None:
        self._scene = scene
        self._dice = dice
        self.bad_keys: dict[str, int] = {}

    def troubles(self, attempt: Attempt, now: float) -> dict[str, Trouble]:
        """What is wrong where `attempt` goes."""
        places = (attempt.candidate.backend.id, attempt.replica.address)
        return {t.kind: t for t in self._scene.troubles if t.place in places and t.begins <= now < t.ends}

    def answer(self, attempt: Attempt, now: float, *, size: int, poison: bool, too_long: bool) -> Answer:
        """The answer to `attempt`, which arrives at `now`."""
        wrong = self.troubles(attempt, now)
        quick_s = self._dice.uniform(0.001, 0.02)
        if "crash" in wrong:
            return Answer(quick_s, Failure(Reason.UPSTREAM_UNREACHABLE, lost=True))
        if "freeze" in wrong:
            return Answer(PING_S, Failure(Reason.UPSTREAM_UNREACHABLE, lost=True))
        for kind in ("drain", "bug", "unreachable"):
            if kind in wrong:
                return Answer(quick_s, _failure(kind))
        if poison:
            return Answer(quick_s, POISON)
        if too_long and not attempt.candidate.long_context:
            return Answer(quick_s, TOO_LONG)
        return self._of_provider(attempt, wrong, now, size, quick_s)

    def _of_provider(
        self, attempt: Attempt, wrong: dict[str, Trouble], now: float, size: int, quick_s: float
    ) -> Answer:
        backend = attempt.candidate.backend.id
        if "limit" in wrong:
            limit = wrong["limit"]
            # Hints differ, and those of calls that were under way together arrive in any order.
            delay_s = min(limit.delay_s, max(0.2, limit.ends - now)) * self._dice.uniform(0.1, 1.0)
            return Answer(
                self._dice.uniform(0.001, 1.0),
                Failure(Reason.RATE_LIMITED, http_status=429, retry_other=True, delay_s=delay_s),
            )
        if "next_key" in wrong and self.bad_keys.setdefault(backend, self._dice.choice((2, 8))) > 0:
            self.bad_keys[backend] -= 1
            facts = Failure(Reason.PROVIDER_CREDENTIALS, http_status=401, retry_same=True, retry_other=True)
            return Answer(quick_s, facts)
        if "flap" in wrong and int((now - wrong["flap"].begins) / FLAP_S) % 2:
            return self._usual(attempt, wrong, size)
        if "timeout" in wrong:
            late = Failure(Reason.UPSTREAM_TIMEOUT, retry_other=True, elapsed_s=3.0)
            return Answer(3.0, late)
        for kind in wrong:
            if kind in _ANSWERS:
                return Answer(quick_s, _failure(kind))
        return self._usual(attempt, wrong, size)

    def _usual(self, attempt: Attempt, wrong: dict[str, Trouble], size: int) -> Answer:
        dice = self._dice
        slow = 10.0 if "brownout" in wrong or "slow" in wrong else 1.0
        first_s = self._scene.ttft_s[attempt.candidate.backend.id] * slow * dice.lognormvariate(0.0, 0.3)
        first_s *= 1.0 + 0.5 * size_class(size)
        broken = FAILS_AFTER_CONTENT if "broken" in wrong else None
        return Answer(first_s, None, dice.expovariate(1.0), broken)


def _failure(kind: str) -> Failure:
    reason, facts = _ANSWERS[kind]
    return Failure(reason, **facts)  # type: ignore[arg-type]
