"""Owns `providers`, `models` and `status`: fetch, shape, print as a table or as JSON."""

import argparse
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.llm.v1 import models_pb2
from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed, one_line
from antiphon_cli.remedies import explain
from antiphon_cli.screen import Screen
from antiphon_cli.settings import Settings
from antiphon_client import AdminClient, AsyncClient, RouterUnreachable

_LIST_TIMEOUT_S = 15.0


async def models(arguments: argparse.Namespace, settings: Settings) -> None:
    """Raises AntiphonError; CommandFailed (5) for a provider without models."""
    found = await _models(arguments, settings, arguments.provider)
    if arguments.provider and not found:
        known = sorted({model.provider for model in await _models(arguments, settings, "") if model.provider})
        what = f"no models of provider {arguments.provider!r}; known providers: {', '.join(known) or 'none'}"
        raise CommandFailed(ExitCode.NOT_FOUND, what, "see `antiphon providers`", reason="MODEL_NOT_FOUND")
    screen = Screen()
    if arguments.json:
        screen.json({"models": [_dict(model) for model in found]})
        return
    rows = [
        (
            model.id,
            model.provider,
            model.native_id,
            str(model.max_input_tokens) if model.HasField("max_input_tokens") else "-",
            ", ".join(model.aliases) or "-",
        )
        for model in found
    ]
    screen.text(table(("MODEL", "PROVIDER", "NATIVE ID", "INPUT TOKENS", "ALIASES"), rows))


async def providers(arguments: argparse.Namespace, settings: Settings) -> None:
    """Whose models the router offers; how they are only if its administration can be reached. Raises AntiphonError."""
    found = await _models(arguments, settings, "")
    try:
        backends = await _backends(arguments, settings)
    except RouterUnreachable:
        backends = []
    # A route over several providers belongs to none.
    names = sorted({model.provider for model in found if model.provider} | {backend.provider for backend in backends})
    listed = [_provider(name, found, backends) for name in names]
    screen = Screen()
    if arguments.json:
        screen.json({"providers": listed})
        return
    rows = [
        (
            entry["provider"],
            str(entry["models"]),
            ", ".join(f"{backend['id']} {_with_reason(backend)}" for backend in entry["backends"]) or "-",
        )
        for entry in listed
    ]
    screen.text(table(("PROVIDER", "MODELS", "BACKENDS"), rows))


async def status(arguments: argparse.Namespace, settings: Settings) -> None:
    """Every target with its state and the reason for it. Raises CommandFailed, AntiphonError."""
    try:
        backends = await _backends(arguments, settings)
    except RouterUnreachable as failure:
        raise explain(failure, admin=True) from None
    screen = Screen()
    if arguments.json:
        screen.json({"backends": [_dict(backend) for backend in backends]})
        return
    now = datetime.now(UTC)
    rows: list[Sequence[str]] = []
    for backend in backends:
        rows.append((backend.id, backend.provider, *_columns(backend.summary, now)))
        for target in backend.targets:
            rows.append((f"  {_word(health_pb2.Scope, target.scope)}", target.id, *_columns(target, now)))
    screen.text(table(("BACKEND", "TARGET", "STATE", "REASON", "SINCE", "NEXT TRY", "LAST ERROR"), rows))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns; the last one is not padded."""
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    # Indentation of the first column is meant.
    indents = [len(row[0]) - len(row[0].lstrip(" ")) for row in (header, *rows)]
    for line, indent in zip(lines, indents, strict=True):
        line[0] = " " * indent + line[0]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(padded) + "\n"


async def _models(arguments: argparse.Namespace, settings: Settings, provider: str) -> list[models_pb2.Model]:
    async with AsyncClient(arguments.address or settings.address, timeout_s=_LIST_TIMEOUT_S) as client:
        return await client.models(provider)


async def _backends(arguments: argparse.Namespace, settings: Settings) -> list[router_pb2.Backend]:
    async with AdminClient(arguments.admin_address or settings.admin_address, timeout_s=_LIST_TIMEOUT_S) as admin:
        return await admin.backends()


def _provider(name: str, models: Sequence[models_pb2.Model], backends: Sequence[router_pb2.Backend]) -> dict[str, Any]:
    return {
        "provider": name,
        "models": sum(model.provider == name for model in models),
        "backends": [
            {
                "id": backend.id,
                "state": _word(health_pb2.HealthState, backend.summary.state),
                "reason": _word(health_pb2.HealthReason, backend.summary.reason),
            }
            for backend in backends
            if backend.provider == name
        ],
    }


def _columns(target: health_pb2.Target, now: datetime) -> tuple[str, ...]:
    return (
        _word(health_pb2.HealthState, target.state) or "not seen yet",
        _word(health_pb2.HealthReason, target.reason) or "-",
        _ago(target.since_time, now) if target.HasField("since_time") else "-",
        _ago(target.next_try_time, now) if target.HasField("next_try_time") else "-",
        _last_error(target),
    )


def _with_reason(backend: dict[str, str]) -> str:
    state = backend["state"] or "not seen yet"
    return f"{state} ({backend['reason']})" if backend["reason"] else state


def _ago(moment: Timestamp, now: datetime) -> str:
    seconds = round((now - moment.ToDatetime(UTC)).total_seconds())
    size = abs(seconds)
    if size < 120:
        text = f"{size} s"
    elif size < 7200:
        text = f"{size // 60} min"
    else:
        text = f"{size // 3600} h"
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def _word(enum: Any, number: int) -> str:
    """Name of an enum value in lower case without its prefix; "" for unspecified."""
    if number == 0:
        return ""
    try:
        name: str = enum.Name(number)
    except ValueError:
        return f"state {number}"
    prefix = str(enum.Name(0)).removesuffix("UNSPECIFIED")
    return name.removeprefix(prefix).lower()


def _dict(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


def _last_error(target: health_pb2.Target) -> str:
    """Why it is not well; of a target that is, the last error is history, told by --json."""
    if target.state == health_pb2.HEALTH_STATE_HEALTHY:
        return "-"
    return textwrap.shorten(target.last_error.message, 120, placeholder=" ...") or "-"
