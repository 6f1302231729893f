"""Owns what is shown of a backend: its models, everything its calls depend on, and which of that decides."""

from typing import Final

from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_router.core.fleet import in_flight
from antiphon_router.core.resolve import Catalog
from antiphon_router.core.values import Backend, Candidate, Scope, State, TargetKey
from antiphon_router.shell import targets
from antiphon_router.shell.roster import Roster

_WHOLE: Final = frozenset({Scope.ENDPOINT, Scope.KEY, Scope.ACCOUNT})
_ORDER: Final = tuple(Scope)
_WORST: Final = (
    State.DISABLED, State.RATE_LIMITED, State.OPEN, State.HALF_OPEN, State.DRAINING, State.UNSPECIFIED,
    State.PANIC, State.DEGRADED, State.SLOW_START, State.HEALTHY,
)  # fmt: skip


def ordered(catalog: Catalog) -> list[Backend]:
    """Every backend, by id."""
    return sorted((b for own in catalog.providers.values() for b in own), key=lambda b: b.id)


def shown(backend: Backend, catalog: Catalog, roster: Roster) -> router_pb2.Backend:
    """`backend` as of now."""
    row = router_pb2.Backend(
        id=backend.id,
        address=", ".join(backend.addresses),
        provider=backend.provider,
        state_domain=backend.account,
        max_in_flight=backend.max_in_flight,
    )
    candidates = _candidates(backend, catalog)
    for name, candidate in candidates:
        pool = candidate.key(Scope.POOL).id
        row.models.add(model=name, native_id=candidate.model, pool=pool)
    keys = _targets(backend, candidates, roster)
    row.targets.extend(targets.shown(key, roster) for key in keys)
    row.summary.CopyFrom(_summary(backend, keys, roster))
    return row


def targets_of(id: str, catalog: Catalog, roster: Roster) -> list[TargetKey]:
    """The targets with this id, of every scope, or all that the backend with this id depends on; in order."""
    found: set[TargetKey] = set()
    for backend in ordered(catalog):
        keys = _targets(backend, _candidates(backend, catalog), roster)
        found.update(keys if backend.id == id else (key for key in keys if key.id == id))
    return sorted(found, key=_place)


def _targets(backend: Backend, candidates: list[tuple[str, Candidate]], roster: Roster) -> list[TargetKey]:
    """Everything that calls of `backend` depend on; of what only callers named, what is remarkable."""
    fleet = roster.fleet
    keys = {key for _, candidate in candidates for key in candidate.keys}
    keys |= set(Candidate(backend, "").keys) - {Candidate(backend, "").key(Scope.POOL)}
    keys |= {key for key in (*fleet.shared, *fleet.quotas) if _is_of(key, backend)}
    keys = {key for key in keys if key.scope is not Scope.KEY_MODEL or key in fleet.shared}
    return sorted({*keys, *(replica.key for replica in fleet.replicas.get(backend.id, ()))}, key=_place)


def _place(key: TargetKey) -> tuple[int, str]:
    return _ORDER.index(key.scope), key.id


def _candidates(backend: Backend, catalog: Catalog) -> list[tuple[str, Candidate]]:
    """The models that the configuration names for `backend`, under their names."""
    named = [(name, c) for name, ways in catalog.routes.items() for c in ways if c.backend == backend]
    if backend.default_model:
        default = Candidate(backend, backend.default_model)
        named.append((f"{backend.provider}/{backend.default_model}", default))
    return named


def _summary(backend: Backend, keys: list[TargetKey], roster: Roster) -> health_pb2.Target:
    """The best replica, unless the endpoint, the key or the account keeps everything out."""

    def rank(key: TargetKey) -> int:
        return _WORST.index(roster.health_of(key).state)

    deciding = [key for key in keys if key.scope in _WHOLE]
    replicas = [key for key in keys if key.scope is Scope.REPLICA]
    if replicas:
        deciding.append(max(replicas, key=rank))
    summary = targets.shown(min(deciding, key=rank), roster) if replicas else health_pb2.Target()
    summary.id = backend.id
    summary.ClearField("scope")
    summary.in_flight = in_flight(backend, roster.fleet)
    return summary


def _is_of(key: TargetKey, backend: Backend) -> bool:
    """Whether a target of a model that only a caller named is `backend`'s."""
    if key.scope is Scope.POOL:
        return key.id.startswith(f"{backend.provider}/") and key.id.endswith(backend.pool_mark)
    return key.scope is Scope.KEY_MODEL and key.id.startswith(f"{backend.id}/")
