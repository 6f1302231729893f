"""Owns the whole review: what no parity file accounts for, over all providers."""

import drift
import ledger
import parity_file
from codecs_under_test import fixtures


def unreviewed() -> list[str]:
    """Every field of an SDK, path of the corpus and new member that nobody has reviewed, and reviews out of date."""
    found = []
    for file in parity_file.discover():
        found += drift.complaints(file)
        shown: dict[str, list[ledger.Entry]] = {}
        for one in fixtures(file.provider):
            shown.setdefault(one.answers, []).extend(ledger.entries(one))
        for section in file.responses:
            if section.corpus:
                entries = shown.get(section.corpus, [])
                found += ledger.complaints(file, section, entries)
                where = f"{file.provider} {section.name}"
                found += [f"{where}: no fixture shows {path}" for path in ledger.unshown(section, entries)]
    return found
