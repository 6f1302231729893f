"""Owns `status`: for every target whether it is in or out, why, since when, and when it is next tried."""

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from google.protobuf.json_format import MessageToDict

from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_cli.failure import one_line
from antiphon_cli.listing import LIST_TIMEOUT_S
from antiphon_cli.remedies import explain
from antiphon_cli.screen import Screen
from antiphon_cli.settings import Settings
from antiphon_cli.tables import ago, table, word
from antiphon_client import AdminClient, RouterUnreachable

HEADER: Final = (
    "BACKEND", "TARGET", "STATE", "REASON", "SINCE", "NEXT TRY", "SHARE", "RUNNING", "FIRST CONTENT", "LAST ERROR",
)  # fmt: skip
TAKES_CALLS: Final = frozenset(
    {
        health_pb2.HEALTH_STATE_HEALTHY,
        health_pb2.HEALTH_STATE_DEGRADED,
        health_pb2.HEALTH_STATE_SLOW_START,
        health_pb2.HEALTH_STATE_PANIC,
    }
)


async def status(arguments: argparse.Namespace, settings: Settings) -> None:
    """Every target with its state and the reason for it. Raises CommandFailed, AntiphonError."""
    address = arguments.admin_address or settings.admin_address
    try:
        async with AdminClient(address, timeout_s=LIST_TIMEOUT_S, tls=settings.tls) as admin:
            found = await admin.status()
    except RouterUnreachable as failure:
        raise explain(failure, admin=True) from None
    screen = Screen()
    if arguments.json:
        whole = MessageToDict(found, preserving_proto_field_name=True)
        screen.json({"backends": [], **whole})
        return
    now = datetime.now(UTC)
    rows: list[Sequence[str]] = []
    for backend in found.backends:
        rows.append((backend.id, backend.provider, *columns(backend.summary, now)))
        for target in backend.targets:
            rows.append((f"  {word(health_pb2.Scope, target.scope)}", target.id, *columns(target, now)))
    for line in (*_routes(found.routes, now), *_fleet(found, now)):
        screen.text(line + "\n")
    screen.text(table(HEADER, rows))


def columns(target: health_pb2.Target, now: datetime) -> tuple[str, ...]:
    """What there is to say about `target`, from STATE on."""
    return (
        word(health_pb2.HealthState, target.state) or "not seen yet",
        _reason(target),
        # What nothing has ever happened to is as it was when the router started.
        ago(target.since_time, now) if target.HasField("since_time") else "the start",
        _next_try(target, now),
        f"{100 * target.share:.0f} %" if target.HasField("share") else "-",
        str(target.in_flight) if target.in_flight else "-",
        _time(target),
        _last_error(target),
    )


def _reason(target: health_pb2.Target) -> str:
    reason = word(health_pb2.HealthReason, target.reason)
    if target.state == health_pb2.HEALTH_STATE_HEALTHY or not reason:
        return "-"
    return f"{reason} ({target.rule})" if target.rule else reason


def _next_try(target: health_pb2.Target, now: datetime) -> str:
    if target.state in TAKES_CALLS:
        return "-"
    if target.state == health_pb2.HEALTH_STATE_HALF_OPEN:
        return "under way"
    if not target.HasField("next_try_time"):
        return "not by itself" if target.state else "-"
    due = (now - target.next_try_time.ToDatetime(UTC)).total_seconds() >= 0
    return "with the next call" if due else ago(target.next_try_time, now)


def _time(target: health_pb2.Target) -> str:
    if not target.HasField("time_to_first_content"):
        return "-"
    time = target.time_to_first_content
    return f"{time.seconds + time.nanos / 1e9:.3g} s"


def _last_error(target: health_pb2.Target) -> str:
    """Why it is not well; of a target that is, the last error is history, told by --json."""
    if target.state == health_pb2.HEALTH_STATE_HEALTHY:
        return "-"
    return textwrap.shorten(target.last_error.message, 120, placeholder=" ...") or "-"


def _routes(routes: router_pb2.RoutesInUse, now: datetime) -> Iterator[str]:
    if routes.version:
        yield f"routes {one_line(routes.version)}, in use since {ago(routes.load_time, now)}"
    if routes.problems:
        yield f"the routes file is NOT in use as it is now; looked at {ago(routes.problem_time, now)}:"
        yield from (f"  {one_line(problem)}" for problem in routes.problems)


def _fleet(found: router_pb2.ListBackendsResponse, now: datetime) -> Iterator[str]:
    if found.HasField("fleet"):
        link = found.fleet
        how = f"shared, {link.facts} facts of other routers" if link.connected else "LOST, this router decides alone"
        yield f"fleet {one_line(link.store)}: {how}, since {ago(link.since_time, now)}"
