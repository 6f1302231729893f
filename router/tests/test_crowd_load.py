"""The limit against an upstream with so many places and a line, in virtual time."""

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from antiphon_contract.errors import CallFailure
from antiphon_router.core.pace import Pace
from antiphon_router.shell.gate import LOOK_EVERY_S, Gate, Waits

CLASSES = (0, 3, 6, 9)


@dataclass
class World:
    """Calls through a gate to an upstream with `slots` places; an answer begins after `wait_s` in one."""

    slots: int
    wait_s: float
    stream_s: float = 0.0
    jitter: float = 0.03
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.now = 0.0
        self.gate = Gate(2000, 1 << 30, clock=lambda: self.now)
        self.gate.adapt(True)
        self.pace, self.waits = Pace(), Waits()
        self.line: deque[tuple[float, int]] = deque()
        self.free = self.slots
        self.events: list[tuple[float, int, str, float, int]] = []
        self.count = 0
        self.done: list[tuple[float, float, int]] = []
        """When it came in, how long its first content took, priority."""
        self.shed: list[tuple[float, int]] = []
        self.started = 0.0
        self._at(LOOK_EVERY_S, "look")

    def _at(self, at: float, what: str, came: float = 0.0, priority: int = 0) -> None:
        self.count += 1
        heapq.heappush(self.events, (at, self.count, what, came, priority))

    def offer(self, rate: float, for_s: float, classes: tuple[int, ...] = CLASSES) -> None:
        """Calls of all classes in turn, and time goes on until `for_s` is over."""
        start = self.now
        for number in range(int(rate * for_s)):
            self._at(start + number / rate, "come", 0.0, classes[number % len(classes)])
        while self.events and self.events[0][0] <= start + for_s:
            self.now, _, what, came, priority = heapq.heappop(self.events)
            getattr(self, f"_{what}")(came, priority)
        self.now = start + for_s

    def _come(self, came: float, priority: int) -> None:
        try:
            self.gate.enter(1, priority)
        except CallFailure:
            self.shed.append((self.now, priority))
            return
        self.line.append((self.now, priority))
        self._serve()

    def _serve(self) -> None:
        while self.free and self.line:
            self.free -= 1
            came, priority = self.line.popleft()
            noise = 1.0 + abs(self.dice.gauss(0, self.jitter))
            self._at(self.now + self.wait_s * noise, "first", came, priority)

    def _first(self, came: float, priority: int) -> None:
        took_s = self.now - came
        self.pace.observed(took_s, 1, self.now)
        if self.pace.usual_s is not None:
            self.waits.add(took_s, self.pace.usual_s)
        self.done.append((came, took_s, priority))
        self.waits.answering += 1
        self._at(self.now + self.stream_s * self.dice.uniform(0.2, 1.8), "end", came, priority)

    def _end(self, came: float, priority: int) -> None:
        self.waits.answering -= 1
        self.gate.leave(1, priority)
        self.free += 1
        self._serve()

    def _look(self, came: float, priority: int) -> None:
        if self.gate.observe(self.waits, self.now - self.started, 0.0):
            self.waits.clear()
            self.started = self.now
        self._at(self.now + LOOK_EVERY_S, "look")

    def shed_of(self, priority: int) -> int:
        return sum(shed == priority for _, shed in self.shed)


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


@pytest.mark.parametrize(("slots", "wait_s", "jitter"), [(20, 0.2, 0.1), (36, 0.3, 0.03), (20, 0.1, 0.3)])
def test_twice_what_can_be_done_is_answered_almost_as_well_as_half_of_it(slots: int, wait_s: float, jitter: float):
    world = World(slots, wait_s, jitter=jitter)
    most = slots / (wait_s * (1 + 0.8 * jitter))
    world.offer(0.5 * most, 10.0, (0,))
    calm_s = p99([took_s for _, took_s, _ in world.done])
    world.offer(0.01, 2.0)
    start, before = world.now, len(world.done)
    world.offer(2.0 * most, 30.0)
    assert (len(world.done) - before) / 30.0 > 0.9 * most
    assert p99([took_s for came, took_s, _ in world.done if came > start + 3.0]) < 2.0 * calm_s
    assert world.shed_of(0) == 0
    assert world.shed_of(3) < world.shed_of(6) < world.shed_of(9)


def test_of_answers_that_go_on_for_long_only_what_waits_too_long_is_turned_away():
    world = World(100, 0.5, stream_s=2.0)
    world.offer(20.0, 10.0)
    start, before = world.now, len(world.done)
    world.offer(80.0, 60.0)
    assert (len(world.done) - before) / 60.0 > 0.9 * 40
    assert world.shed_of(0) == 0
    # Without a limit the last ones would wait for a minute.
    assert max(took_s for came, took_s, _ in world.done if came > start + 20.0) < 8.0


@pytest.mark.parametrize(("rate", "slower", "most_shed"), [(60.0, 1.4, 0.0), (300.0, 1.7, 0.03), (300.0, 4.0, 0.06)])
def test_a_machine_that_is_slow_for_everybody_is_no_queue(rate: float, slower: float, most_shed: float):
    world = World(10_000, 0.2)
    world.offer(rate, 10.0)
    assert not world.shed
    world.wait_s *= slower
    world.offer(rate, 20.0)
    assert len(world.shed) <= most_shed * rate * 20.0
    assert not [at for at, _ in world.shed if at > world.now - 10.0]
