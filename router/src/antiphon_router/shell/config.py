"""Owns the way from the routes file's message to the core's catalog."""

from dataclasses import replace

from antiphon.config.v1 import suite_pb2
from antiphon_router.core.resolve import Catalog, catalog_of
from antiphon_router.core.values import Backend, Candidate


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
    return catalog_of(backends.values(), routes, default_llm or suite.default_llm)


def _backend(row: suite_pb2.Backend) -> Backend:
    return Backend(
        id=row.id,
        provider=row.provider,
        addresses=tuple(row.addresses),
        account=row.state_domain or row.id,
        default_model=row.default_model,
        max_in_flight=row.max_in_flight,
    )


def _candidate(target: suite_pb2.RouteTarget, backend: Backend) -> Candidate:
    weight = target.weight if target.HasField("weight") else 1
    return Candidate(backend, target.model or backend.default_model, target.tier, weight)
