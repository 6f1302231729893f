"""What the coordinator's metrics tell: how rotations ended, whose keys have an alarm, how old its sight of Vault is."""

import time
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum
from opentelemetry.sdk.trace import TracerProvider

from antiphon.router.v1 import keys_pb2
from antiphon_keys.document import Document, Row
from antiphon_keys.metrics import Tally, outcomes
from antiphon_keys.store import STORE
from antiphon_kit.key_versions import Stage
from antiphon_kit.telemetry_otel import OtelTelemetry

SLOT = "openai/default"
Points = dict[str, dict[tuple[tuple[str, object], ...], float]]


class Recorded:
    """A tally that is read as an exporter would."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = OtelTelemetry(TracerProvider(shutdown_on_exit=False), meters)
        self.tally = Tally()
        self.tally.observe(self.telemetry)
        self.growing: set[str] = set()

    def points(self) -> Points:
        found: Points = {}
        data = self._reader.get_metrics_data()
        for scope in data.resource_metrics[0].scope_metrics if data else ():
            for metric in scope.metrics:
                if isinstance(metric.data, Sum) and metric.data.is_monotonic:
                    self.growing.add(metric.name)
                for point in metric.data.data_points:
                    found.setdefault(metric.name, {})[tuple(sorted((point.attributes or {}).items()))] = point.value
        return found


@pytest.fixture
async def recorded() -> AsyncIterator[Recorded]:
    opened = Recorded()
    yield opened
    await opened.telemetry.aclose()


def document(**stages: Stage) -> Document:
    return {int(name.removeprefix("v")): Row(stage) for name, stage in stages.items()}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (document(v1=Stage.CURRENT), document(v1=Stage.CURRENT, v2=Stage.CANDIDATE), []),
        (document(v1=Stage.CURRENT, v2=Stage.CANDIDATE), document(v1=Stage.GRACE, v2=Stage.CURRENT), ["promoted"]),
        (document(v1=Stage.CURRENT), document(v1=Stage.GRACE, v2=Stage.CURRENT), ["promoted"]),
        (document(v1=Stage.GRACE, v2=Stage.CURRENT), document(v1=Stage.REVOKED, v2=Stage.CURRENT), []),
        (document(v1=Stage.CURRENT, v2=Stage.CANDIDATE), document(v1=Stage.CURRENT, v2=Stage.BAD), ["rolled_back"]),
        (document(v1=Stage.GRACE, v2=Stage.CURRENT), document(v1=Stage.CURRENT, v2=Stage.REVOKED), ["revoked"]),
        (document(v1=Stage.CURRENT), document(v1=Stage.CURRENT, v2=Stage.REVOKED), ["revoked"]),
        (None, document(v1=Stage.CURRENT, v2=Stage.BAD), []),
    ],
)
def test_every_way_a_rotation_ends_is_counted_once(
    before: Document | None, after: Document, expected: list[str]
) -> None:
    assert list(outcomes(before, after)) == expected


def test_rotations_add_up_by_slot_and_outcome(recorded: Recorded) -> None:
    began, promoted = document(v1=Stage.CURRENT, v2=Stage.CANDIDATE), document(v1=Stage.GRACE, v2=Stage.CURRENT)
    recorded.tally.wrote(SLOT, began, promoted)
    recorded.tally.wrote(SLOT, began, promoted)
    recorded.tally.wrote("cohere/default", began, document(v1=Stage.CURRENT, v2=Stage.BAD))
    assert recorded.points()["antiphon.key.rotations"] == {
        (("outcome", "promoted"), ("slot", SLOT)): 2,
        (("outcome", "rolled_back"), ("slot", "cohere/default")): 1,
    }
    assert recorded.growing == {"antiphon.key.rotations"}


def test_an_alarm_is_up_and_then_down_for_its_provider_alone(recorded: Recorded) -> None:
    problem = keys_pb2.KeyProblem(slot=SLOT, rule="rolled_back", version=2)
    own = keys_pb2.KeyProblem(slot="default", rule="refused")
    recorded.tally.alarmed([SLOT, "cohere/default"], [problem, own])
    up = {(("provider", "cohere"),): 0.0, (("provider", "openai"),): 1.0}
    assert recorded.points()["antiphon.key.alarm"] == up
    # A slot that cannot be read is not among the slots; its provider stays in sight.
    recorded.tally.alarmed([], [problem])
    assert recorded.points()["antiphon.key.alarm"] == up
    recorded.tally.alarmed([SLOT], [])
    assert set(recorded.points()["antiphon.key.alarm"].values()) == {0.0}


def test_trouble_with_the_store_is_an_alarm_for_everybody(recorded: Recorded) -> None:
    recorded.tally.alarmed([SLOT, "cohere/default"], [keys_pb2.KeyProblem(slot=STORE, rule="sealed")])
    assert list(recorded.points()["antiphon.key.alarm"].values()) == [1.0, 1.0]


def test_staleness_begins_with_the_process_and_ends_with_an_answer(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = time.monotonic() + 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    assert recorded.points()["antiphon.key.store.staleness"][()] >= 100.0
    recorded.tally.looked()
    assert recorded.points()["antiphon.key.store.staleness"][()] == 0.0
