"""Owns the goals about keys and limits: what a provider refuses, of whom, and for how long."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from antiphon_harness import checker
from antiphon_harness.admin import Seen
from antiphon_harness.bed import CALM, MODEL, Bed
from antiphon_harness.fakellm.script import Rule, Script
from antiphon_harness.goal import KEYS, REPLICAS, Bound, Figures, Goal
from antiphon_harness.loadgen import Ask, Shot
from antiphon_harness.processes import HarnessError
from antiphon_harness.witness import Accepted

_UNARY: Final = Ask(model=MODEL)
_RACE_S: Final = 0.05
"""What is on its way already when a refusal arrives at the router."""


def limit(retry_after_s: float | None, head_delay_s: float = 0.0) -> Script:
    """429, with or without a time."""
    headers = {} if retry_after_s is None else {"retry-after": f"{retry_after_s:g}"}
    error = {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}
    return Script(status=429, headers=headers, error=error, head_delay_s=head_delay_s)


class _Wave:
    """Load on three keys, one of which is rate limited by two answers that are under way at the same time."""

    def __init__(self, bed: Bed, first_s: float, second_s: float) -> None:
        self._bed = bed
        self._waits = (first_s, second_s)
        self._key = bed.keys["a"]
        self.shots: list[Shot] = []
        self.used: list[Accepted] = []

    async def pass_by(self, address: str) -> None:
        """Limit the key, lift the limit at once, and go on until its time is over."""
        bed, (first_s, second_s) = self._bed, self._waits
        quick, slow = limit(first_s, 0.3), limit(second_s, 0.8)
        await bed.upstream.rules(Rule(quick, key=self._key, every=2), Rule(slow, key=self._key), Rule(CALM))
        since = time.monotonic()
        async with bed.client(address) as load, asyncio.TaskGroup() as tasks:
            count = int(bed.rate * (max(self._waits) + 3))
            firing = tasks.create_task(load.fire(_UNARY, rate=bed.rate, count=count))
            await asyncio.sleep(1.0)
            await bed.upstream.rules(Rule(CALM))
        self.shots = firing.result()
        self.used = bed.upstream.witness.accepted(since=since, key=self._key)

    def early(self) -> tuple[int, float]:
        """Calls to the key before its time, and how long after it the first one came."""
        refused = [one for one in self.used if one.status == 429]
        if not refused:
            raise HarnessError("the key was not used at all")
        until = max(one.ended + self._waits[one.ended - one.at > 0.55] for one in refused)
        told = min(one.ended for one in refused) + _RACE_S
        back = next((one.at - until for one in self.used if one.at >= until), 1e3)
        return sum(told < one.at < until for one in self.used), back


async def limited(bed: Bed) -> Figures:
    """First the longer wait is told, then the shorter; and the reverse. At last every try is refused again."""
    long_s, short_s = bed.pick(30.0, 4.0), bed.pick(5.0, 1.5)
    waves = [_Wave(bed, long_s, short_s), _Wave(bed, short_s, long_s)]
    for wave in waves:
        await wave.pass_by((await bed.start_router()).address)
        bed.keep(wave.shots)
    early, back = zip(*(wave.early() for wave in waves), strict=True)
    await bed.upstream.rules(Rule(limit(1.0, 0.3), key=bed.keys["a"]), Rule(CALM))
    since = time.monotonic()
    async with bed.client((await bed.start_router()).address) as load:
        shots = await load.fire(_UNARY, rate=bed.rate, count=int(5 * bed.rate))
    bed.keep(shots)
    used = bed.upstream.witness.accepted(since=since, key=bed.keys["a"])
    told = min((one.ended for one in used if one.ended), default=0.0) + _RACE_S
    tried = [one.at for one in used if one.at > told]
    return {
        "calls to the key before its time": sum(early),
        "seconds from its time until it was used again": max(back),
        "failed": len(checker.failed(shots)) + sum(len(checker.failed(wave.shots)) for wave in waves),
        "calls at once when it is tried again": max((sum(0 <= b - a < 0.3 for b in tried) for a in tried), default=0),
    }


G07: Final = Goal(
    id="G07",
    title="one of three keys is rate limited by two answers with different times",
    backends=KEYS,
    bounds=(
        Bound("calls to the key before its time", most=0),
        Bound("failed", most=0),
        Bound("seconds from its time until it was used again", most=1.0, short_most=3.0),
        Bound("calls at once when it is tried again", most=1, least=1),
    ),
    run=limited,
)


async def fast_failures(bed: Bed) -> Figures:
    """An endpoint that refuses in a millisecond among others that take 300 ms to answer."""
    slow = Script(ttft_s=0.3)
    key = bed.keys["a"]
    count = int(bed.rate * bed.pick(60.0, 7.0))
    async with bed.client() as load:
        await bed.upstream.rules(Rule(slow))
        await load.fire(_UNARY, rate=bed.rate, count=int(bed.rate * 2))
        calm = await load.fire(_UNARY, rate=bed.rate, count=int(bed.rate * bed.pick(20.0, 4.0)))
        # So few failures open no breaker: only the balance can help.
        await bed.upstream.rules(Rule(Script(status=500), key=key, every=5), Rule(slow))
        since = time.monotonic()
        flaky = await load.fire(_UNARY, rate=bed.rate, count=count)
        share = _share(bed.upstream.witness.accepted(since=since), bed, "a")
        await bed.upstream.rules(Rule(limit(10.0), key=key), Rule(slow))
        since = time.monotonic()
        shots = await load.fire(_UNARY, rate=bed.rate, count=count)
    bed.keep(calm, flaky, shots)
    seen = bed.upstream.witness.accepted(since=since)
    told = min((one.ended for one in seen if one.status == 429), default=0.0)
    after = [one for one in seen if one.at > told + _RACE_S]
    return {
        "share of calls to it after its first answer": _share(after, bed, "a"),
        "failed": len(checker.failed(shots)),
        "p99 / p99 without it": _p99(shots) / _p99(calm),
        "share of an endpoint that fails every fifth call at once": share,
    }


def _p99(shots: Sequence[Shot]) -> float:
    return checker.percentile([shot.took_s for shot in shots], 99)


def _share(seen: Sequence[Accepted], bed: Bed, backend: str) -> float:
    return sum(one.key == bed.mark(backend) for one in seen) / max(1, len(seen))


G08: Final = Goal(
    id="G08",
    title="an endpoint that fails fast draws no traffic",
    backends=KEYS,
    bounds=(
        Bound("share of calls to it after its first answer", most=0.01),
        Bound("failed", most=0),
        Bound("p99 / p99 without it", most=1.2, short_most=5.0),
        Bound("share of an endpoint that fails every fifth call at once", most=0.25),
    ),
    run=fast_failures,
)

_POISON: Final = {
    "length": Script(
        status=400, error={"code": "context_length_exceeded", "message": "maximum context length is 8192"}
    ),
    "policy": Script(
        status=400, error={"code": "content_policy_violation", "message": "rejected by our safety system"}
    ),
    "bad": Script(status=400, error={"type": "invalid_request_error", "message": "bad"}),
    "large": Script(status=413, error={"type": "invalid_request_error", "message": "large"}),
    "odd": Script(status=422, error={"type": "invalid_request_error", "message": "odd"}),
}


async def poisoned(bed: Bed) -> Figures:
    """A caller whose requests are all wrong, beside one whose are not."""
    await bed.upstream.rules(*(Rule(script, model=f"poison-{name}") for name, script in _POISON.items()), Rule(CALM))
    asks = [
        Ask(model=f"openai/poison-{name}", streamed=n % 2 == 0) for n in range(bed.count(200, 40)) for name in _POISON
    ]
    since, log = time.monotonic(), bed.router.process.log_size()
    async with bed.client() as a, bed.client() as b, asyncio.TaskGroup() as tasks:
        wrong = tasks.create_task(a.mix(asks, rate=bed.rate / 2))
        right = tasks.create_task(b.fire(_UNARY, rate=bed.rate / 2, count=len(asks)))
    bed.keep(wrong.result(), right.result())
    # What is late on a busy machine gets a smaller share, whoever asks; that is no answer to wrong requests.
    seen = [one for one in bed.upstream.witness.accepted(since=since) if one.model.startswith("poison")]
    own_fault = ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
    return {
        "wrong requests": len(asks),
        "changes of health": sum('"aimd"' not in line for line in health_changes(bed, log)),
        "failed calls of the other caller": len(checker.failed(right.result())),
        "attempts beyond one per wrong request": len(seen) - len(asks),
        "wrong requests that were answered": sum(shot.ok for shot in wrong.result()),
        "not told whose fault it is": sum(shot.code not in own_fault for shot in wrong.result()),
    }


def health_changes(bed: Bed, since: int) -> list[str]:
    """What the router's log says about changes of health from byte `since` on."""
    return [line for line in bed.router.process.log_lines(since) if '"health_changed"' in line]


