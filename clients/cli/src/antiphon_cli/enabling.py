"""Owns `enable`: what put a target out is mended, have it tried with the next call."""

import argparse
from datetime import UTC, datetime
from typing import Final

from google.protobuf.json_format import MessageToDict

from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed
from antiphon_cli.listing import LIST_TIMEOUT_S
from antiphon_cli.remedies import explain
from antiphon_cli.screen import Screen
from antiphon_cli.settings import Settings
from antiphon_cli.status import HEADER as STATUS
from antiphon_cli.status import columns
from antiphon_cli.tables import table, word
from antiphon_client import AdminClient, NotFound, RouterUnreachable

HEADER: Final = ("SCOPE", *STATUS[1:])


async def enable(arguments: argparse.Namespace, settings: Settings) -> None:
    """Every target with that id, or of the backend with that id, as it is now. Raises CommandFailed, AntiphonError."""
    address = arguments.admin_address or settings.admin_address
    try:
        async with AdminClient(address, timeout_s=LIST_TIMEOUT_S, tls=settings.tls) as admin:
            targets = await admin.enable(arguments.target)
    except RouterUnreachable as failure:
        raise explain(failure, admin=True) from None
    except NotFound as failure:
        raise CommandFailed(ExitCode.NOT_FOUND, failure.message, "`antiphon status` lists what there is") from None
    screen = Screen()
    if arguments.json:
        whole = router_pb2.EnableTargetResponse(targets=targets)
        screen.json({"targets": [], **MessageToDict(whole, preserving_proto_field_name=True)})
        return
    now = datetime.now(UTC)
    rows = [(word(health_pb2.Scope, target.scope), target.id, *columns(target, now)) for target in targets]
    screen.text(table(HEADER, rows))
