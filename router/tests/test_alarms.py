"""One timer for many alarms."""

import asyncio
import contextlib
import time

import uvloop

from antiphon_router.shell.alarms import Alarms, cancel

SOON_S, LATER_S, NEVER_S = 0.02, 0.08, 3600.0


async def test_alarms_ring_in_the_order_in_which_they_are_due():
    alarms, rung = Alarms(), []
    started = time.monotonic()
    for delay_s in (LATER_S, SOON_S, NEVER_S):
        alarms.set(delay_s, lambda delay_s=delay_s: rung.append((delay_s, time.monotonic() - started)))
    await asyncio.sleep(3 * LATER_S)
    assert [delay_s for delay_s, _ in rung] == [SOON_S, LATER_S]
    assert all(after_s >= delay_s for delay_s, after_s in rung)
    assert len(alarms) == 1


async def test_a_cancelled_alarm_does_not_ring_and_holds_on_to_nothing():
    alarms, rung = Alarms(), []
    alarm = alarms.set(SOON_S, lambda: rung.append(1))
    other = alarms.set(LATER_S, lambda: rung.append(2))
    cancel(alarm)
    cancel(alarm)
    assert not any(callable(part) for part in alarm)
    await asyncio.sleep(2 * LATER_S)
    assert rung == [2]
    assert other is not alarm
    assert len(alarms) == 0


async def test_what_is_cancelled_does_not_pile_up():
    alarms = Alarms()
    for _ in range(1000):
        cancel(alarms.set(NEVER_S, print))
    assert len(alarms) <= 1


async def test_one_alarm_may_set_another():
    alarms, rung = Alarms(), asyncio.Event()
    alarms.set(SOON_S, lambda: alarms.set(SOON_S, rung.set))
    async with asyncio.timeout(5.0):
        await rung.wait()


async def test_many_alarms_cost_one_timer_of_the_loop(monkeypatch):
    loop = asyncio.get_running_loop()
    set_timers, call_later = [], loop.call_later

    def counted(delay_s, *rest, **more):
        set_timers.append(delay_s)
        return call_later(delay_s, *rest, **more)

    monkeypatch.setattr(loop, "call_later", counted)
    alarms = Alarms()
    for _ in range(100):
        cancel(alarms.set(NEVER_S, print))
    assert len(set_timers) == 1


async def test_an_alarm_set_while_another_rings_does_not_put_off_the_next():
    alarms, rung = Alarms(), []
    started = time.monotonic()
    alarms.set(SOON_S, lambda: alarms.set(NEVER_S, print))
    alarms.set(LATER_S, lambda: rung.append(time.monotonic() - started))
    await asyncio.sleep(4 * LATER_S)
    assert len(rung) == 1


async def test_an_alarm_that_fails_does_not_stop_the_others():
    alarms, rung = Alarms(), []
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    alarms.set(SOON_S, lambda: 1 / 0)
    alarms.set(SOON_S, lambda: rung.append(1))
    alarms.set(LATER_S, lambda: rung.append(2))
    await asyncio.sleep(3 * LATER_S)
    assert rung == [1, 2]
    assert [type(failure) for failure in failures] == [ZeroDivisionError]


def test_the_loop_of_the_router_does_not_spin_until_an_alarm_is_due(monkeypatch):
    looks = 0

    async def wait():
        nonlocal looks
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        alarms = Alarms()
        go_off = alarms._go_off

        def counted():
            nonlocal looks
            looks += 1
            go_off()

        monkeypatch.setattr(alarms, "_go_off", counted)
        for step in range(40):
            rung.clear()
            alarms.set(0.005 + step * 0.0001, rung.set)
            await rung.wait()
        assert loop.__class__.__module__.startswith("uvloop")

    with contextlib.closing(uvloop.new_event_loop()) as loop:
        loop.run_until_complete(wait())
    assert looks <= 3 * 40
