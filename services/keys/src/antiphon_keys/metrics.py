"""Owns the metrics of the coordinator: how rotations ended, whose keys have an alarm, how old its sight of Vault is.

    antiphon.key.rotations         since the process began, by slot and outcome: promoted, rolled_back, revoked
    antiphon.key.alarm             1 while something is wrong with the keys of a provider or with the store, else 0
    antiphon.key.store.staleness   seconds since the store last said which slots there are

What is wrong, rule by rule, the provider services tell themselves: antiphon.key.problems.
"""

import time
from collections.abc import Iterable, Iterator, Mapping

from antiphon.router.v1 import keys_pb2
from antiphon_keys.document import Document
from antiphon_keys.store import STORE
from antiphon_kit.key_versions import Stage
from antiphon_kit.telemetry import Reading, Telemetry


def outcomes(before: Document | None, after: Document) -> Iterator[str]:
    """What ended by replacing the document. None: nobody coordinated the slot, so nothing of ours did."""
    if before is None:
        return
    moved = {number: row for number, row in after.items() if number not in before or before[number].stage != row.stage}
    # A grace that ran out is how a good rotation ends, which was counted when it was promoted.
    revoked = sum(
        row.stage is Stage.REVOKED and not (number in before and before[number].stage is Stage.GRACE)
        for number, row in moved.items()
    )
    yield from ["revoked"] * revoked
    for row in moved.values():
        if row.stage is Stage.BAD:
            yield "rolled_back"
        elif row.stage is Stage.CURRENT and not revoked:  # else the heir of what was revoked
            yield "promoted"


class Tally:
    """Written on the event loop, read on a thread of the exporter's: mappings are replaced, never changed in place."""

    def __init__(self) -> None:
        self._rotations: Mapping[tuple[str, str], int] = {}
        self._alarms: Mapping[str, bool] = {}
        self._looked_s = time.monotonic()

    def wrote(self, slot: str, before: Document | None, after: Document) -> None:
        """The document of a slot was replaced."""
        for outcome in outcomes(before, after):
            key = slot, outcome
            self._rotations = {**self._rotations, key: self._rotations.get(key, 0) + 1}

    def looked(self) -> None:
        """The store answered."""
        self._looked_s = time.monotonic()

    def alarmed(self, slots: Iterable[str], problems: Iterable[keys_pb2.KeyProblem]) -> None:
        """All that is wrong now. A slot without a provider in its name is a key of a process's own, and not ours."""
        wrong = {problem.slot for problem in problems}
        named = {slot.partition("/")[0]: False for slot in (*slots, *wrong) if "/" in slot}
        loud = {slot.partition("/")[0] for slot in wrong if "/" in slot}
        known = {**self._alarms, **named}
        self._alarms = {provider: STORE in wrong or provider in loud for provider in known}

    def observe(self, telemetry: Telemetry) -> None:
        """Have all of it read whenever metrics are sent."""

        def rotations() -> Iterable[Reading]:
            return [
                (float(count), {"slot": slot, "outcome": outcome}) for (slot, outcome), count in self._rotations.items()
            ]

        def alarms() -> Iterable[Reading]:
            return [(float(on), {"provider": provider}) for provider, on in self._alarms.items()]

        def staleness() -> Iterable[Reading]:
            return [(time.monotonic() - self._looked_s, {})]

        telemetry.counter("antiphon.key.rotations", "{rotation}", rotations)
        telemetry.gauge("antiphon.key.alarm", "{alarm}", alarms)
        telemetry.gauge("antiphon.key.store.staleness", "s", staleness)
