"""Owns how lists are printed for people: columns, times from now on, words of enums."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from antiphon_cli.failure import one_line


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns; the last one is not padded."""
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    # Indentation of the first column is meant.
    indents = [len(row[0]) - len(row[0].lstrip(" ")) for row in (header, *rows)]
    for line, indent in zip(lines, indents, strict=True):
        line[0] = " " * indent + line[0]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(padded) + "\n"


def ago(moment: Timestamp, now: datetime) -> str:
    """`moment` as seen from `now`: "5 s ago", "in 2 h"."""
    seconds = round((now - moment.ToDatetime(UTC)).total_seconds())
    size = abs(seconds)
    if size < 120:
        text = f"{size} s"
    elif size < 7200:
        text = f"{size // 60} min"
    else:
        text = f"{size // 3600} h"
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def word(enum: Any, number: int) -> str:
    """Name of an enum value in lower case without its prefix; "" for unspecified."""
    if number == 0:
        return ""
    try:
        name: str = enum.Name(number)
    except ValueError:
        return f"state {number}"
    prefix = str(enum.Name(0)).removesuffix("UNSPECIFIED")
    return name.removeprefix(prefix).lower()