G10: Final = Goal(
    id="G10",
    title="1,000 requests that no provider can answer, beside good ones",
    backends=REPLICAS,
    bounds=(
        Bound("changes of health", most=0),
        Bound("failed calls of the other caller", most=0),
        Bound("attempts beyond one per wrong request", most=0, least=0),
        Bound("wrong requests that were answered", most=0),
        Bound("not told whose fault it is", most=0),
        Bound("wrong requests", least=1_000, full_only=True),
    ),
    run=poisoned,
)


async def revoked(bed: Bed) -> Figures:
    """The provider revokes one of three keys."""
    calm_s, after_s = bed.pick(10.0, 2.0), bed.pick(60.0, 5.0)
    async with bed.client() as load, asyncio.TaskGroup() as tasks:
        firing = tasks.create_task(load.fire(_UNARY, rate=bed.rate, count=int(bed.rate * (calm_s + after_s))))
        await asyncio.sleep(calm_s)
        await bed.upstream.keys([bed.keys["b"], bed.keys["c"]])
        since = time.monotonic()
        alarm_s = await bed.router.admin.until("key a is out", _key_out, 10.0)
    shots = firing.result()
    bed.keep(shots)
    refused = [one for one in bed.upstream.witness.accepted(since=since, key=bed.keys["a"]) if one.status == 401]
    told = min((one.ended for one in refused), default=since)
    # Late on a busy machine is DEGRADED, and no answer to what another key did.
    others = [one for one in await bed.router.admin.targets() if one.backend in ("b", "c")]
    suffered = sum(one.state not in ("HEALTHY", "DEGRADED") for one in others)
    return {
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "uses of the key after its first refusal": sum(one.at > told + _RACE_S for one in refused),
        "refusals": len(refused),
        "other targets that suffered": suffered,
        "seconds until it was told": alarm_s,
    }


