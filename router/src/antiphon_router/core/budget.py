"""Owns the budgets for attempts beyond the first, so that an outage is not multiplied. All are counted in tokens.

Second attempts: a share of requests plus a floor. Hedges: a share of the calls of their route. Throttle: how often a
provider that fails most attempts is still asked again.
"""

import math
from typing import Final, NamedTuple

RATIO: Final = 0.1
FLOOR_PER_S: Final = 3.0
CREDIT_LIFE_S: Final = 10.0
HEDGE_TOKENS: Final = 10.0
THROTTLE_K: Final = 2.0
THROTTLE_OVER_S: Final = 10.0
THROTTLE_PRIOR: Final = 10.0
FORGOTTEN_BELOW: Final = 0.5


class Budget(NamedTuple):
    """Credits left. `floor` refills with time, `earned` with requests, and fades over `CREDIT_LIFE_S`."""

    floor: float = FLOOR_PER_S * CREDIT_LIFE_S
    earned: float = 0.0
    updated: float = 0.0


def credited(budget: Budget, requests: int, now: float) -> Budget:
    """So many requests came in."""
    floor, earned = _aged(budget, now)
    return Budget(floor, earned + RATIO * requests, now)


def spent(budget: Budget, now: float) -> Budget | None:
    """A second attempt is wanted; None: there is no credit for it."""
    floor, earned = _aged(budget, now)
    if earned >= 1.0:
        return Budget(floor, earned - 1.0, now)
    if floor + earned >= 1.0:
        return Budget(floor - (1.0 - earned), 0.0, now)
    return None


def _aged(budget: Budget, now: float) -> tuple[float, float]:
    elapsed_s = max(0.0, now - budget.updated)
    floor = min(FLOOR_PER_S * CREDIT_LIFE_S, budget.floor + FLOOR_PER_S * elapsed_s)
    return floor, budget.earned * math.exp(-elapsed_s / CREDIT_LIFE_S)


def hedge_earned(credit: float, max_percent: float) -> float:
    """The credit of a route once a call of it came in; in percent of a call, so that whole percents add up exactly."""
    return min(credit + max_percent, 100.0 * HEDGE_TOKENS)


def hedge_spent(credit: float) -> float | None:
    """The credit once a hedge is made; None: there is too little for one."""
    return credit - 100.0 if credit >= 100.0 else None


class Throttle(NamedTuple):
    """Attempts at a provider that fails, and how many failed, both fading over `THROTTLE_OVER_S`.

    An attempt counts when it starts, as one that is accepted until it fails: counted at its end, minutes of answers
    under way would look like refusals. Exists from the first failure on; those before it are taken as few and good.
    """

    started: float = 0.0
    failed: float = 0.0
    updated: float = 0.0


def throttled(throttle: Throttle, now: float, *, started: int = 0, failed: int = 0) -> Throttle:
    """So many attempts started or failed."""
    faded = math.exp(min(0.0, throttle.updated - now) / THROTTLE_OVER_S)
    return Throttle(throttle.started * faded + started, throttle.failed * faded + failed, now)


def refusal_odds(throttle: Throttle, now: float) -> float:
    """How likely another attempt at the provider is refused here: max(0, (started - K accepted) / (started + 1))."""
    begun, lost, _ = throttled(throttle, now)
    begun = max(begun, lost) + THROTTLE_PRIOR
    return max(0.0, (begun - THROTTLE_K * (begun - lost)) / (begun + 1.0))


def is_spent_out(throttle: Throttle, now: float) -> bool:
    """Whether its failures are forgotten."""
    return throttled(throttle, now).failed < FORGOTTEN_BELOW
