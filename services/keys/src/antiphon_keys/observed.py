"""Owns what the reports of the processes say about a slot.

Forbids itself: I/O and decisions.
"""

from collections.abc import Iterable, Mapping

from antiphon.router.v1 import health_pb2, keys_pb2
from antiphon_keys.rotation import Held, Seen
from antiphon_kit.key_versions import Stage


def seen(slot: str, alive: Iterable[int], reports: Mapping[str, keys_pb2.WatchKeyUseResponse]) -> Seen:
    """`reports`: by process. A process counts for a slot of which it holds a version."""
    processes = {}
    for process, told in reports.items():
        held = {use.version: _held(use) for use in told.uses if use.slot == slot}
        if held:
            processes[process] = held
    malformed = {
        problem.version
        for told in reports.values()
        for problem in told.problems
        if (problem.slot, problem.rule) == (slot, "malformed") and problem.version
    }
    return Seen(frozenset(alive), processes, frozenset(malformed))


def _held(use: keys_pb2.KeyUse) -> Held:
    refused = any(
        target.scope == health_pb2.SCOPE_KEY and target.state == health_pb2.HEALTH_STATE_DISABLED
        for target in use.targets
    )
    return Held(
        Stage(use.status),
        use.in_flight,
        use.calls,
        use.successes,
        checked=use.HasField("check_time"),
        refused=refused,
    )


def problems(
    reports: Mapping[str, keys_pb2.WatchKeyUseResponse], own: Iterable[keys_pb2.KeyProblem]
) -> list[keys_pb2.KeyProblem]:
    """What anybody tells, once each: the oldest of those with slot, rule and version in common."""
    found: dict[tuple[str, str, int], keys_pb2.KeyProblem] = {}
    every = [problem for told in reports.values() for problem in told.problems]
    for problem in (*own, *every):
        key = (problem.slot, problem.rule, problem.version)
        known = found.get(key)
        if known is None or problem.since_time.ToNanoseconds() < known.since_time.ToNanoseconds():
            found[key] = problem
    return [found[key] for key in sorted(found)]
