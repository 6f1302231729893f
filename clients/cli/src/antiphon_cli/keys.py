"""Owns `keys`: provider keys in Vault by slot, version and process, and the orders about them."""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from google.protobuf.json_format import MessageToDict

from antiphon.router.v1 import health_pb2, keys_pb2
from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed, one_line
from antiphon_cli.listing import LIST_TIMEOUT_S
from antiphon_cli.remedies import explain
from antiphon_cli.screen import Screen
from antiphon_cli.settings import Settings
from antiphon_cli.tables import ago, table, word
from antiphon_client import AntiphonError, InvalidRequest, NotFound, RouterUnreachable
from antiphon_client.key_admin import KeyAdminClient

HEADER: Final = (
    "SLOT", "VERSION", "STAGE", "SHARE", "SINCE", "FINGERPRINT", "RUNNING", "CALLS", "LAST SUCCESS", "CONFIRMED",
    "HEALTH",
)  # fmt: skip
LOOK_AGAIN_S: Final = 0.2
WAIT_S: Final = 600.0
_OVER: Final = frozenset({keys_pb2.KEY_STATUS_BAD, keys_pb2.KEY_STATUS_REVOKED})


async def keys(arguments: argparse.Namespace, settings: Settings) -> None:
    """List, or carry out an order. Raises CommandFailed."""
    address = arguments.keys_address or settings.keys_address
    try:
        async with KeyAdminClient(address, timeout_s=LIST_TIMEOUT_S, tls=settings.tls) as admin:
            if arguments.keys_command in (None, "status"):
                found = await admin.versions(getattr(arguments, "slot", ""))
                _show(found, as_json=arguments.json)
            else:
                await _order(admin, arguments)
    except AntiphonError as failure:
        raise _explained(failure) from None


def _explained(failure: AntiphonError) -> CommandFailed:
    if isinstance(failure, RouterUnreachable):
        remedy = (
            "`make up` starts one when there is a key to keep; or start `python -m antiphon_keys`, or tell where it is "
            "with --keys-address or ANTIPHON_KEYS_ADDRESS"
        )
        return CommandFailed(ExitCode.ROUTER_UNREACHABLE, f"no coordinator of keys: {failure.message}", remedy)
    if isinstance(failure, NotFound):
        return CommandFailed(ExitCode.NOT_FOUND, failure.message, "`antiphon keys` lists what there is")
    if isinstance(failure, InvalidRequest):
        return CommandFailed(ExitCode.REFUSED, failure.message)
    return explain(failure)


async def _order(admin: KeyAdminClient, arguments: argparse.Namespace) -> None:
    number = arguments.number or 0
    if arguments.keys_command == "rotate":
        ordered = await admin.rotate(arguments.slot, number)
    elif arguments.keys_command == "promote":
        ordered = await admin.promote(arguments.slot, number)
    else:
        ordered = await admin.revoke(arguments.slot, number, force=arguments.force)
    if arguments.wait:
        ordered = await _until_done(admin, ordered, arguments)
    screen = Screen()
    if arguments.json:
        screen.json(MessageToDict(ordered, preserving_proto_field_name=True))
        return
    share = f", {100 * ordered.share:g} % of the calls" if ordered.status == keys_pb2.KEY_STATUS_CANDIDATE else ""
    screen.text(f"{one_line(ordered.slot)} version {ordered.version}: {_stage(ordered.status)}{share}\n")


async def _until_done(
    admin: KeyAdminClient, ordered: keys_pb2.KeyVersion, arguments: argparse.Namespace
) -> keys_pb2.KeyVersion:
    limit_s = arguments.timeout or WAIT_S
    wanted = keys_pb2.KEY_STATUS_REVOKED if arguments.keys_command == "revoke" else keys_pb2.KEY_STATUS_CURRENT
    shown = ordered
    try:
        async with asyncio.timeout(limit_s):
            while True:
                found = await admin.versions(ordered.slot)
                shown = next((each for each in found.versions if each.version == ordered.version), shown)
                if shown.status in _OVER and wanted not in _OVER:
                    why = next((one.message for one in found.problems if one.version == ordered.version), "")
                    what = f"{ordered.slot} version {ordered.version} is {_stage(shown.status)}"
                    remedy = "write a good key as a new version; calls go on with the one in service"
                    raise CommandFailed(ExitCode.NOT_AUTHORISED, why or what, "" if "; " in why else remedy)
                # Of a revoked version only running calls are left.
                if shown.status == wanted and all(use.status == wanted for use in shown.uses):
                    return shown
                await asyncio.sleep(LOOK_AGAIN_S)
    except TimeoutError:
        what = f"{ordered.slot} version {ordered.version} is still {_stage(shown.status)} after {limit_s:g} s"
        raise CommandFailed(ExitCode.TIMEOUT, what, "it goes on; `antiphon keys` shows how far it is") from None


def _show(found: keys_pb2.ListKeyVersionsResponse, *, as_json: bool) -> None:
    screen = Screen()
    if as_json:
        screen.json({"versions": [], **MessageToDict(found, preserving_proto_field_name=True)})
        return
    now = datetime.now(UTC)
    for problem in found.problems:
        since = ago(problem.since_time, now)
        screen.text(f"ALARM {one_line(problem.rule)}, since {since}: {one_line(problem.message)}\n")
    rows: list[Sequence[str]] = []
    for version in found.versions:
        rows.append(_version(version, now))
        rows.extend(_uses(version, now))
    screen.text(table(HEADER, rows) if rows else "no keys in Vault\n")


def _version(version: keys_pb2.KeyVersion, now: datetime) -> tuple[str, ...]:
    in_flight = sum(use.in_flight for use in version.uses)
    return (
        version.slot,
        str(version.version),
        _stage(version.status),
        f"{100 * version.share:g} %" if version.share else "-",
        ago(version.status_time, now) if version.HasField("status_time") else "-",
        version.fingerprint or "-",
        str(in_flight) if in_flight else "-",
        str(sum(use.calls for use in version.uses)) if version.uses else "-",
        "-",
        "-",
        "-",
    )


def _uses(version: keys_pb2.KeyVersion, now: datetime) -> Iterator[tuple[str, ...]]:
    for use in version.uses:
        success = ago(use.last_success_time, now) if use.HasField("last_success_time") else ""
        checked = "checked" if use.HasField("check_time") else "not yet"
        age_s = use.staleness.seconds + use.staleness.nanos / 1e9
        yield (
            f"  {use.backend or '-'} {use.instance}",
            str(use.version),
            _stage(use.status),
            "-",
            ago(use.load_time, now),
            "-" if use.fingerprint == version.fingerprint else use.fingerprint,
            str(use.in_flight) if use.in_flight else "-",
            str(use.calls),
            success or checked,
            f"{age_s:.0f} s ago",
            _health(use),
        )


def _health(use: keys_pb2.KeyUse) -> str:
    bad = [target for target in use.targets if target.state != health_pb2.HEALTH_STATE_HEALTHY]
    return ", ".join(
        f"{word(health_pb2.HealthState, target.state)} ({word(health_pb2.HealthReason, target.reason)})"
        + (f" for {target.id.split('/', 3)[-1]}" if target.scope == health_pb2.SCOPE_KEY_MODEL else "")
        for target in bad
    ) or ("healthy" if use.targets else "-")


def _stage(status: int) -> str:
    return word(keys_pb2.KeyStatus, status) or "waiting"
