"""Owns how a target is shown to operators: its state, why, since when, when it is next tried."""

import time

from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.router.v1 import health_pb2
from antiphon_kit.recorder import set_duration
from antiphon_router.core import quota
from antiphon_router.core.balance import FORGOTTEN_AFTER_S
from antiphon_router.core.values import TargetKey
from antiphon_router.shell.roster import Roster


def shown(key: TargetKey, roster: Roster) -> health_pb2.Target:
    """The target `key` as of now."""
    health = roster.health_of(key)
    now, wall = roster.clock(), time.time()
    target = health_pb2.Target(
        scope=f"SCOPE_{key.scope}",
        id=key.id,
        state=f"HEALTH_STATE_{health.state}",
        reason=f"HEALTH_REASON_{health.cause}",
        rule=health.rule,
    )
    if health.since:
        target.since_time.CopyFrom(moment(wall + health.since - now))
    if health.next_try is not None:
        target.next_try_time.CopyFrom(moment(wall + health.next_try - now))
    share = health.share(now)
    if (told := roster.fleet.quotas.get(key)) is not None:
        share *= quota.headroom(told, now)
    if share < 1.0:
        target.share = share
    if (last := roster.last_errors.get(key)) is not None:
        target.last_error.CopyFrom(last.error)
        target.last_error.native_body = b""
        target.last_error_time.CopyFrom(moment(wall + last.at - now))
    if (load := roster.fleet.loads.get(key)) is not None:
        target.in_flight = load.in_flight
        if load.first_content_s is not None and now - load.updated <= FORGOTTEN_AFTER_S:
            set_duration(target.time_to_first_content, load.first_content_s)
    return target


def moment(wall_s: float) -> Timestamp:
    """Unix seconds as a timestamp."""
    return Timestamp(seconds=int(wall_s), nanos=int(wall_s % 1 * 1e9))
