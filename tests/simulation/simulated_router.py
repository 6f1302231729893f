"""Owns one simulated run: the real roster and core under virtual time and drawn order. The seed tells all of it."""

import heapq
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import NamedTuple

from laws import Broken, Laws
from scenery import Scene, Trouble, drawn
from upstreams import Answer, Upstreams

from antiphon.llm.v1 import error_pb2
from antiphon_router.core import failover
from antiphon_router.core.failover import NEW_TURN, Turn
from antiphon_router.core.faults import Failure, Reason
from antiphon_router.core.resolve import Refusal
from antiphon_router.core.values import AfterContent, Ask, State, TargetKey
from antiphon_router.shell.roster import Roster, Running

ERROR = error_pb2.CallError()
DEADLINE_S = 60.0
CALM_S = 420.0
"""After faults stop: an account is looked at again after 300 s."""
QUOTA_S = 310.0
"""What a provider said of its limits counts for 300 s, and is looked at every few seconds."""
QUIET_S = 40.0
"""In the last of them every call has to be served."""


class Outcome(NamedTuple):
    """What a run came to."""

    seed: int
    digest: str
    events: int
    calls: int
    attempts: int


class Failed(Exception):
    """A run broke a law; the message names the seed."""


class _Call:
    __slots__ = (
        "arrived", "ask", "asked", "content", "leaves", "number", "over", "poison", "running", "too_long", "tools",
        "turn",
    )  # fmt: skip

    def __init__(self, number: int, now: float, ask: Ask) -> None:
        self.number, self.arrived, self.ask = number, now, ask
        self.turn: Turn = NEW_TURN
        self.asked = AfterContent.FAIL
        self.running: list[Running] = []
        self.content = self.over = self.poison = self.too_long = self.tools = self.leaves = False