def _key_out(seen: Sequence[Seen]) -> bool:
    return any(one.backend == "a" and one.scope == "KEY" and one.state == "DISABLED" for one in seen)


G11: Final = Goal(
    id="G11",
    title="one of three keys is revoked",
    backends=KEYS,
    bounds=(
        Bound("failed", most=0),
        Bound("uses of the key after its first refusal", most=0),
        Bound("refusals", least=1),
        Bound("other targets that suffered", most=0),
        Bound("seconds until it was told", most=5.0),
    ),
    run=revoked,
)


async def all_out(bed: Bed) -> Figures:
    """No key is left: all are rate limited with different times; then, with a fresh router, all are revoked."""
    waits = {"a": 6.0, "b": 8.0, "c": 10.0}
    await bed.upstream.rules(*(Rule(limit(waits[name]), key=bed.keys[name]) for name in waits))
    async with bed.client() as load:
        for _ in range(4):
            await load.shoot(_UNARY)
        limited = [await load.shoot(_UNARY) for _ in range(bed.count(50, 20))]
    refused = {one.key: one for one in bed.upstream.witness.accepted() if one.status == 429}
    expiry = min(refused[bed.mark(name)].ended + wait for name, wait in waits.items() if bed.mark(name) in refused)
    off = [abs(shot.ended + (shot.retry_delay_s or 0.0) - expiry) for shot in limited]
    await bed.upstream.keys([])
    fresh = await bed.start_router()
    async with bed.client(fresh.address) as load:
        for _ in range(4):
            await load.shoot(_UNARY)
        dead = [await load.shoot(_UNARY) for _ in range(bed.count(200, 50))]
    bed.keep(limited, dead)
    return {
        "p99 of the answer when all keys are dead": _p99(dead) * 1000,
        "dead: not told so": sum(shot.reason not in ("PROVIDER_CREDENTIALS", "QUOTA_EXHAUSTED") for shot in dead),
        "dead: told to wait": sum(shot.retry_delay_s is not None for shot in dead),
        "limited: not told so": sum(shot.reason != "RATE_LIMITED" for shot in limited),
        "limited: farthest from the earliest time": max(off) * 1000,
        "without pushback": sum(shot.pushback != "-1" for shot in (*dead, *limited)),
    }


G12: Final = Goal(
    id="G12",
    title="all keys are dead; all keys are rate limited",
    backends=KEYS,
    bounds=(
        Bound("p99 of the answer when all keys are dead", most=20.0, short_most=500.0, unit="ms"),
        Bound("dead: not told so", most=0),
        Bound("dead: told to wait", most=0),
        Bound("limited: not told so", most=0),
        Bound("limited: farthest from the earliest time", most=100.0, short_most=500.0, unit="ms"),
        Bound("without pushback", most=0),
    ),
    run=all_out,
)
