"""Owns what is said about targets that keep calls out: to the caller who gets no answer, and to people who ask why."""

from collections.abc import Iterable
from typing import Final

from antiphon_router.core.failover import heals
from antiphon_router.core.faults import Reason
from antiphon_router.core.fleet import Block
from antiphon_router.core.health import WATCH, Health
from antiphon_router.core.resolve import Refusal
from antiphon_router.core.values import Cause, State, TargetKey

_MAX_BLOCKS_TOLD: Final = 6


def refusal(name: str, blocks: Iterable[Block], now: float) -> Refusal:
    """Why no backend takes a call of `name`: what heals first decides, and everything is named."""
    causes: dict[Reason, list[Block]] = {}
    for block in dict.fromkeys(blocks):
        causes.setdefault(_reason(block), []).append(block)
    reason = min(causes, key=heals, default=Reason.NO_HEALTHY_BACKEND)
    all_told = [told(block, now) for group in causes.values() for block in group]
    why = ", ".join(all_told[:_MAX_BLOCKS_TOLD]) or "it has no replicas left to try"
    times = [b.health.next_try for b in causes.get(reason, ()) if b.health and b.health.next_try is not None]
    # An account in disgrace is looked at again now and then, but that is no advice to a caller.
    lasting = reason in (Reason.QUOTA_EXHAUSTED, Reason.PROVIDER_CREDENTIALS)
    delay_s = max(0.0, min(times) - now) if times and not lasting else None
    message = f"no backend takes calls of {name!r} now: {why}"
    return Refusal(reason, message, delay_s, exhausted=not causes)


def wrong_domain(name: str, domain: str, known: Iterable[str]) -> Refusal:
    """No way to serve `name` has the state that the call depends on."""
    domains = ", ".join(sorted(set(known))[:_MAX_BLOCKS_TOLD])
    return Refusal(
        Reason.OPAQUE_STATE_REJECTED,
        f"no backend of {name!r} belongs to state domain {domain!r}, to which the request is bound; its domains are "
        f"{domains}; send the request without what belongs to {domain!r}, or to a model that is served there",
        param="antiphon-affinity",
    )


def _reason(block: Block) -> Reason:
    if block.health is None:
        return Reason.GATEWAY_OVERLOADED
    health = block.health.before or block.health
    if health.state is State.RATE_LIMITED:
        return Reason.RATE_LIMITED
    if health.state is State.DISABLED:
        billing = health.cause in (Cause.BILLING, Cause.SPEND_CAP)
        return Reason.QUOTA_EXHAUSTED if billing else Reason.PROVIDER_CREDENTIALS
    return Reason.NO_HEALTHY_BACKEND


def told(block: Block, now: float) -> str:
    """In a few words, what keeps calls out."""
    if block.health is None:
        return f"backend {block.key.id} has all the calls it may have"
    health = block.health
    cause = f" ({health.cause})" if health.cause is not Cause.UNSPECIFIED else ""
    until = f" for {max(0.0, health.next_try - now):.0f} s more" if health.next_try is not None else ""
    return f"{_named(block.key)} is {health.state}{cause}{until}"


_WHY: Final = {
    State.HEALTHY: "takes calls",
    State.UNSPECIFIED: "takes no calls: it has not said yet that it serves",
    State.DEGRADED: "takes {share} % of its share, because too many of its last calls were late or refused",
    State.SLOW_START: "is back and takes {share} % of its share, more with every second",
    State.OPEN: "takes no calls, because its last ones failed",
    State.HALF_OPEN: "takes no calls until the one that tries it out has its answer",
    State.RATE_LIMITED: "takes no calls, because its provider limits the rate",
    State.DISABLED: "takes no calls, because its provider refuses the key or the account",
    State.DRAINING: "takes no new calls, because it does not serve any more; those it has go on",
    State.PANIC: "takes calls although it failed, because most of its peers failed too",
}


def why(key: TargetKey, health: Health, now: float) -> str:
    """One sentence for people: in or out, why, and when it is next tried."""
    said = _WHY[health.state].format(share=round(100.0 * health.share(now)))
    cause = f" ({health.cause}, {health.rule})" if health.cause is not Cause.UNSPECIFIED and health.rule else ""
    if health.next_try is None:
        return f"{_named(key)} {said}{cause}"
    tried = "its connection is opened again" if health.rule == WATCH else "one call finds out"
    return f"{_named(key)} {said}{cause}; {tried} in {max(0.0, health.next_try - now):.0f} s"


def _named(key: TargetKey) -> str:
    return f"{key.scope.lower().replace('_', ' ')} {key.id}"
