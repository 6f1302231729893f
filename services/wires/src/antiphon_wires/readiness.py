"""Owns how long a vendor's good answer to a probe is believed, and what a bad one says about the key.

Forbids itself: what a probe is.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from antiphon_contract.errors import CallFailure, Reason
from antiphon_kit.key_ring import KeyRing
from antiphon_kit.secrets import Secret

READY_FOR_S: Final = 60.0


class Readiness:
    """Asks the vendor at most once a minute while it is well and the key stays the same."""

    def __init__(self) -> None:
        self._until_s = 0.0
        self._key: Secret | None = None

    async def check(self, keys: KeyRing, probe: Callable[[Secret], Awaitable[object]]) -> None:
        """Return if calls can be served with a key of `keys`; raise what `probe` raises otherwise.

        Servers without a list of models answer 404, and a limit is not an outage: both can be reached.
        """
        async with keys.lease() as key:
            now_s = keys.now_s()
            if now_s < self._until_s and key.secret is self._key:
                key.unsent()
                return
            self._until_s = 0.0
            try:
                await probe(key.secret)
            except CallFailure as raised:
                error = key.refused(raised.error)
                if error.reason != Reason.ERROR_REASON_RATE_LIMITED and error.http_status not in (404, 405):
                    raise CallFailure(error) from None
            else:
                key.accepted()
            self._until_s = now_s + READY_FOR_S
            self._key = key.secret
