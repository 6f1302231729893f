"""Owns what ExplainRoute answers: what a call would be taken for, who would take it now, and who not, and why.

The decision is the core's own, made over the fleet as it is; nothing is sent and nothing changes.
"""

import random

from antiphon.router.v1 import router_pb2
from antiphon_contract import metadata
from antiphon_router.core import decide
from antiphon_router.core.explain import Standing, explain
from antiphon_router.core.failover import NEW_TURN
from antiphon_router.core.resolve import Catalog, Refusal, Resolution, resolve
from antiphon_router.core.values import AfterContent
from antiphon_router.shell import targets
from antiphon_router.shell.ask import wishes_of
from antiphon_router.shell.failures import refused
from antiphon_router.shell.roster import Roster


def explained(
    request: router_pb2.ExplainRouteRequest, catalog: Catalog, roster: Roster
) -> router_pb2.ExplainRouteResponse:
    """What the router would do with such a call now.

    Raises CallFailure for a name that leads nowhere and for metadata that cannot be meant.
    """
    incoming = {
        metadata.AFFINITY: request.affinity,
        metadata.CACHE_AFFINITY: request.cache_affinity,
        metadata.AFTER_CONTENT: request.after_content,
    }
    wishes = wishes_of({name: value for name, value in incoming.items() if value}, 0)
    providers = tuple(filter(None, map(str.strip, request.provider.split(","))))
    resolution = resolve(catalog, request.model, providers)
    if isinstance(resolution, Refusal):
        raise refused(resolution)
    permitted = wishes.after_content in resolution.policy.after_content
    response = router_pb2.ExplainRouteResponse(
        model=resolution.name,
        rule=_rule(request.model, providers, catalog, resolution),
        after_content=(wishes.after_content if permitted else AfterContent.FAIL).lower(),
    )
    now = roster.clock()
    for standing in explain(resolution, wishes.ask, roster.fleet, now):
        response.candidates.append(_candidate(standing, roster))
    if not any(candidate.share for candidate in response.candidates):
        # For the refusal's sake; whatever is drawn, the answer is the same.
        dice = random.Random(0)  # noqa: S311
        decided = decide.choose(resolution, NEW_TURN, roster.fleet, now, dice, ask=wishes.ask)
        if isinstance(decided, Refusal):
            response.refusal.CopyFrom(refused(decided).error)
    return response


def _rule(model: str, providers: tuple[str, ...], catalog: Catalog, resolution: Resolution) -> str:
    if not model:
        return "provider" if providers else "default"
    if resolution.by_route:
        return "route"
    head, slash, native = model.partition("/")
    if head in catalog.providers and (not providers or head in providers) and (native or not slash):
        return "provider/model" if slash else "provider"
    return "provider's own id"


def _candidate(standing: Standing, roster: Roster) -> router_pb2.RouteCandidate:
    candidate = standing.candidate
    row = router_pb2.RouteCandidate(
        backend=candidate.backend.id,
        replica=standing.replica.address if standing.replica is not None else "",
        native_id=candidate.model,
        tier=candidate.tier,
        share=standing.share,
        long_context=candidate.long_context,
        why=standing.why,
    )
    # A backend with all the calls it may have is no target; `why` tells.
    row.blocked_by.extend(targets.shown(block.key, roster) for block in standing.blocks if block.health is not None)
    return row
