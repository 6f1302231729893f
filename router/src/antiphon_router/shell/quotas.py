"""Owns what providers have told is left of their rate limits, for each pool that is short of it."""

from antiphon_contract.headroom import Headroom, read
from antiphon_router.core import quota
from antiphon_router.core.quota import Quota
from antiphon_router.core.values import TargetKey
from antiphon_router.shell.remembered import trim

ENOUGH = Headroom(1.0, 0.0)


class Quotas:
    """One quota a pool; only of those that are short."""

    def __init__(self) -> None:
        self.by_pool: dict[TargetKey, Quota] = {}

    def tell(self, pool: TargetKey, value: str, *, begun: float, now: float) -> bool:
        """An answer to an attempt that began at `begun` carried the trailer `value`, empty: none.

        Whether the pool has become short, or is short no more. What cannot be read tells nothing.
        """
        told = read(value) if value else ENOUGH
        if told is None:
            return False
        known = self.by_pool.get(pool)
        fresh = quota.updated(known, told.left, told.full_in_s, begun=begun, now=now)
        if fresh is None:
            return self.by_pool.pop(pool, None) is not None
        self.by_pool[pool] = fresh
        trim(self.by_pool, self.by_pool)
        return known is None

    def review(self, now: float) -> bool:
        """Forget what has filled up since; whether there was any."""
        over = [pool for pool, told in self.by_pool.items() if now >= told.full]
        for pool in over:
            del self.by_pool[pool]
        return bool(over)
