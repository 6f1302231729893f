"""Owns `routes explain`: what a model name leads to now, who would get the call, who not, and why."""

import argparse

from google.protobuf.json_format import MessageToDict

from antiphon.router.v1 import router_pb2
from antiphon_cli.failure import one_line
from antiphon_cli.listing import LIST_TIMEOUT_S
from antiphon_cli.remedies import explain as explain_failure
from antiphon_cli.screen import Screen
from antiphon_cli.settings import Settings
from antiphon_cli.tables import table
from antiphon_client import AdminClient, RouterUnreachable
from antiphon_contract.errors import reason_name


async def explain(arguments: argparse.Namespace, settings: Settings) -> None:
    """Nothing is sent to anyone. Raises CommandFailed, AntiphonError."""
    request = router_pb2.ExplainRouteRequest(
        model=arguments.model,
        provider=arguments.provider,
        affinity=arguments.affinity,
        cache_affinity=arguments.cache_affinity,
        after_content=arguments.after_content,
    )
    address = arguments.admin_address or settings.admin_address
    try:
        async with AdminClient(address, timeout_s=LIST_TIMEOUT_S, tls=settings.tls) as admin:
            found = await admin.explain(request)
    except RouterUnreachable as failure:
        raise explain_failure(failure, admin=True) from None
    screen = Screen()
    if arguments.json:
        screen.json(MessageToDict(found, preserving_proto_field_name=True))
        return
    screen.text(f"{one_line(found.model)}: understood as {found.rule}; after content: {found.after_content}\n")
    if found.HasField("refusal"):
        reason = reason_name(found.refusal.reason)
        screen.text(f"a call would be refused now: {reason}, {one_line(found.refusal.message)}\n")
    rows = [
        (
            f"{100 * candidate.share:.4g} %",
            candidate.backend,
            candidate.replica or "-",
            candidate.native_id,
            str(candidate.tier),
            candidate.why,
        )
        for candidate in found.candidates
    ]
    screen.text(table(("SHARE", "BACKEND", "REPLICA", "MODEL", "TIER", "WHY"), rows))
