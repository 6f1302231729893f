"""`python tests/parity [pytest options]`: parity suite and dead streams of all providers into docs/results/parity.json.

`python tests/parity fuzz [COUNT]`: so many damaged answers per codec (or $FUZZ), into docs/results/fuzz.json.
`python tests/parity pages`: make the pages anew from the results there are.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import dead_streams
import fuzz
import parity_file
import results
from codecs_under_test import CODECS

FUZZ = results.RESULTS.with_name("fuzz.json")


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if arguments[:1] == ["fuzz"]:
        return _fuzz(int(arguments[1] if arguments[1:] else os.environ.get("FUZZ", "100000")))
    if arguments == ["pages"]:
        results.write(results.RESULTS, json.loads(results.RESULTS.read_text()))
        return 0
    return _parity(arguments)


def _parity(arguments: list[str]) -> int:
    bindings = [str(path) for path in sorted(parity_file.ROOT.glob("services/providers/*/tests/test_conformance.py"))]
    own = ["--rootdir", str(parity_file.ROOT), "-p", "parity_matrix", f"--parity-results={results.RESULTS}"]
    command = [sys.executable, "-m", "pytest", *own, *bindings, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    before = results.RESULTS.stat().st_mtime_ns if results.RESULTS.exists() else 0
    code = subprocess.run(command, cwd=parity_file.ROOT, env=environment, check=False).returncode
    if not results.RESULTS.exists() or results.RESULTS.stat().st_mtime_ns == before:
        print("not all of the suite was run; nothing is written")
        return code
    told = json.loads(results.RESULTS.read_text())
    dead = dead_streams.run()
    results.write(results.RESULTS, {**told, "dead_streams": dead.report()})
    print(results.PAGE.read_text())
    print(*told["unreviewed"], *dead.wrong, sep="\n")
    return code or int(bool(told["failed"] or told["unreviewed_paths"] or dead.wrong))


def _fuzz(count: int) -> int:
    with ProcessPoolExecutor(max_workers=2) as pool:
        tallies = list(pool.map(_tally, [(*codec, count) for codec in CODECS]))
    report: dict[str, Any] = fuzz.report(tallies, count)
    FUZZ.write_text(json.dumps(report, indent=1) + "\n")
    for tally in tallies:
        print(
            f"{tally.provider} {tally.answers}: {tally.streams} answers, {tally.whole} whole, {tally.refused} refused"
        )
        for complaint, example in tally.broken.items():
            print(f"  BROKEN {complaint}\n  {example}")
    return int(any(tally.broken for tally in tallies))


def _tally(task: tuple[str, str, int]) -> fuzz.Tally:
    return fuzz.run(*task)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
