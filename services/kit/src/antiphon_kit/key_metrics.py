"""Owns the metrics of the keys of this process: what is wrong with them, and for how long nobody confirmed them.

    antiphon.key.problems    1 per problem that an operator has to look at, by slot, rule and version; gone when it ends
    antiphon.key.staleness   seconds since the secret store last confirmed a slot

Forbids itself: fingerprints, which are for people and would make a new series of each rotation.
"""

import time
from collections.abc import Iterable

from antiphon_kit.key_ring import KeyRing
from antiphon_kit.telemetry import Reading, Telemetry


def observe(ring: KeyRing, telemetry: Telemetry) -> None:
    """Have both read whenever metrics are sent."""

    # Called on a thread of the exporter's: both read what is replaced, never changed in place.
    def problems() -> Iterable[Reading]:
        return [(1.0, {"slot": one.slot, "rule": one.rule, "version": one.version}) for one in ring.problems]

    def staleness() -> Iterable[Reading]:
        now_s = time.monotonic()
        slots = [slot for slot in ring.slots if slot.max_staleness_s is not None]
        return [(slot.staleness_s(now_s), {"slot": slot.name}) for slot in slots]

    telemetry.gauge("antiphon.key.problems", "{problem}", problems)
    telemetry.gauge("antiphon.key.staleness", "s", staleness)
