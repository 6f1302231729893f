"""Owns the goals about load itself: more than can be done, and answers that come too late too often."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from antiphon_harness import checker
from antiphon_harness.bed import CALM, MODEL, Bed
from antiphon_harness.fakellm.script import Rule, Script
from antiphon_harness.goal import KEYS, REPLICAS, Bound, Figures, Goal
from antiphon_harness.goals.keys import health_changes
from antiphon_harness.loadgen import Ask, Shot

_CLOSED_S: Final = 0.5
"""After which every upstream call of a client that has its answer is over."""
_PRIORITY: Final = "antiphon-priority"
_CLASSES: Final = ("0", "3", "6", "9")
_SHED: Final = ("GATEWAY_OVERLOADED", "GATEWAY_RATE_LIMITED")
_PLACES: Final = 20
"""So few that the machine has time to spare while they are taken: 66 answers per second at most."""
_BUSY: Final = Script(ttft_s=0.3)
_STARTS_S: Final = 3.0
"""In which an overload is noticed and what has queued upstream until then is answered."""


async def overloaded(bed: Bed) -> Figures:
    """Twice as much as the upstream can do, in four classes of priority.

    The upstream gives so many answers at once and lets the rest wait in line, as vendors and model servers do; what it
    can do is measured with a quarter more callers than places, and if that is less than its places allow, then the
    machine is what is overloaded, and the other figures mean nothing. The router is not told: it has to find out.
    Refusals, goodput and classes count from the first call on. Latency counts without the first three seconds: a queue
    shows only when the calls in it have their first content, so those that come in before that wait in it. Theirs has
    a bound of its own.
    """
    for_s = bed.pick(60.0, 8.0)
    await bed.upstream.rules(Rule(_BUSY))
    asks = [Ask(model=MODEL, metadata=((_PRIORITY, value),), timeout_s=10.0) for value in _CLASSES]
    async with bed.client() as load:
        allowed = _PLACES / _BUSY.ttft_s
        calm = await load.fire(asks[0], rate=allowed / 2, count=int(allowed / 2 * bed.pick(20.0, 5.0)))
        await bed.upstream.places(_PLACES)
        most = await load.saturate(asks[0], workers=int(_PLACES * 1.25), for_s=bed.pick(10.0, 5.0))
        log = bed.router.process.log_size()
        shots = await load.mix([asks[n % len(asks)] for n in range(int(2 * most * for_s))], rate=2 * most)
    bed.keep(calm, shots)
    changes = health_changes(bed, log)
    start = shots[0].due
    whole = [shot for shot in shots if shot.ok]
    shed = [shot for shot in shots if shot.reason in _SHED]
    first = [shot for number, shot in enumerate(shots) if number % len(asks) == 0]
    return {
        "what the upstream can do, in calls/s": most,
        "that / what its places allow": most / allowed,
        "goodput / what it can do": len(whole) / (shots[-1].due - start) / most,
        "p99 of what was admitted / calm p99": _p99([s for s in whole if s.due >= start + _STARTS_S]) / _p99(calm),
        "p99 of the first three seconds / calm p99": _p99([s for s in whole if s.due < start + _STARTS_S]) / _p99(calm),
        "p99 of a refusal": checker.percentile([shot.ended - shot.sent for shot in shed], 99) * 1000,
        "first class shed": sum(not shot.ok for shot in first),
        "shed": len(shed),
        "failed otherwise": len(shots) - len(whole) - len(shed),
        "changes of health": len(changes),
        "replicas put out": sum(json.loads(line)["level"] == "warning" for line in changes),
    }


def _p99(shots: Sequence[Shot]) -> float:
    return checker.percentile([shot.took_s for shot in shots], 99)


G14: Final = Goal(
    id="G14",
    title="twice what the upstream can do, in four classes of priority",
    backends=REPLICAS,
    bounds=(
        Bound("that / what its places allow", least=0.8),
        Bound("goodput / what it can do", least=0.85),
        Bound("p99 of what was admitted / calm p99", most=2.0),
        Bound("p99 of the first three seconds / calm p99", most=5.0),
        Bound("p99 of a refusal", most=10.0, unit="ms", short_most=250.0),
        Bound("first class shed", most=0),
        Bound("shed", least=1),
        Bound("failed otherwise", most=0),
        Bound("replicas put out", most=0),
    ),
    run=overloaded,
    limits={"adaptive": True},
)


async def hedged(bed: Bed) -> Figures:
    """Two percent of first tokens come 2 s late, without and with hedging."""
    await bed.upstream.rules(Rule(Script(ttft_s=2.0), every=50), Rule(CALM))
    count = bed.count(4_000, 400)
    async with bed.client() as load:
        plain = await load.fire(Ask(model=MODEL, streamed=True), rate=bed.rate, count=count)
        shots = await load.fire(Ask(model="hedged", streamed=True), rate=bed.rate, count=count)
        await asyncio.sleep(_CLOSED_S)
    bed.keep(plain, shots)
    prompts = {shot.prompt for shot in shots}
    seen = [one for one in bed.upstream.witness.accepted() if one.prompt in prompts]
    return {
        "failed": len(checker.failed([*plain, *shots])),
        "p99 to the first content, with / without": _first_p99(shots) / _first_p99(plain),
        "attempts beyond one per call, in percent": 100 * (len(seen) / len(shots) - 1),
        "attempts without a row": len(checker.unaccounted(shots, seen)),
        "wrong or repeated text": len(checker.wrong_text(shots, CALM.tokens)),
        "losers that went on": len(checker.orphans(shots, seen, 0.2)),
    }


def _first_p99(shots: Sequence[Shot]) -> float:
    return checker.percentile([shot.first_s for shot in shots], 99)


G17: Final = Goal(
    id="G17",
    title="hedging: 2 % of first tokens are 2 s late",
    backends=KEYS,
    bounds=(
        Bound("failed", most=0),
        Bound("p99 to the first content, with / without", most=0.7),
        Bound("attempts beyond one per call, in percent", most=5.0, least=0.5),
        Bound("attempts without a row", most=0),
        Bound("wrong or repeated text", most=0),
        Bound("losers that went on", most=0, short_most=2),
    ),
    run=hedged,
    routes=(
        {
            "model": "hedged",
            "targets": [{"backend": name, "model": "m"} for name in KEYS],
            "hedge": {"delay": "0.3s", "max_percent": 5},
        },
    ),
)
