"""Owns the memory of services that do nothing: started for real, settled, read from the kernel."""

import asyncio
from typing import Final

from antiphon_bench.processes import BenchError, rss_mb

_EVERY_S: Final = 0.5
_SAME: Final = 5
_LIMIT_S: Final = 20.0
_TOLERANCE: Final = 0.002


async def settled_rss_mb(pid: int) -> float:
    """Resident memory in MB once it has stayed the same for some readings. Raises BenchError if it never does."""
    last, same = rss_mb(pid), 0
    deadline = asyncio.get_running_loop().time() + _LIMIT_S
    while same < _SAME:
        if asyncio.get_running_loop().time() > deadline:
            raise BenchError(f"the memory of an idle service still moves after {_LIMIT_S:g} s")
        await asyncio.sleep(_EVERY_S)
        now = rss_mb(pid)
        if now <= 0:
            raise BenchError("a service ended while its memory was read")
        same = same + 1 if abs(now - last) <= last * _TOLERANCE else 0
        last = now
    return last