class Simulation:
    """One run of `scene`. `served` hears of every attempt that gets content: (time, backend, replica)."""

    def __init__(self, seed: int, scene: Scene | None = None) -> None:
        self.seed = seed
        self.now = 0.0
        self.scene = scene or drawn(seed)
        self.dice = Random(seed * 2 + 1)
        self.roster = Roster(clock=lambda: self.now, dice=self.dice)
        self.upstreams = Upstreams(self.scene, self.dice)
        self.laws = Laws(self.roster, self.scene.resolution)
        self.served: list[tuple[float, str, str]] = []
        self.ended: list[tuple[float, bool]] = []
        self.begun: list[tuple[float, str, str, bool]] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = self._events = self._calls = 0
        self._enough: dict[TargetKey, float] = {}
        """When the attempt began whose answer was the last to say that enough is left."""
        self._digest = blake2b(digest_size=8)
        for own in self.scene.replicas.values():
            for replica in own:
                self.roster.add(replica)
                self.roster.serving(replica)
        for trouble in self.scene.troubles:
            self._watch(trouble)

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Have `act` happen at `when`."""
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, act))

    def log(self, *what: object) -> None:
        """One event of the run."""
        self._events += 1
        self._digest.update(repr((round(self.now, 9), *what)).encode())

    def run(self) -> Outcome:
        """Faults until the scene ends, then calm until all is well. Raises Failed."""
        try:
            self.calls_until(self.scene.lasts_s, self.scene.rate)
            calm_s = CALM_S if any(t.kind == "spent" for t in self.scene.troubles) else 100.0
            self._mend()
            self.scene.poison = self.scene.too_long = self.scene.leaves = self.scene.tight = 0.0
            self.calls_until(self.now + calm_s, min(0.45, 60.0 / calm_s))
            self._drain()
            self._alive()
            self.laws.budgets(self.now)
        except (Broken, AssertionError) as error:
            raise Failed(f"seed {self.seed}: {error}; again: python tests/simulation --seed {self.seed}") from error
        return Outcome(self.seed, self._digest.hexdigest(), self._events, self._calls, self.laws.attempts)

    def calls_until(self, end: float, rate: float) -> None:
        """Let calls come in, and everything happen that follows from them."""
        due = self.now + self.dice.expovariate(rate)
        while due < end:
            self._until(due)
            self._arrive()
            due += self.dice.expovariate(rate)
        self._until(end)

    def _until(self, when: float) -> None:
        while self._queue and self._queue[0][0] <= when:
            self.now, _, act = heapq.heappop(self._queue)
            act()
        self.now = when

    def _drain(self) -> None:
        while self._queue:
            self._until(self._queue[0][0])

    # Calls.

    def _arrive(self) -> None:
        dice, scene = self.dice, self.scene
        self._calls += 1
        self.laws.calls += 1
        self.roster.credit()
        size = int(2.0 ** dice.uniform(8, 18)) if dice.random() < 0.5 else 500
        ask = Ask(size=size)
        if dice.random() < scene.bound:
            account = dice.choice(scene.backends).account if scene.backends else ""
            ask = ask._replace(affinity=account, hard=dice.random() < 0.3)
        if dice.random() < scene.warm:
            ask = ask._replace(cache_affinity=f"k{dice.randrange(5)}")
        call = _Call(self._calls, self.now, ask)
        call.poison = dice.random() < scene.poison
        call.too_long = dice.random() < scene.too_long
        call.tools = dice.random() < 0.2
        call.leaves = dice.random() < scene.leaves
        call.asked = dice.choice((AfterContent.FAIL, AfterContent.RESTART, AfterContent.HOLD))
        if call.leaves:
            self.at(self.now + dice.uniform(0.0, 2.0), lambda: self._leave(call))
        self._begin(call)

    def _left_s(self, call: _Call) -> float:
        return call.arrived + DEADLINE_S - self.now

    def _begin(self, call: _Call) -> None:
        resolution, turn = self.scene.resolution, call.turn
        running = self.roster.begin(resolution, turn, call.ask, self._left_s(call))
        if isinstance(running, Refusal):
            self.log("refused", call.number, str(running.reason))
            self.laws.refused(running, turn, call.ask)
            # A crowd at a bounded backend is turned away however well all is.
            self._end(call, served=running.reason is Reason.GATEWAY_OVERLOADED)
            return
        self._go(call, running, hedge=False)
        if turn is NEW_TURN and resolution.policy.hedge is not None:
            delay_s = self.roster.hedge_delay_s(resolution, running.attempt, call.ask)
            if delay_s is not None:
                self.at(self.now + delay_s, lambda: self._hedge(call, running))

    def _hedge(self, call: _Call, beside: Running) -> None:
        if call.over or call.content or call.running != [beside]:
            return
        resolution = self.scene.resolution
        running = self.roster.hedge(resolution, call.turn, beside.attempt, call.ask, self._left_s(call))
        if running is not None:
            self._go(call, running, hedge=True)

    def _go(self, call: _Call, running: Running, *, hedge: bool) -> None:
        attempt = running.attempt
        self.log("attempt", call.number, attempt.number, attempt.replica.address, hedge)
        probe = bool(attempt.probes)
        self.begun.append((self.now, attempt.candidate.backend.id, attempt.replica.address, probe))
        self.laws.started(attempt, call.turn, call.ask, hedge=hedge, delivered=call.content)
        call.running.append(running)
        answer = self.upstreams.answer(
            attempt, self.now, size=call.ask.size, poison=call.poison, too_long=call.too_long
        )
        self.at(self.now + attempt.wait_s + answer.first_s, lambda: self._answered(call, running, answer))

    def _answered(self, call: _Call, running: Running, answer: Answer) -> None:
        if running not in call.running:
            return
        if answer.failure is not None:
            self._failed(call, running, answer.failure)
            return
        self.log("content", call.number, running.attempt.number)
        with self.laws.outcome(running.attempt, None):
            running.succeeded()
        attempt = running.attempt
        usual_s = self.scene.ttft_s[attempt.candidate.backend.id]
        self.laws.answered(attempt, running.started, running.elapsed_s() / usual_s)
        self.served.append((self.now, attempt.candidate.backend.id, attempt.replica.address))
        call.content = True
        for loser in [one for one in call.running if one is not running]:
            self._close(call, loser)
        self.at(self.now + answer.rest_s, lambda: self._finished(call, running, answer))

    def _finished(self, call: _Call, running: Running, answer: Answer) -> None:
        if running not in call.running:
            return
        if answer.broken is None:
            self._tell_limits(running)
            self._close(call, running)
            self._end(call, served=True)
            return
        self.log("broken", call.number)
        failure = answer.broken
        with self.laws.outcome(running.attempt, failure):
            running.failed(failure, ERROR)
        self._close(call, running)
        decided = failover.after_content(
            call.turn,
            failure,
            self.scene.resolution.policy,
            asked=call.asked,
            delivered_tools=call.tools,
            left_s=self._left_s(call),
        )
        call.turn = failover.restarted(call.turn, running.attempt, failure)
        if decided is AfterContent.RESTART and self.roster.may_retry():
            self.laws.restarted(call.turn, call.asked, tools=call.tools)
            # What was delivered is void.
            call.content = False
            self._begin(call)
        else:
            self._end(call, served=False)

    def _tell_limits(self, running: Running) -> None:
        told = ""
        if self.scene.tight and self.dice.random() < self.scene.tight:
            told = f"{self.dice.random() / 2:.3f};{self.dice.randrange(1, 400)}"
        else:
            self._enough[running.attempt.candidate.pool] = running.started
        self.roster.limits_told(running.attempt, told, running.started)

    def _failed(self, call: _Call, running: Running, failure: Failure) -> None:
        self.log("failed", call.number, str(failure.reason))
        with self.laws.outcome(running.attempt, failure):
            running.failed(failure, ERROR)
        self._close(call, running)
        call.turn = failover.failed(call.turn, running.attempt, failure)
        if call.running:
            return
        resolution = self.scene.resolution
        stop = failover.stop(
            call.turn,
            committed=call.content,
            by_route=resolution.by_route,
            left_s=self._left_s(call),
            has_larger=resolution.has_larger,
        )
        if stop is not None or not self.roster.may_retry(call.turn):
            self._end(call, served=failure.reason is Reason.INVALID_REQUEST)
            return
        self._begin(call)

    def _close(self, call: _Call, running: Running) -> None:
        call.running.remove(running)
        # A loser that was a probe is one no more.
        with self.laws.outcome(running.attempt, None):
            running.close()

    def _leave(self, call: _Call) -> None:
        if call.over:
            return
        self.log("left", call.number)
        for running in list(call.running):
            self._close(call, running)
        call.over = True

    def _end(self, call: _Call, *, served: bool) -> None:
        call.over = True
        self.ended.append((self.now, served))

    # The world.

    def _watch(self, trouble: Trouble) -> None:
        """Health streams tell of replicas, a little late."""
        replica = next((r for own in self.scene.replicas.values() for r in own if r.address == trouble.place), None)
        if replica is None or trouble.kind not in ("crash", "freeze", "drain"):
            return
        late_s = 0.7 if trouble.kind == "freeze" else 0.05

        def down() -> None:
            self.log("down", trouble.place)
            if trouble.kind == "drain":
                self.roster.not_serving(replica)
            else:
                self.roster.unreachable(replica, 0.5, ERROR)
            self.laws.settle()

        def up() -> None:
            self.log("up", trouble.place)
            others = (t for t in self.scene.troubles if t.place == trouble.place and t is not trouble)
            if not any(t.kind in ("crash", "freeze", "drain") and t.begins <= self.now < t.ends for t in others):
                self.roster.serving(replica)
            self.laws.settle()

        self.at(trouble.begins + late_s, down)
        self.at(max(trouble.ends, trouble.begins + late_s) + 0.2, up)

    def _mend(self) -> None:
        self.scene.troubles = []
        self.laws.calm_since = self.now
        for backend in self.scene.replicas:
            self.roster.key_changed(backend)
        self.log("calm")
        self.laws.settle()

    def _alive(self) -> None:
        """After the faults: everybody is served, and what takes calls regularly is well."""
        last = [served for at, served in self.ended if at > self.now - QUIET_S]
        assert all(last), f"{last.count(False)} of the last {len(last)} calls failed in calm"
        fleet = self.roster.fleet
        for key, health in (*fleet.healths.items(), *fleet.shared.items()):
            state = health.at(self.now).state
            assert state is not State.HALF_OPEN, f"the probe of {key.id} never came back"
        assert not any(load.in_flight for load in fleet.loads.values()), "what ended is still counted as running"
        quotas = fleet.quotas.items()
        stale = [p.id for p, q in quotas if self._enough.get(p, 0.0) >= q.told or q.told < self.now - QUOTA_S]
        assert not stale, f"{stale} are still taken for short"
        resolution = self.scene.resolution
        ways = [c for c in resolution.tiers[0] if c.weight and c.canary_percent is None and not c.long_context]
        if resolution.policy.cheapest:
            return
        for candidate in ways:
            for replica in self.scene.replicas[candidate.backend.id]:
                for key in (replica.key, *candidate.keys):
                    assert self.laws.is_well(key), f"{key.id} is still {self.roster.health_of(key).state}"


def simulated(seed: int) -> Outcome:
    """The run of `seed`. Raises Failed."""
    return Simulation(seed).run()
