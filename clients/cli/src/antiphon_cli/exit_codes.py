"""Owns the exit codes of the command. They are a promise: numbers are never reused.

Forbids itself: imports of the client, so that `--help` stays quick.
"""

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """What a shell sees. TEXT has the words for each."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    ROUTER_UNREACHABLE = 3
    NOT_AUTHORISED = 4
    NOT_FOUND = 5
    REFUSED = 6
    LIMITED = 7
    PROVIDER_FAILED = 8
    CUT = 9
    TIMEOUT = 10
    CONFIGURATION = 78
    INTERRUPTED = 130
    BROKEN_PIPE = 141


TEXT: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "done",
    ExitCode.INTERNAL: "a fault of the command or the gateway",
    ExitCode.USAGE: "wrong command line",
    ExitCode.ROUTER_UNREACHABLE: "no connection to the router",
    ExitCode.NOT_AUTHORISED: "caller or provider key refused",
    ExitCode.NOT_FOUND: "unknown provider or model",
    ExitCode.REFUSED: "request refused: empty, too long, too large, not UTF-8, unsupported, blocked",
    ExitCode.LIMITED: "rate or quota limit",
    ExitCode.PROVIDER_FAILED: "the provider failed, or no provider is healthy",
    ExitCode.CUT: "the answer was cut; what came was printed",
    ExitCode.TIMEOUT: "time limit passed",
    ExitCode.CONFIGURATION: "wrong setting in the environment or .env, or a wrong routes file",
    ExitCode.INTERRUPTED: "Ctrl-C; the answer was cancelled at the provider",
    ExitCode.BROKEN_PIPE: "the reader of the output went away",
}


def table() -> str:
    """The codes for `--help`."""
    return "\n".join(f"  {code.value:>3}  {text}" for code, text in TEXT.items())
