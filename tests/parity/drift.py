"""Owns the comparison of a parity file with the types of the SDK that is installed."""

import parity_file
import sdk_fields


def complaints(file: parity_file.ParityFile) -> list[str]:
    """Each field that only one of the two knows."""
    found = []
    for section in file.sections.values():
        told = told_by_the_sdk(section)
        own = section.fields if not section.like else {}
        found += [
            f"{file.provider} {section.name}: {path} is new in the SDK" for path in sorted(told - section.fields.keys())
        ]
        found += [f"{file.provider} {section.name}: {path} is gone from the SDK" for path in sorted(own.keys() - told)]
        both = sorted(section.beyond.keys() & told)
        found += [f"{file.provider} {section.name}: {path} is beyond the SDK no more" for path in both]
    return found


def told_by_the_sdk(section: parity_file.Section) -> frozenset[str]:
    """Every path of the section's types."""
    return frozenset().union(*(sdk_fields.paths(sdk_fields.named(name)) for name in section.of))
