"""Owns how slots are shown: every version with its stage, and the processes that hold it.

Forbids itself: I/O.
"""

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.router.v1 import keys_pb2
from antiphon_keys.store import Stored
from antiphon_kit.key_ring import Problem
from antiphon_kit.key_versions import Stage

Reports = Mapping[str, keys_pb2.WatchKeyUseResponse]


def versions(stored: Stored, reports: Reports) -> list[keys_pb2.KeyVersion]:
    """Newest first."""
    uses = [use for told in reports.values() for use in told.uses if use.slot == stored.name]
    numbers = {*stored.alive, *(stored.document or {}), *(use.version for use in uses)}
    return [_version(stored, number, uses) for number in sorted(numbers, reverse=True)]


def only_held(known: Iterable[str], reports: Reports) -> list[str]:
    """Slots that processes hold and the store was not asked about: it cannot be reached, or denies it."""
    held = {use.slot for told in reports.values() for use in told.uses if "/" in use.slot}
    return sorted(held - set(known))


def _version(stored: Stored, number: int, every: Iterable[keys_pb2.KeyUse]) -> keys_pb2.KeyVersion:
    uses = sorted((use for use in every if use.version == number), key=lambda use: (use.backend, use.instance))
    shown = keys_pb2.KeyVersion(
        slot=stored.name,
        version=number,
        fingerprint=next((use.fingerprint for use in uses if use.fingerprint), ""),
        uses=uses,
        status_time=moment(stored.written_s.get(number, 0.0)),
    )
    row = (stored.document or {}).get(number)
    if row is not None:
        shown.status = row.stage.value  # type: ignore[assignment]
        shown.share = row.share
        if row.stage is Stage.CURRENT:  # what candidates leave
            rows = (stored.document or {}).values()
            shown.share = 1.0 - sum(other.share for other in rows if other.stage is Stage.CANDIDATE)
        if row.since_s:
            shown.status_time.MergeFrom(moment(row.since_s) or Timestamp())
    elif stored.document is None and uses:  # nobody coordinates it: what the processes made of it
        shown.status = uses[0].status
    return shown


def problems(own: Iterable[Problem]) -> Iterator[keys_pb2.KeyProblem]:
    """The coordinator's own."""
    for problem in own:
        yield keys_pb2.KeyProblem(
            slot=problem.slot,
            version=problem.version,
            rule=problem.rule,
            message=problem.message,
            since_time=moment(problem.since_s),
        )


def moment(wall_s: float) -> Timestamp | None:
    """None for never."""
    if not wall_s:
        return None
    stamp = Timestamp()
    stamp.FromNanoseconds(int(wall_s * 1e9))
    return stamp
