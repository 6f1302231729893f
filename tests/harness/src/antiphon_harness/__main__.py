"""Owns the command line of the harness.

    python -m antiphon_harness faults [--only G01,G03] [--short]   goals, into docs/results/faults.json and .md
    python -m antiphon_harness saboteurs [--only NAME,...]         bugs brought back, into docs/results/saboteurs.json
    python -m antiphon_harness soak [--minutes 30]                 memory over time, into docs/results/soak.json

Only whole runs are written, and goals that are run again into the last one of those. Exit codes: 0 all bounds met; 1
some were not, or could not be measured.
"""

import argparse
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from antiphon_bench import machine
from antiphon_harness import catalog, results, run, saboteur_run, soak
from antiphon_harness.saboteurs import SABOTEURS


def main() -> int:
    """Run the command; returns its exit code."""
    options = _parse(sys.argv[1:])
    options.scratch = options.scratch or Path(tempfile.mkdtemp(prefix="antiphon-harness-"))
    options.only = list(filter(None, options.only.split(",")))
    return {"faults": _faults, "saboteurs": _saboteurs, "soak": _soak}[options.command](options)


def _faults(options: argparse.Namespace) -> int:
    goals, where = catalog.named(options.only), machine.describe()
    verdicts, load = uvloop.run(run.run(goals, options.scratch, full=not options.short, seed=options.seed))
    pending = [goal for goal in catalog.GOALS if goal.pending and not options.only]
    result = results.faults(verdicts, pending, load, seed=options.seed, full=not options.short)
    result = results.provided(result, where, "make faults")
    if options.report:
        options.report.write_text(json.dumps(result), encoding="utf-8")
    if not options.short:
        _write_faults(options, result)
    missed = [verdict.goal.id for verdict in verdicts if not verdict.passed]
    run.say(
        f"{len(verdicts) - len(missed)} of {len(verdicts)} goals met" + (f"; not {', '.join(missed)}" if missed else "")
    )
    return 1 if missed else 0


def _write_faults(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """A whole run as it is; of one that was for some goals, these, in place of what a whole run before said of them."""
    if options.only:
        target = options.out / "faults.json"
        if not target.exists():
            return
        long = "ANTIPHON_LONG=1 " if os.environ.get("ANTIPHON_LONG") else ""
        result = results.joined(
            json.loads(target.read_text(encoding="utf-8")), result, f"{long}make faults ONLY={','.join(options.only)}"
        )
    results.write(options.out, "faults", result, results.faults_page(result))


def _saboteurs(options: argparse.Namespace) -> int:
    where = machine.describe()
    chosen = [one for one in SABOTEURS if not options.only or one.name in options.only or one.goal in options.only]
    rows = uvloop.run(saboteur_run.run(chosen, options.scratch, seed=options.seed))
    result = results.provided(results.saboteurs(rows), where, "make saboteurs")
    if not options.only:
        results.write(options.out, "saboteurs", result, results.saboteurs_page(result))
    run.say(f"caught {result['caught']} of {result['of']}")
    return 0 if result["share"] >= results.LEAST_CAUGHT else 1


def _soak(options: argparse.Namespace) -> int:
    where = machine.describe()
    result = uvloop.run(soak.run(options.minutes, options.scratch, seed=options.seed))
    result = results.provided(result, where, f"make soak MINUTES={options.minutes:g}")
    target = options.out / "soak.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result) + "\n", encoding="utf-8")
    told = {name: value for name, value in result.items() if name not in ("samples", "versions", "machine")}
    run.say(json.dumps(told, indent=1))
    return 0 if result["pass"] else 1


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="antiphon_harness", description="Faults on purpose, and their figures.")
    parser.add_argument("command", choices=("faults", "saboteurs", "soak"))
    parser.add_argument("--only", default="", help="goals or saboteurs, with commas; all by default")
    parser.add_argument("--short", action="store_true", help="fewer calls, the same processes")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to soak")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the schedules of faults")
    parser.add_argument("--scratch", type=Path, default=None, help="where logs and raw figures go; kept")
    parser.add_argument("--report", type=Path, default=None, help="faults: the result as JSON, whatever was run")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="where the result pages go")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
