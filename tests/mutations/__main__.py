"""`python tests/mutations [words]`: each mutant (or those whose name holds the words) into docs/results/mutations.json.

Exit code 1 when fewer than 95 % are caught; 2 when nothing can be judged: a mutant that cannot be made, or tests that
are red without any.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mutants
from mutants import Mutant

RESULTS = mutants.ROOT / "docs" / "results" / "mutations.json"
LEAST = 0.95


def main(words: list[str]) -> int:
    """Returns the exit code."""
    try:
        return _judged(mutants.read(), words)
    except mutants.MutantError as error:
        print(error, file=sys.stderr)
        return 2


def _judged(every: list[Mutant], words: list[str]) -> int:
    for mutant in every:
        mutant.source()
    chosen = [mutant for mutant in every if all(word in mutant.name for word in words)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        members = sorted({mutant.member for mutant in chosen})
        for member, red in zip(members, pool.map(mutants.unit_tests, members), strict=True):
            if red:
                raise mutants.MutantError(f"{member}: {red} fails without any mutant")
        rows = []
        for mutant, by in zip(chosen, pool.map(mutants.judge, chosen), strict=True):
            rows.append(_row(mutant, by))
            print(f"{'caught  ' if by else 'SURVIVED'} {mutant.name}  {by}", flush=True)
    told = report(rows)
    if not words:
        RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    print(f"{told['caught']} of {told['total']} caught")
    return int(told["rate"] < LEAST)


def _row(mutant: Mutant, by: str) -> dict[str, Any]:
    file = str((mutant.package / mutant.file).relative_to(mutants.ROOT))
    return {"name": mutant.name, "file": file, "breaks": mutant.breaks, "caught": bool(by), "by": by}


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """As docs/results/mutations.json holds it."""
    caught = sum(row["caught"] for row in rows)
    return {"mutations": rows, "caught": caught, "total": len(rows), "rate": round(caught / max(1, len(rows)), 4)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
