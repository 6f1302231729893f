"""`python tests/simulation --seeds N`: so many runs. `--seed S`: one, again. `--write`: into docs/results/sim.json."""

import argparse
import gc
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from pathlib import Path

from simulated_router import Failed, Outcome, simulated

RESULT = Path(__file__).parents[2] / "docs" / "results" / "sim.json"
PER_JOB = 50
SHOWN = 10


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if a run broke a law."""
    parser = argparse.ArgumentParser(prog="python tests/simulation")
    parser.add_argument("--seeds", type=int, default=2_000, help="how many runs, from seed 0 on")
    parser.add_argument("--seed", type=int, help="this one run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--digests", action="store_true", help="print the hash of the events of every run")
    parser.add_argument("--write", action="store_true", help="write docs/results/sim.json")
    asked = parser.parse_args(arguments)
    _prepare()
    seeds = range(asked.seed, asked.seed + 1) if asked.seed is not None else range(asked.seeds)
    began = time.monotonic()
    outcomes, failures = [], []
    for done in _results(seeds, asked.jobs):
        (failures if isinstance(done, str) else outcomes).append(done)
        if isinstance(done, Outcome) and asked.digests:
            print(done.digest)
    took_s = time.monotonic() - began
    digest = blake2b("".join(one.digest for one in outcomes).encode(), digest_size=16).hexdigest()
    calls, attempts = sum(one.calls for one in outcomes), sum(one.attempts for one in outcomes)
    print(f"{len(outcomes)} runs, {calls} calls, {attempts} attempts in {took_s:.1f} s; {len(failures)} broke a law")
    print(f"events {digest}")
    print(*failures[:SHOWN], sep="\n")
    if asked.write:
        _write(
            {
                "seeds": len(seeds),
                "failed": [failure.partition(":")[0] for failure in failures],
                "calls": calls,
                "attempts": attempts,
                "events": sum(one.events for one in outcomes),
                "events_hash": digest,
                "took_s": round(took_s, 1),
                "jobs": asked.jobs,
                "command": f"make sim SEEDS={len(seeds)}",
            }
        )
    return 1 if failures else 0


def _results(seeds: range, jobs: int) -> Iterator[Outcome | str]:
    """Every run's outcome, or what it broke, in the order of seeds."""
    if jobs == 1 or len(seeds) <= PER_JOB:
        yield from _batch(seeds)
        return
    batches = [seeds[at : at + PER_JOB] for at in range(0, len(seeds), PER_JOB)]
    with ProcessPoolExecutor(jobs, initializer=_prepare) as pool:
        for batch in pool.map(_batch, batches):
            yield from batch


def _batch(seeds: Iterable[int]) -> list[Outcome | str]:
    return [_one(seed) for seed in seeds]


def _one(seed: int) -> Outcome | str:
    try:
        return simulated(seed)
    except Failed as failed:
        return str(failed)


def _prepare() -> None:
    """Runs are short and make no cycles worth collecting; what the roster logs is in the events."""
    logging.disable(logging.CRITICAL)
    gc.freeze()
    gc.set_threshold(50_000)


def _write(result: dict[str, object]) -> None:
    from antiphon_bench import machine

    result |= {"versions": machine.versions(), "machine": machine.describe()}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
