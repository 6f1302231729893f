"""Owns the checks of limits and of the fleet's store.

Forbids itself: showing a URL, in which people write passwords.
"""

import re
from typing import Final

from antiphon.config.v1 import suite_pb2
from antiphon_kit.config_scalars import shown
from antiphon_kit.config_yaml import Problem
from antiphon_kit.secrets import REFERENCE_FORMS, is_reference
from antiphon_kit.settings import is_address

WORST_PRIORITY: Final = 9

_CALLER_BOUNDS: Final = ("max_in_flight", "requests_per_minute", "tokens_per_minute")
_MAX_CALLER_CHARS: Final = 128
_REDIS: Final = re.compile(r"rediss?://(?P<address>[^/@?#]+)(/[0-9]{1,5})?")
_FLEET_NAME: Final = re.compile(r"[a-z0-9-]{1,63}")


def check_limits(limits: suite_pb2.Limits, problem: Problem) -> None:
    """Note every mistake in `limits`."""
    for name in ("max_in_flight", "max_bytes_in_flight"):
        if (value := getattr(limits, name)) < 0:
            problem(f"limits.{name}", f"{value} is below 0; use 0 for the default")
    if limits.default_caller.caller:
        problem("limits.default_caller.caller", "is for everyone else; delete it, or move it to callers")
    _check_caller(limits.default_caller, "limits.default_caller", problem)
    for index, limit in enumerate(limits.callers):
        path = f"limits.callers[{index}]"
        if not 0 < len(limit.caller) <= _MAX_CALLER_CHARS or not limit.caller.isprintable():
            what = f"{shown(limit.caller)} names no caller; use 1 to {_MAX_CALLER_CHARS} printable characters"
            problem(f"{path}.caller", what)
        _check_caller(limit, path, problem)


def _check_caller(limit: suite_pb2.CallerLimit, path: str, problem: Problem) -> None:
    for name in _CALLER_BOUNDS:
        if (value := getattr(limit, name)) < 0:
            problem(f"{path}.{name}", f"{value} is below 0; use 0 for no bound")
    if not 0 <= limit.best_priority <= WORST_PRIORITY:
        what = f"{limit.best_priority} is no priority; use 0 (first) to {WORST_PRIORITY} (last)"
        problem(f"{path}.best_priority", what)


def check_fleet(fleet: suite_pb2.Fleet, problem: Problem) -> None:
    """Note every mistake in `fleet`."""
    match = _REDIS.fullmatch(fleet.redis_url)
    if match is None or not is_address(match["address"]) or match["address"].endswith(":0"):
        what = "not a plain URL (not shown); use redis://host:port/number or rediss://, and `password` for a password"
        problem("fleet.redis_url", what)
    if not is_reference(fleet.password):
        problem("fleet.password", f"not a reference (not shown); use {REFERENCE_FORMS}, never the password itself")
    if fleet.name and not _FLEET_NAME.fullmatch(fleet.name):
        problem("fleet.name", f"{shown(fleet.name)} is no name; use 1 to 63 of a-z, 0-9 and -")
