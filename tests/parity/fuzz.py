"""Owns the fuzzing of codecs: damaged answers in, one outcome out, whatever the pieces they come in."""

import random
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

import mutations
import outcomes
from codecs_under_test import CODECS, Codec, fixtures

SEED = 20261125
SLOW_S = 5.0
"""For one answer of a few kilobytes; it takes some milliseconds."""


@dataclass
class Tally:
    """What became of the streams of one codec. `broken`: a kind of complaint to the first answer that raised it."""

    provider: str
    answers: str
    streams: int = 0
    whole: int = 0
    refused: int = 0
    broken: dict[str, str] = field(default_factory=dict)


def run(provider: str, answers: str, count: int, *, seed: int = SEED) -> Tally:
    """Never raises for what a codec does."""
    codec = CODECS[provider, answers]
    corpus = [(codec.write(one.said), one.request) for one in fixtures(provider) if one.answers == answers]
    rng = random.Random(f"{seed} {provider} {answers}")
    tally = Tally(provider, answers)
    for number in range(count):
        whole, request = corpus[number % len(corpus)]
        data = mutations.damaged(rng, whole)
        reads = mutations.pieces(rng, data)
        complaint, refused = _tried(codec, data, reads, request)
        if complaint:
            tally.broken.setdefault(complaint, repr(reads))
        tally.streams += 1
        tally.refused += refused
        tally.whole += not refused and not complaint
    return tally


def _tried(codec: Codec, data: bytes, reads: list[bytes], request: dict[str, object]) -> tuple[str, bool]:
    begun = time.monotonic()
    try:
        one, other = (outcomes.of(codec, each, request) for each in ([data], reads))
    except Exception as raised:  # noqa: BLE001  # whatever a codec raises is what is looked for
        last = traceback.extract_tb(raised.__traceback__)[-1]
        return f"{type(raised).__name__} in {Path(last.filename).name}, {last.name}: {str(raised)[:100]}", False
    if one.reason != other.reason:
        return f"whole: {one.reason or 'an answer'}; in pieces: {other.reason or 'an answer'}", False
    if one != other:
        return "another answer when it comes in pieces", False
    if time.monotonic() - begun > SLOW_S:
        return "it takes too long", False
    return "", bool(one.reason)


def report(tallies: list[Tally], count: int) -> dict[str, object]:
    """As docs/results/fuzz.json holds it."""
    rows = [{**asdict(tally), "broken": len(tally.broken)} for tally in tallies]
    return {"seed": SEED, "streams_per_codec": count, "codecs": rows}
