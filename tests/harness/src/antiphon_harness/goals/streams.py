"""Owns the goals about answers that stop, break or are given up: stalls, dead streams, deadlines and cancels."""

import asyncio
import itertools
import time
from typing import Final

from antiphon_harness import checker
from antiphon_harness.bed import CALM, MODEL, Bed
from antiphon_harness.fakellm.script import End, Rule, Script
from antiphon_harness.goal import REPLICAS, Bound, Figures, Goal
from antiphon_harness.loadgen import Ask, Client, Shot
from antiphon_harness.witness import Accepted

_LIMIT_S: Final = 3.0
_STALLS: Final[dict[str, Script]] = {
    "no first token": Script(stall_after=0, role_first=False),
    "no first token, roles": Script(stall_after=0, noise="role"),
    "silence after tokens": Script(stall_after=5, gap_s=0.05),
    "comments after tokens": Script(stall_after=5, gap_s=0.05, noise="comment"),
    "empty lines after tokens": Script(stall_after=5, gap_s=0.05, noise="empty"),
    "roles after tokens": Script(stall_after=5, gap_s=0.05, noise="role"),
}


async def stalled(bed: Bed) -> Figures:
    """Upstreams that keep the connection and say nothing that is content."""
    names = list(_STALLS)
    rules = [Rule(script, model=f"stall-{n}") for n, script in enumerate(_STALLS.values())]
    await bed.upstream.rules(*rules, Rule(CALM))
    batches, size = bed.count(4, 1), bed.count(50, 36)
    shots: list[Shot] = []
    async with bed.client() as load:
        for batch in range(batches):
            asks = [
                Ask(
                    model=f"openai/stall-{(batch * size + n) % len(names)}",
                    streamed=True,
                    first_event_s=_LIMIT_S,
                    between_events_s=_LIMIT_S,
                )
                for n in range(size)
            ]
            # All of them are under way before the first is found, because then the endpoint is out for a while.
            shots += await load.mix(asks, rate=size / 2)
            await until_served(load)
    bed.keep(shots)
    seen = {one.prompt: one for one in bed.upstream.witness.accepted()}
    late = [abs(_found_after_s(shot, seen[shot.prompt]) - _LIMIT_S) for shot in shots if shot.prompt in seen]
    targets = await bed.router.admin.targets()
    return {
        "stalls": len(late),
        "never asked": len(shots) - len(late),
        "farthest from the limit": max(late, default=0.0),
        "reported whole": sum(shot.ok for shot in shots),
        "upstream calls left open": len(checker.orphans(shots, seen.values(), 1.0)),
        "calls left in the router": sum(one.in_flight for one in targets),
    }


def _found_after_s(shot: Shot, seen: Accepted) -> float:
    return shot.ended - (seen.last_token or seen.at)


async def until_served(load: Client, model: str = MODEL, limit_s: float = 90.0) -> None:
    """Ask until three answers in a row are good: what was put out by the faults is back."""
    good, until = 0, time.monotonic() + limit_s
    while good < 3 and time.monotonic() < until:
        good = good + 1 if (await load.shoot(Ask(model=model))).ok else 0
        await asyncio.sleep(0.1)


G04: Final = Goal(
    id="G04",
    title="stalled streams: silence, keep-alive comments, empty lines and deltas without content are no progress",
    backends=REPLICAS,
    bounds=(
        Bound("farthest from the limit", most=0.5, short_most=2.0, unit="s"),
        Bound("never asked", most=0),
        Bound("reported whole", most=0),
        Bound("upstream calls left open", most=0),
        Bound("calls left in the router", most=0),
        Bound("stalls", least=30),
        Bound("stalls", least=200, full_only=True),
    ),
    run=stalled,
)

_ENDS: Final[tuple[End, ...]] = ("fin", "close", "rst", "error", "unfinished", "malformed")
_CUTS: Final = (0, 1, 7, 15)


