"""Owns the budget for second attempts, so that an outage is not multiplied: a share of requests plus a floor."""

import math
from typing import Final, NamedTuple

RATIO: Final = 0.1
FLOOR_PER_S: Final = 3.0
CREDIT_LIFE_S: Final = 10.0


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
