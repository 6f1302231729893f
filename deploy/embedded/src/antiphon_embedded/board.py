"""Owns what the launcher shows: a line per service, updated in place on a terminal, printed per change elsewhere."""

import shutil
import time
from collections.abc import Iterable
from typing import Final, Protocol, TextIO

from antiphon_embedded.supervisor import State, Status

_COLOURS: Final = {
    State.SERVING: "\x1b[32m",
    State.NOT_SERVING: "\x1b[33m",
    State.RESTARTING: "\x1b[31m",
    State.STARTING: "\x1b[36m",
}
_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"


class Board(Protocol):
    """Where people read how the suite is."""

    def show(self, status: Status) -> None:
        """A service has a new status."""

    def say(self, *lines: str) -> None:
        """Something to read, once."""


def make_board(names: Iterable[str], out: TextIO, *, live: bool, colour: bool) -> Board:
    """`live` needs a terminal."""
    return LiveBoard(list(names), out, colour) if live else LineBoard(list(names), out)


def is_terminal(out: TextIO, term: str) -> bool:
    """Whether lines of `out` can be updated in place."""
    return out.isatty() and term not in ("", "dumb")


class LineBoard:
    """One line per change, for logs and pipes."""

    def __init__(self, names: list[str], out: TextIO) -> None:
        self._width = _width(names)
        self._out = out
        self._began = time.monotonic()

    def show(self, status: Status) -> None:
        """Print the status with the seconds since the start."""
        print(f"{time.monotonic() - self._began:6.1f} s  {_row(status, self._width)}", file=self._out, flush=True)

    def say(self, *lines: str) -> None:
        """Print the lines."""
        if not lines:
            return
        print(*lines, sep="\n", file=self._out, flush=True)


class LiveBoard:
    """A block of lines at the bottom of a terminal. What is said goes above it."""

    def __init__(self, names: list[str], out: TextIO, colour: bool) -> None:
        self._width = _width(names)
        self._rows = {name: Status(name) for name in names}
        self._out = out
        self._colour = colour
        self._drawn = 0

    def show(self, status: Status) -> None:
        """Update the line of this service."""
        self._rows[status.name] = status
        self._draw()

    def say(self, *lines: str) -> None:
        """Print above the block."""
        if not lines:
            return
        self._erase()
        print(*lines, sep="\n", file=self._out)
        self._draw()

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        self._erase()
        for status in self._rows.values():
            row = _row(status, self._width)
            colour = _COLOURS.get(status.state, _DIM) if self._colour else ""
            # A line that wraps would be two to move over.
            self._out.write(f"{colour}{row[: _columns() - 1]}{_PLAIN if colour else ''}\n")
        self._drawn = len(self._rows)
        self._out.flush()


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _width(names: list[str]) -> int:
    return max(map(len, names), default=0)


def _row(status: Status, width: int) -> str:
    row = f"{status.name:<{width}}  {status.state.value:<11}  {status.address:<21}  {status.detail}"
    return row.rstrip()
