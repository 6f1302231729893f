"""Owns the dead streams: answers that a vendor never finished, through real provider services. None may look finished.

Every binding of the parity suite to a scripted vendor takes part. A stream is made from its number, so that one that
is reported can be sent again.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import parity_file

from antiphon.llm.v1 import response_pb2
from antiphon_conformance import bindings, verdict
from antiphon_conformance.calling import Ask
from antiphon_conformance.cases.fixtures import CHANNEL_OPTIONS
from antiphon_conformance.deployed import KEY, SHARED, DeployedOnWire
from antiphon_conformance.outcome import Outcome, Target
from antiphon_conformance.program import Launch, started
from antiphon_conformance.vendor.scenes import STEPS_S, numbered
from antiphon_conformance.vendor.script import Cut, Pause, Script, Step
from antiphon_conformance.vendor.stage import Vendor, performing
from antiphon_conformance.wires import SSE, Counts, Event, Tool, Wire, encoded

COUNT = 1000
AT_ONCE = 16
_GARBAGE = b'data: {"choices": [{]\n\n'
_FINISHED = (response_pb2.ResponseEnd.OUTCOME_COMPLETED, response_pb2.ResponseEnd.OUTCOME_INCOMPLETE)
_TOOL = Tool("call_1", "weather", ['{"city": ', '"Zürich"', "}"])


def _end(wire: Wire) -> tuple[Step, ...]:
    return encoded(wire.end(None, Counts(7, 12)))


def _half(wire: Wire, how: Cut) -> tuple[Step, ...]:
    return (encoded(wire.tokens(["lost"]))[0][:-9], Pause(STEPS_S), how)


# The pause lets what was said reach the reader before a reset throws away what is still on its way.
ENDINGS: dict[str, Callable[[Wire], tuple[Step, ...]]] = {
    "FIN on a chunk boundary": lambda wire: (Cut.FIN,),
    "RST": lambda wire: (Pause(STEPS_S), Cut.RST),
    "FIN within an event": lambda wire: _half(wire, Cut.FIN),
    "RST within an event": lambda wire: _half(wire, Cut.RST),
    "an error in the stream": lambda wire: encoded(wire.error_event()),
    "a terminator without a finish": lambda wire: encoded(wire.terminator()),
    "the end of the body without a finish": lambda wire: (),
    "garbage": lambda wire: (_GARBAGE, *_end(wire)),
}


@dataclass
class Tally:
    """What was made of them. `wrong`: a sentence for each that was reported as finished, without usage, or badly."""

    count: int = 0
    reported_finished: int = 0
    without_usage: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    providers: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, ending: str, outcome: Outcome, target: Target) -> None:
        """One more."""
        record = outcome.record
        finished = outcome.ok or record.outcome in _FINISHED
        without = not record.HasField("usage") or not record.usage.source
        self.count += 1
        self.endings[ending] += 1
        self.reported_finished += finished
        self.without_usage += without
        complaints = verdict.complaints(outcome, target)
        complaints += ["it was reported as finished"] if finished else []
        complaints += ["it has no usage"] if without else []
        self.wrong += [f"{what}, {ending}: {complaint}" for complaint in complaints]

    def report(self) -> dict[str, Any]:
        """As docs/results/parity.json holds it."""
        return {
            "count": self.count,
            "reported_finished": self.reported_finished,
            "without_usage": self.without_usage,
            "providers": self.providers,
            "endings": dict(sorted(self.endings.items())),
        }


def script(wire: Wire, number: int) -> tuple[str, Script]:
    """How the stream of this number ends, and all of it."""
    rng = random.Random(f"dead {number}")
    ending = list(ENDINGS)[number % len(ENDINGS)]
    said: list[Event] = wire.tokens(numbered(rng.randint(1, 12)))
    if rng.random() < 0.3:
        called = wire.tools([_TOOL])
        said += called[: rng.randint(1, len(called))]
    writes = encoded([*wire.begin(), *said])
    if rng.random() < 0.3:
        writes = (b"".join(writes),)
    return ending, (SSE, *writes, *ENDINGS[ending](wire))


async def _sent(vendor: Vendor, target: Target, numbers: Sequence[int], tally: Tally) -> None:
    async with grpc.aio.insecure_channel(target.address, options=CHANNEL_OPTIONS) as channel:
        asks = [Ask(channel, target, streamed=streamed) for streamed in (True, False)]
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            ending, steps = script(vendor.wire, number)
            ask = asks[number // len(ENDINGS) % 2]
            async with gate:
                outcome = await ask.begin(ask.request(vendor.play(steps).model)).finish()
            tally.add(f"{target.provider} {number}", ending, outcome, target)

        async with asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(one(number))


def share(place: int, of: int, count: int = COUNT) -> range:
    """The numbers of the streams of one binding of so many: next to each other, so that each gets every ending."""
    return range(count * place // of, count * (place + 1) // of)


def run(count: int = COUNT, bound: Sequence[type[DeployedOnWire]] | None = None) -> Tally:
    """`count` streams, as many for each binding as for every other."""
    bound = bindings.on_wires(parity_file.ROOT) if bound is None else bound
    tally = Tally()
    for place, one in enumerate(bound):
        numbers = share(place, len(bound), count)
        tally.providers.append(one.label or one.provider)
        launch = Launch(one.launch.module, {**SHARED, **one.launch.env}, one.launch.files)
        with performing(one.wire) as vendor, started(launch, vendor=vendor.url, key=KEY) as program:
            program.until_serving()
            asyncio.run(_sent(vendor, Target(program.address, one.provider), numbers, tally))
    return tally
