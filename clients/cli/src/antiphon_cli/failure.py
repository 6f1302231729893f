"""Owns what a failed command says: one line `antiphon: what; remedy`, or one JSON object, and its exit code.

Forbids itself: imports of the client, so that a wrong command line is told quickly.
"""

import json
import sys
from typing import Any, TextIO

from antiphon_cli.exit_codes import ExitCode


class CommandFailed(Exception):
    """The command ends here. `facts` are further members of the JSON form."""

    def __init__(self, exit_code: ExitCode, what: str, remedy: str = "", **facts: Any) -> None:
        super().__init__(what)
        self.exit_code = exit_code
        self.what = one_line(what).rstrip(".; ")
        self.remedy = one_line(remedy)
        self.facts = facts

    @property
    def line(self) -> str:
        return f"antiphon: {self.what}; {self.remedy}" if self.remedy else f"antiphon: {self.what}"

    def report(self, *, as_json: bool, to: TextIO | None = None) -> None:
        """Write it to stderr."""
        if as_json:
            members = {"exit_code": self.exit_code, "message": self.what, "remedy": self.remedy, **self.facts}
            text = json.dumps({"error": {name: value for name, value in members.items() if value not in ("", None)}})
        else:
            text = self.line
        print(text, file=to or sys.stderr, flush=True)


def one_line(text: str) -> str:
    """Text of elsewhere, without line breaks and without what a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