async def died(bed: Bed) -> Figures:
    """Streams that end without their terminator, in every way, each followed by two good ones."""
    kinds = {f"dead-{end}-{cut}": Script(end=end, cut_after=cut) for end in _ENDS for cut in _CUTS}
    await bed.upstream.rules(*(Rule(script, model=name) for name, script in kinds.items()), Rule(Script()))
    wanted = bed.count(1_000, 120)
    shots: list[Shot] = []
    good: list[Shot] = []
    names = itertools.cycle(kinds)
    async with bed.client() as load:
        # One after the other: three failures in a row would put the endpoint out, and nothing would be measured.
        while len(shots) < wanted:
            name = next(names)
            shots.append(await load.shoot(Ask(model=f"openai/{name}", streamed=len(shots) // len(kinds) % 2 == 0)))
            good += [await load.shoot(Ask(model=MODEL, streamed=True)) for _ in range(2)]
    bed.keep(shots, good)
    seen = {one.prompt for one in bed.upstream.witness.accepted()}
    dead = [shot for shot in shots if shot.prompt in seen]
    return {
        "dead streams": len(dead),
        "refused without being asked": len(shots) - len(dead),
        "reported whole": sum(shot.ok for shot in dead),
        "cut after content without usage": sum(shot.first is not None and not shot.usage_source for shot in dead),
        "losses that are not typed": len(checker.untyped_losses(shot for shot in dead if shot.streamed)),
        "wrong or repeated text": len(checker.wrong_text(dead, CALM.tokens)),
        "good calls between that failed": len(checker.failed(good)),
    }


G05: Final = Goal(
    id="G05",
    title="dead streams: FIN, RST, error after HTTP 200, [DONE] without a finish reason, malformed JSON",
    backends=REPLICAS,
    bounds=(
        Bound("reported whole", most=0),
        Bound("cut after content without usage", most=0),
        Bound("losses that are not typed", most=0),
        Bound("wrong or repeated text", most=0),
        Bound("good calls between that failed", most=0),
        Bound("dead streams", least=100),
        Bound("dead streams", least=1_000, full_only=True),
    ),
    run=died,
)

_DEADLINE_S: Final = 0.5


async def given_up(bed: Bed) -> Figures:
    """Deadlines of 500 ms, and cancels at any time, whole answers and streams."""
    endless = Script(ttft_s=0.2, gap_s=0.05, tokens=200)
    await bed.upstream.rules(Rule(endless, model="endless"), Rule(Script(ttft_s=0.2)))
    dice = bed.dice
    count = bed.count(400, 80)
    deadlines = [Ask(model="openai/endless", streamed=n % 2 == 0, timeout_s=_DEADLINE_S) for n in range(count // 2)]
    cancels = [
        Ask(model="openai/endless", streamed=n % 2 == 0, cancel_after_s=0.02 + 0.9 * dice.random())
        for n in range(count // 2)
    ]
    async with bed.client() as load:
        await load.fire(Ask(model=MODEL), rate=20.0, count=40)
        late = await load.mix(deadlines, rate=20.0)
        gone = await load.mix(cancels, rate=20.0)
        short = await _too_late_to_repeat(bed, load)
        await asyncio.sleep(0.5)
    bed.keep(late, gone)
    seen = bed.upstream.witness.accepted()
    over = [shot.ended - shot.sent - _DEADLINE_S for shot in late]
    return {
        "calls": len(late) + len(gone),
        "p99 beyond the deadline": checker.percentile(over, 99) * 1000,
        "wrong code": sum(shot.code != "DEADLINE_EXCEEDED" for shot in late) + sum(s.code != "CANCELLED" for s in gone),
        "upstream calls that went on after 200 ms": len(checker.orphans([*late, *gone], seen, 0.2)),
        "repeats with too little time left": short,
    }


async def _too_late_to_repeat(bed: Bed, load: Client) -> float:
    """Failures so close to the deadline that no answer could come in time: repeated in vain?"""
    await bed.upstream.rules(Rule(Script(status=500, head_delay_s=0.38)))
    since = time.monotonic()
    shots = [await load.shoot(Ask(model=MODEL, timeout_s=_DEADLINE_S)) for _ in range(4)]
    return len(bed.upstream.witness.accepted(since=since)) - len(shots)


G06: Final = Goal(
    id="G06",
    title="deadline of 500 ms, and cancels at any time; unary and streaming",
    backends=REPLICAS,
    bounds=(
        Bound("p99 beyond the deadline", most=50.0, short_most=500.0, unit="ms"),
        Bound("wrong code", most=0),
        Bound("upstream calls that went on after 200 ms", most=0, short_most=4),
        Bound("repeats with too little time left", most=0),
    ),
    run=given_up,
)
