"""Owns the last step before a service runs: tie its life to that of the launcher, then become the service.

Run as a script by `process.spawn`, because code between fork and exec is not safe in a process that has threads.
Forbids itself: any import beyond the standard library; every service pays for it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """`argv`: the launcher's process id, then the command. Does not return."""
    launcher, command = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The launcher may have died before the line above; then no signal will come any more.
    if os.getppid() != launcher:
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  # replaces this process by the service, no shell is meant


if __name__ == "__main__":
    main(sys.argv[1:])
