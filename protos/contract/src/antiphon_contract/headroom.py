"""Owns the trailer in which a provider service tells a router how little is left of the vendor's rate limits.

Its value is "<left>;<seconds>": the least part that is left of any limit, 0 to 1, and until when it is full again.
"""

import math
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from antiphon.llm.v1 import error_pb2

ENOUGH: Final = 0.5
"""From this part on nothing is told, so that the usual answer carries nothing."""

RESET_S: Final = 60.0
"""Where a vendor does not say when a limit is full again: most of them are per minute."""

# What runs at once says nothing of the minute, and what counts by the month is spent at the operator's pace.
_COUNTED: Final = frozenset({"requests", "tokens", "input_tokens", "output_tokens"})
_VALUE: Final = re.compile(r"(0(?:\.\d{1,6})?|1(?:\.0{1,6})?);(\d{1,7})")


class Headroom(NamedTuple):
    """What is left of 1, and in how many seconds all of it is there again."""

    left: float
    full_in_s: float


def told(limits: Iterable[error_pb2.RateLimit], age_s: float) -> str:
    """The trailer's value for `limits` that the vendor told `age_s` ago; empty where enough is left.

    A limit fills up evenly, so a long answer does not tell at its end what was true at its begin.
    """
    least: Headroom | None = None
    for limit in limits:
        now = _now(limit, age_s)
        if now.left < ENOUGH and (least is None or now < least):
            least = now
    return "" if least is None else f"{least.left:.3f};{math.ceil(least.full_in_s)}"


def _now(limit: error_pb2.RateLimit, age_s: float) -> Headroom:
    if limit.name not in _COUNTED or limit.limit <= 0 or not limit.HasField("remaining"):
        return Headroom(1.0, 0.0)
    missing = 1.0 - min(1.0, max(0, limit.remaining) / limit.limit)
    reset = limit.reset_after
    reset_s = reset.seconds + reset.nanos / 1e9 if limit.HasField("reset_after") else RESET_S
    full_in_s = reset_s - max(0.0, age_s)
    return Headroom(1.0 - missing * full_in_s / reset_s, full_in_s) if full_in_s > 0 else Headroom(1.0, 0.0)


def read(value: str) -> Headroom | None:
    """What a trailer tells; None for a value that is none."""
    match = _VALUE.fullmatch(value)
    return None if match is None else Headroom(float(match[1]), float(match[2]))
