"""Owns how the demo reads: headings, facts, and a model's words as they come, wrapped to the page."""

import re
from collections.abc import Iterable
from typing import Final, TextIO

WIDTH: Final = 88
INDENT: Final = "  "


class Narrator:
    """Writes to one stream; `colour` needs a terminal."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._column = 0

    def heading(self, text: str) -> None:
        """A new chapter."""
        self._line(f"\n{self._styled(text, '1')}\n")

    def fact(self, text: str) -> None:
        """One indented line."""
        self._line(f"{INDENT}{text}".rstrip())

    def question(self, text: str) -> None:
        """What the model is asked."""
        self._line(f"{INDENT}{self._styled('> ' + text, '36')}\n")

    def good(self, text: str) -> None:
        """Something that went as it should."""
        self._line(f"{INDENT}{self._styled(text, '32')}")

    def table(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Rows with aligned columns."""
        listed = list(rows)
        widths = [max(len(row[column]) for row in listed) for column in range(len(listed[0]))] if listed else []
        for row in listed:
            self.fact("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def piece(self, text: str) -> None:
        """The next words of an answer, at once; lines are broken between words where they get too long."""
        for word in re.findall(r"\n|[^\S\n]*[^\s]+|[^\S\n]+", text):
            if word == "\n":
                self.end_of_answer()
                continue
            starts_a_word = word[:1].isspace()
            if self._column and starts_a_word and self._column + len(word) > WIDTH:
                self.end_of_answer()
            if not self._column:
                self._out.write(INDENT)
                self._column = len(INDENT)
                word = word.lstrip()
            self._out.write(word)
            self._column += len(word)
        self._out.flush()

    def end_of_answer(self) -> None:
        """Close the line that the answer is on."""
        if self._column:
            self._column = 0
            self._line("")

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text
