"""Owns what a process that holds keys forbids the system to do with its memory."""

import ctypes
import sys
from contextlib import suppress
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid_dumps() -> None:
    """No core files, and no look into this process for others of its user. Does nothing where there is no such thing.

    Also takes /proc/<pid>/environ and mem away from processes without CAP_SYS_PTRACE, debuggers among them.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
