"""Owns the command line of the benches.

    python -m antiphon_bench           figures, into docs/results/bench.json and .md
    python -m antiphon_bench peers     the same calls through other gateways, into docs/results/peers.json and .md

Exit codes: 0 measured, whether or not a bound was met; 1 the measurement itself did not work.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import uvloop

from antiphon_bench import compare, echo, run, vendor
from antiphon_bench.processes import BenchError
from antiphon_bench.ratio import MIN_ROUNDS


def main() -> int:
    """Run the command; returns its exit code."""
    options = _parse(sys.argv[1:])
    if options.command in ("serve-echo", "serve-vendor"):
        serve = echo.main if options.command == "serve-echo" else vendor.main
        serve(int(os.environ["ANTIPHON_READY_FD"]))
        return 0
    rounds = options.rounds
    options.cache.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as scratch:
            if options.command == "peers":
                text = uvloop.run(compare.run(options.out, options.cache, Path(scratch), rounds or 5))
            else:
                profiles = options.cache if options.profile else None
                text = uvloop.run(run.run(options.out, Path(scratch), rounds or 15, profiles))
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(text)
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="antiphon_bench", description="What the suite costs, as ratios.")
    parser.add_argument(
        "command", nargs="?", default="figures", choices=("figures", "peers", "serve-echo", "serve-vendor")
    )
    parser.add_argument("--rounds", type=int, default=0, help="alternating rounds (15; peers: 5); at least 3")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="where the result pages go")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench").absolute(), help="other gateways, profiles")
    parser.add_argument("--profile", action="store_true", help="keep the whole profiles of what misses its bound")
    options = parser.parse_args(argv)
    if 0 < options.rounds < MIN_ROUNDS or options.rounds < 0:
        parser.error(f"--rounds must be at least {MIN_ROUNDS}")
    return options


if __name__ == "__main__":
    sys.exit(main())
