"""Owns the reading of headers that say when to try again and what an account's limits are.

Forbids itself: reading the clock. `now_s` is seconds since the epoch, from the caller. Header names are lower case.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from antiphon.llm.v1 import error_pb2

MAX_DELAY_S: Final = 3600.0
_DURATION: Final = re.compile(
    r"(?:(?P<d>[\d.]+)d)?(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m(?!s))?(?:(?P<s>[\d.]+)s)?(?:(?P<ms>[\d.]+)ms)?"
)
_UNIT_S: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# A bare number this large is a point in time: 2001-09-09 in seconds, and in milliseconds.
_EPOCH_S: Final = 1e9
_EPOCH_MS: Final = 1e12

_OPENAI: Final = re.compile(r"x-ratelimit-(limit|remaining|reset)-(requests|tokens|input-tokens|output-tokens)")
_ANTHROPIC: Final = re.compile(r"anthropic-ratelimit-([a-z-]+?)-(limit|remaining|reset)")


def retry_delay_s(headers: Mapping[str, str], now_s: float, *, body_hint: str = "") -> float | None:
    """How long to wait, 0 to 1 h; None if nothing tells. The longest of what is told wins.

    Resets of single limits count only for limits that are used up, or if nothing else tells.
    """
    told = [
        _milliseconds(headers.get("retry-after-ms", "")),
        delay_s(headers.get("retry-after", ""), now_s),
        delay_s(body_hint, now_s),
    ]
    limits = rate_limits(headers, now_s)
    told += [_reset_s(limit) for limit in limits if limit.HasField("remaining") and limit.remaining == 0]
    known = [value for value in told if value is not None]
    if not known:
        resets = [*(_reset_s(limit) for limit in limits), delay_s(headers.get("x-ratelimit-reset", ""), now_s)]
        known = [value for value in resets if value is not None]
    return min(max(known), MAX_DELAY_S) if known else None


def rate_limits(headers: Mapping[str, str], now_s: float) -> list[error_pb2.RateLimit]:
    """The limits of the account that `headers` tell, in order of appearance."""
    limits: dict[str, error_pb2.RateLimit] = {}
    for header, value in headers.items():
        if "ratelimit" not in header:
            continue
        if match := _OPENAI.fullmatch(header):
            what, name = match.groups()
        elif match := _ANTHROPIC.fullmatch(header):
            name, what = match.groups()
        else:
            continue
        name = name.replace("-", "_")
        limit = limits.setdefault(name, error_pb2.RateLimit(name=name))
        if what == "reset":
            if (delay := delay_s(value, now_s)) is not None:
                limit.reset_after.FromTimedelta(timedelta(seconds=min(delay, MAX_DELAY_S * 24 * 365)))
        elif value.isdecimal() and len(value) < 19:
            setattr(limit, what, int(value))
    return list(limits.values())


def _reset_s(limit: error_pb2.RateLimit) -> float | None:
    return limit.reset_after.ToTimedelta().total_seconds() if limit.HasField("reset_after") else None


def delay_s(value: str, now_s: float) -> float | None:
    """Seconds from now, >= 0: of "2", "0.5", an epoch, "6m0s", an HTTP date or RFC 3339. None if it is none of them."""
    value = value.strip()
    if not value:
        return None
    number = _number(value)
    if number is not None:
        return _from_number(number, now_s)
    if (match := _DURATION.fullmatch(value)) is not None:
        return _from_duration(match)
    moment = _moment(value)
    return None if moment is None else max(0.0, moment.timestamp() - now_s)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _from_number(number: float, now_s: float) -> float:
    if number >= _EPOCH_MS:
        number = number / 1000 - now_s
    elif number >= _EPOCH_S:
        number -= now_s
    return max(0.0, number)


def _milliseconds(value: str) -> float | None:
    number = _number(value.strip())
    return None if number is None else max(0.0, number / 1000)


def _from_duration(match: re.Match[str]) -> float | None:
    total = 0.0
    for unit, digits in match.groupdict().items():
        if digits is not None:
            if (number := _number(digits)) is None:
                return None
            total += number * _UNIT_S[unit]
    return total


def _moment(value: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(value)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
