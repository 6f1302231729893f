"""Owns `providers` and `models`: fetch, shape, print as a table or as JSON."""

import argparse
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from antiphon.llm.v1 import models_pb2
from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed
from antiphon_cli.screen import Screen
from antiphon_cli.settings import Settings
from antiphon_cli.tables import table, word
from antiphon_client import AdminClient, AsyncClient, RouterUnreachable

LIST_TIMEOUT_S = 15.0


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


async def _models(arguments: argparse.Namespace, settings: Settings, provider: str) -> list[models_pb2.Model]:
    address = arguments.address or settings.address
    async with AsyncClient(address, timeout_s=LIST_TIMEOUT_S, tls=settings.tls) as client:
        return await client.models(provider)


async def _backends(arguments: argparse.Namespace, settings: Settings) -> list[router_pb2.Backend]:
    address = arguments.admin_address or settings.admin_address
    async with AdminClient(address, timeout_s=LIST_TIMEOUT_S, tls=settings.tls) as admin:
        return await admin.backends()


def _provider(name: str, models: Sequence[models_pb2.Model], backends: Sequence[router_pb2.Backend]) -> dict[str, Any]:
    return {
        "provider": name,
        "models": sum(model.provider == name for model in models),
        "backends": [
            {
                "id": backend.id,
                "state": word(health_pb2.HealthState, backend.summary.state),
                "reason": word(health_pb2.HealthReason, backend.summary.reason),
            }
            for backend in backends
            if backend.provider == name
        ],
    }


def _with_reason(backend: dict[str, str]) -> str:
    state = backend["state"] or "not seen yet"
    return f"{state} ({backend['reason']})" if backend["reason"] else state


def _dict(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)
