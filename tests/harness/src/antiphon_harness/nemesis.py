"""Owns the schedule of faults: drawn from a seed, so that the same seed gives the same schedule."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to whom, in seconds from the start of the schedule."""

    at_s: float
    what: str
    victim: int


def schedule(
    seed: int, what: Sequence[str], victims: int, *, duration_s: float, every_s: float, jitter: float = 0.5
) -> list[Fault]:
    """Faults about every `every_s`, none in the last `every_s`; never the same victim twice in a row."""
    dice = random.Random(seed)
    faults: list[Fault] = []
    at_s = every_s
    while at_s < duration_s - every_s:
        others = [one for one in range(victims) if victims == 1 or not faults or one != faults[-1].victim]
        faults.append(Fault(at_s + every_s * jitter * (dice.random() - 0.5), dice.choice(what), dice.choice(others)))
        at_s += every_s
    return faults


async def unleash(faults: Sequence[Fault], acts: Mapping[str, Callable[[int], Awaitable[None]]]) -> list[float]:
    """Carry the faults out on time; returns when each began, absolute, on the monotonic clock."""
    start = time.monotonic()
    began = []
    for fault in faults:
        await asyncio.sleep(max(0.0, start + fault.at_s - time.monotonic()))
        began.append(time.monotonic())
        await acts[fault.what](fault.victim)
    return began
