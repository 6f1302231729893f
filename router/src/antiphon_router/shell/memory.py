"""Owns what a router's process asks of the allocator of the C library."""

import contextlib
import ctypes
import sys
from typing import Final

_M_ARENA_MAX: Final = -8


def one_heap() -> None:
    """Have all threads share one heap. To be called before there is another thread; only glibc has more than one.

    What one thread of gRPC allocates another one frees: with an arena for each the heap was 1.2 MB larger under load.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
