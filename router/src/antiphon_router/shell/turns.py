"""Owns what is logged when a target comes in or goes out."""

import logging

from antiphon_router.core.health import TAKES_CALLS, Health
from antiphon_router.core.values import TargetKey

log = logging.getLogger(__name__)


def log_turn(key: TargetKey, health: Health) -> None:
    """`health` is the new one of `key`: a warning where it is out."""
    fields = {"scope": key.scope, "target": key.id, "state": health.state, "reason": health.cause, "rule": health.rule}
    level = logging.INFO if health.state in TAKES_CALLS else logging.WARNING
    log.log(level, "health_changed", extra={name: str(value) for name, value in fields.items()})
