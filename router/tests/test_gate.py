"""The door of the router."""

import asyncio

import pytest

from antiphon_contract.errors import CallFailure, Reason
from antiphon_router.core.crowd import LATE_S
from antiphon_router.shell import gate as gates
from antiphon_router.shell.gate import Gate, Waits, watch


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def refused(gate: Gate, priority: int = 5, size: int = 1) -> CallFailure:
    with pytest.raises(CallFailure) as caught:
        gate.enter(size, priority)
    return caught.value


def test_it_lets_in_as_many_as_there_is_room_for_and_says_when_to_try_again() -> None:
    gate = Gate(2, 1000, clock=Clock())
    gate.enter(1)
    gate.enter(1)
    error = refused(gate).error
    assert error.reason == Reason.ERROR_REASON_GATEWAY_OVERLOADED
    assert error.HasField("retry_delay")
    assert "2 now" in error.message
    gate.leave(1)
    gate.enter(1)
    assert (gate.calls, gate.bytes) == (2, 2)


def test_bytes_are_bounded_whatever_the_priority_and_one_large_request_is_let_in() -> None:
    gate = Gate(10, 100, clock=Clock())
    gate.enter(500, 9)
    assert "bytes" in refused(gate, 0, 1).error.message
    gate.leave(500, 9)
    gate.enter(100)


def test_a_closed_gate_lets_nobody_in() -> None:
    gate = Gate(10, 100, clock=Clock())
    gate.close()
    assert refused(gate, 0).error.reason == Reason.ERROR_REASON_GATEWAY_DRAINING


def test_worse_calls_are_shed_first_and_stay_out_while_better_ones_are_shed() -> None:
    gate = Gate(10, 1000, clock=Clock())
    for _ in range(9):
        gate.enter(1, 1)
    for _ in range(5):
        gate.leave(1, 1)
    # Eight were seen inside and are kept for their like: one place is left for others besides the one in use.
    gate.enter(1, 8)
    gate.enter(1, 8)
    refused(gate, 8)
    for _ in range(4):
        gate.enter(1, 1)
    refused(gate, 1)
    gate.leave(1, 1)
    gate.leave(1, 8)
    refused(gate, 2)
    gate.enter(1, 1)


def test_lateness_shrinks_the_limit_and_a_resize_starts_anew() -> None:
    gate = Gate(1000, 1000, clock=Clock())
    gate.adaptive = True
    for _ in range(100):
        gate.enter(1)
    gate.observe(2 * LATE_S, 0.0)
    assert gate.limit == 80
    refused(gate)
    gate.resize(1000, 5)
    assert gate.limit == 80
    gate.resize(200, 1000)
    assert gate.limit == 200


def test_a_gate_that_does_not_adapt_has_its_whole_limit() -> None:
    gate = Gate(100, 1000, clock=Clock())
    gate.adaptive = True
    gate.observe(2 * LATE_S, 0.0)
    gate.adaptive = False
    gate.observe(2 * LATE_S, 1.0)
    assert gate.limit == 100


@pytest.mark.parametrize(
    ("seen", "told"), [(Waits(gates.ENOUGH, gates.ENOUGH // 2), 0.5), (Waits(0, 0), 0.0), (Waits(gates.ENOUGH, 0), 0.0)]
)
async def test_it_is_told_how_crowded_it_is(monkeypatch: pytest.MonkeyPatch, seen: Waits, told: float) -> None:
    monkeypatch.setattr(gates, "LOOK_EVERY_S", 0.0)
    shares: list[float] = []
    enough = asyncio.Event()

    class Watched(Gate):
        def observe(self, late_s: float, slow_share: float) -> None:
            assert late_s >= 0.0
            shares.append(slow_share)
            enough.set()

    task = asyncio.create_task(watch(Watched(1, 1), lambda: seen))
    await asyncio.wait_for(enough.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert shares[0] == told
