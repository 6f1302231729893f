"""What metrics tell of keys: every open problem, gone when it is over, and how old the last confirmation is."""

import time

from antiphon_kit import key_metrics
from antiphon_kit.key_ring import KeyRing, OneKey, Problems
from antiphon_kit.key_versions import KeySlot
from antiphon_kit.secrets import Secret


class Gauges:
    def __init__(self) -> None:
        self.read = {}

    def gauge(self, name, unit, read):
        self.read[name] = read

    def points(self, name):
        return [(value, dict(labels)) for value, labels in self.read[name]()]


class Held:
    def __init__(self, *slots: KeySlot) -> None:
        self.slots = slots
        self.problems = Problems()


class Value:
    async def current(self) -> Secret:
        return Secret("sk-value")


def test_problems_are_points_until_they_end():
    source = Held(KeySlot("p/s", max_staleness_s=60.0, confirmed_s=time.monotonic()))
    gauges = Gauges()
    key_metrics.observe(KeyRing(source), gauges)
    assert gauges.points("antiphon.key.problems") == []
    source.problems.report("p/s", "rolled_back", "v2 was refused", now_s=0.0, version=2)
    assert gauges.points("antiphon.key.problems") == [(1.0, {"slot": "p/s", "rule": "rolled_back", "version": 2})]
    source.problems.settle("p/s")
    assert gauges.points("antiphon.key.problems") == []


def test_staleness_is_of_slots_that_somebody_confirms():
    gauges = Gauges()
    slots = (KeySlot("p/a", max_staleness_s=60.0, confirmed_s=time.monotonic() - 7.0), KeySlot("p/b"))
    key_metrics.observe(KeyRing(Held(*slots)), gauges)
    ((age_s, labels),) = gauges.points("antiphon.key.staleness")
    assert labels == {"slot": "p/a"}
    assert 7.0 <= age_s < 60.0


def test_a_key_without_a_store_has_no_staleness():
    gauges = Gauges()
    key_metrics.observe(KeyRing(OneKey(Value())), gauges)
    assert gauges.points("antiphon.key.staleness") == []
