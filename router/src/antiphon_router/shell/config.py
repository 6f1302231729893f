"""Owns the way from the routes file's message to the core's catalog."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from google.protobuf.duration_pb2 import Duration

from antiphon.config.v1 import suite_pb2
from antiphon_router.core.resolve import Catalog, catalog_of
from antiphon_router.core.values import (
    DEFAULT_POLICY,
    AfterContent,
    Backend,
    Candidate,
    Hedge,
    RoutePolicy,
    Shadow,
)

_AFTER_CONTENT: Final[dict[int, AfterContent]] = {
    suite_pb2.AFTER_CONTENT_RESTART: AfterContent.RESTART,
    suite_pb2.AFTER_CONTENT_HOLD: AfterContent.HOLD,
}


def catalog_from(suite: suite_pb2.Suite, default_llm: str = "") -> Catalog:
    """The catalog of a checked suite. `default_llm`, where given, wins over the suite's."""
    backends = {row.id: _backend(row) for row in suite.backends}
    for provider in {backend.provider for backend in backends.values()}:
        own = [backend for backend in backends.values() if backend.provider == provider]
        if len({backend.account for backend in own}) > 1:
            backends |= {backend.id: replace(backend, pool_mark=f"@{backend.account}") for backend in own}
    routes = {
        route.model: tuple(_candidate(target, backends[target.backend]) for target in route.targets)
        for route in suite.routes
    }
    policies = {route.model: _policy(route, backends) for route in suite.routes}
    policies = {model: policy for model, policy in policies.items() if policy != DEFAULT_POLICY}
    return catalog_of(backends.values(), routes, default_llm or suite.default_llm, policies)


def _backend(row: suite_pb2.Backend) -> Backend:
    return Backend(
        id=row.id,
        provider=row.provider,
        addresses=tuple(row.addresses),
        account=row.state_domain or row.id,
        default_model=row.default_model,
        max_in_flight=row.max_in_flight,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        relative_cost=row.relative_cost if row.HasField("relative_cost") else 1.0,
    )


def _candidate(target: suite_pb2.RouteTarget, backend: Backend) -> Candidate:
    return Candidate(
        backend,
        target.model or backend.default_model,
        target.tier,
        target.weight if target.HasField("weight") else 1,
        canary_percent=target.canary_percent if target.HasField("canary_percent") else None,
        long_context=target.long_context,
    )


def _policy(route: suite_pb2.Route, backends: Mapping[str, Backend]) -> RoutePolicy:
    timeout = route.first_content_timeout
    return RoutePolicy(
        after_content=frozenset(_AFTER_CONTENT[word] for word in route.after_content),
        hedge=_hedge(route.hedge) if route.HasField("hedge") else None,
        first_content_timeout_s=_seconds(timeout) if route.HasField("first_content_timeout") else None,
        shadows=tuple(_shadow(shadow, backends[shadow.backend]) for shadow in route.shadows),
        cheapest=route.order == suite_pb2.ORDER_CHEAPEST,
    )


def _hedge(hedge: suite_pb2.Hedge) -> Hedge:
    default = Hedge()
    return Hedge(
        delay_s=_seconds(hedge.delay) if hedge.HasField("delay") else None,
        max_percent=hedge.max_percent if hedge.HasField("max_percent") else default.max_percent,
    )


def _shadow(shadow: suite_pb2.Shadow, backend: Backend) -> Shadow:
    return Shadow(Candidate(backend, shadow.model or backend.default_model), shadow.percent)


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
