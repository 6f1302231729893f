"""The door of the router."""

import asyncio

import pytest

from antiphon_contract.errors import CallFailure, Reason
from antiphon_router.core.crowd import LATE_S, LONG_S
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


def late(gate: Gate) -> None:
    assert gate.observe(Waits(), LONG_S, 2 * LATE_S)


def test_lateness_shrinks_the_limit_and_a_resize_starts_anew() -> None:
    gate = Gate(1000, 1000, clock=Clock())
    gate.adapt(True)
    for _ in range(100):
        gate.enter(1)
    late(gate)
    assert gate.limit == 80
    refused(gate)
    gate.resize(1000, 5)
    gate.adapt(True)
    assert gate.limit == 80
    gate.resize(200, 1000)
    assert gate.limit == 200


def test_a_gate_that_is_to_adapt_no_longer_has_its_whole_limit_at_once() -> None:
    gate = Gate(100, 1000, clock=Clock())
    gate.adapt(True)
    late(gate)
    assert gate.limit < 100
    gate.adapt(False)
    assert gate.limit == 100


def test_long_waits_of_calls_that_are_not_yet_answering_shrink_it() -> None:
    gate = Gate(1000, 1000, clock=Clock())
    gate.adapt(True)
    for _ in range(200):
        gate.enter(1)
    waits = Waits()
    waits.answering = 30
    for _ in range(40):
        waits.add(0.5, 0.5)
    assert not gate.observe(waits, 0.1, 0.0), "too short to tell"
    assert gate.observe(waits, 0.5, 0.0)
    assert gate.limit == 1000
    waits.clear()
    assert (waits.calls, waits.waited_s, waits.usual_s, waits.answering) == (0, 0.0, 0.0, 30)
    for _ in range(40):
        waits.add(1.0, 0.5)
    assert gate.observe(waits, 0.5, 0.0)
    assert gate.limit == 30 + 40


async def test_it_is_watched_while_it_adapts_and_not_a_moment_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LOOK_EVERY_S", 0.0)
    gate = Gate(1, 1)
    told: list[Waits | None] = []
    seen: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
    turned: asyncio.Queue[bool] = asyncio.Queue()

    def count(waits: Waits | None) -> None:
        told.append(waits)
        turned.put_nowait(waits is not None)
        if waits is not None:
            waits.add(1.0, 1.0)

    def observe(waits: Waits, over_s: float, late_s: float) -> bool:
        assert over_s >= 0.0
        assert late_s >= 0.0
        seen.put_nowait((waits.calls, over_s))
        return True

    monkeypatch.setattr(gate, "observe", observe)
    async with asyncio.timeout(5):
        task = asyncio.create_task(watch(gate, count))
        await asyncio.sleep(0)
        assert not told
        gate.adapt(True)
        assert await turned.get()
        assert (await seen.get())[0] == 1
        assert (await seen.get())[0] == 0, "every span begins anew"
        gate.adapt(False)
        assert not await turned.get()
        while not seen.empty():
            seen.get_nowait()
        gate.adapt(True)
        assert await turned.get()
        assert (await seen.get())[0] == 1
        task.cancel()
        assert not await turned.get()
    await asyncio.gather(task, return_exceptions=True)
    assert told[0] is not told[2]


async def test_a_single_pause_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    class Times:
        """Looks as told, on a clock of their own."""

        def __init__(self) -> None:
            self.now = 0.0
            self.pauses = [9.0, 0.0, 0.0, 9.0, 9.0, 9.0]

        def monotonic(self) -> float:
            return self.now

        async def sleep(self, seconds: float) -> None:
            if not self.pauses:
                await asyncio.Event().wait()
            self.now += seconds + self.pauses.pop(0)

    times = Times()
    gate = Gate(1, 1)
    gate.adapt(True)
    monkeypatch.setattr(gates, "time", times)
    monkeypatch.setattr(gates, "asyncio", times)
    told: list[float] = []
    done = asyncio.Event()

    def observe(waits: Waits, over_s: float, late_s: float) -> bool:
        told.append(late_s)
        if len(told) == 6:
            done.set()
        return False

    monkeypatch.setattr(gate, "observe", observe)
    task = asyncio.create_task(watch(gate, lambda waits: None))
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [round(late_s, 6) for late_s in told] == [0.0, 0.0, 0.0, 9.0, 9.0, 9.0]
