"""Owns what a model name means: the ways to serve it, in tiers, or a refusal that names what is known.

1 a route's name                     2 "<provider>/<native id>"       3 a provider: its default model
4 nothing: the default               5 with a provider given, anything else is that provider's native id
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from antiphon_router.core.faults import Reason
from antiphon_router.core.values import DEFAULT_POLICY, Backend, Candidate, RoutePolicy

MAX_MODEL_BYTES: Final = 256
_MAX_SHOWN: Final = 80
_MAX_NAMES: Final = 20


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is configured: every backend by its provider, every route by its name."""

    providers: Mapping[str, tuple[Backend, ...]]
    routes: Mapping[str, tuple[Candidate, ...]]
    default: str = ""
    policies: Mapping[str, RoutePolicy] = field(default_factory=dict)
    """Of routes, by name; only those that ask for something."""


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """The ways to serve a call, lower tiers first. `by_route`: the operator chose the models, not the caller.

    Compared by identity, so that what follows from one can be looked up fast.
    """

    name: str
    tiers: tuple[tuple[Candidate, ...], ...]
    by_route: bool = False
    policy: RoutePolicy = DEFAULT_POLICY

    @property
    def has_larger(self) -> bool:
        """Whether some of its ways are kept for requests that are too long for the others."""
        return any(candidate.long_context for tier in self.tiers for candidate in tier)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The call cannot be served. `message` is for the caller; `retry_after_s` None: waiting does not help.

    `exhausted`: nothing keeps calls out, all there is was tried; the failures of the attempts say more.
    """

    reason: Reason
    message: str
    retry_after_s: float | None = None
    param: str = ""
    exhausted: bool = False


def catalog_of(
    backends: Iterable[Backend],
    routes: Mapping[str, tuple[Candidate, ...]] | None = None,
    default: str = "",
    policies: Mapping[str, RoutePolicy] | None = None,
) -> Catalog:
    """The catalog of `backends`, in their order."""
    providers: dict[str, tuple[Backend, ...]] = {}
    for backend in backends:
        providers[backend.provider] = (*providers.get(backend.provider, ()), backend)
    return Catalog(providers, routes or {}, default, policies or {})


def resolve(catalog: Catalog, model: str, providers: tuple[str, ...] = ()) -> Resolution | Refusal:
    """The ways to serve `model`, restricted to `providers` where any are given."""
    if len(model.encode()) > MAX_MODEL_BYTES:
        return Refusal(
            Reason.INVALID_REQUEST, f"the model name is longer than {MAX_MODEL_BYTES} bytes; shorten it", param="model"
        )
    unknown = [name for name in providers if name not in catalog.providers]
    if unknown:
        return _not_found(
            f"there is no provider {_shown(unknown[0])}; {_known_providers(catalog)}", "antiphon-provider"
        )
    if not model:
        return _default(catalog, providers)
    if model in catalog.routes:
        targets = tuple(c for c in catalog.routes[model] if not providers or c.backend.provider in providers)
        if targets:
            policy = catalog.policies.get(model, DEFAULT_POLICY)
            return Resolution(model, _tiers(targets), by_route=True, policy=policy)
    head, slash, native = model.partition("/")
    if head in catalog.providers and (not providers or head in providers):
        if native:
            return _native(catalog, model, (head,), native)
        if not slash:
            return _defaults(catalog, model, (head,))
    if providers:
        return _native(catalog, model, providers, model)
    return _not_found(
        f"there is no model {_shown(model)}; name a route{_known(catalog.routes)} or <provider>/<model>, "
        f"{_known_providers(catalog)}",
        "model",
    )


def check_default(catalog: Catalog) -> Refusal | None:
    """Why the default leads nowhere; None: it leads somewhere, or there is none."""
    if not catalog.default:
        return None
    found = resolve(catalog, catalog.default)
    return found if isinstance(found, Refusal) else None


def _default(catalog: Catalog, providers: tuple[str, ...]) -> Resolution | Refusal:
    if providers:
        return _defaults(catalog, ",".join(providers), providers)
    if not catalog.default:
        return _not_found(
            "the request names no model and no default is set; name one, or set DEFAULT_LLM or default_llm at the "
            f"router; {_known_providers(catalog)}",
            "model",
        )
    return resolve(catalog, catalog.default)


def _defaults(catalog: Catalog, name: str, providers: tuple[str, ...]) -> Resolution | Refusal:
    backends = [b for provider in providers for b in catalog.providers[provider]]
    found = tuple(Candidate(b, b.default_model) for b in backends if b.default_model)
    if found:
        return Resolution(name, (found,))
    return _not_found(
        f"provider {_shown(name)} has no default model; name one as {providers[0]}/<model>, or set default_model of "
        "its backend",
        "model",
    )


def _native(catalog: Catalog, name: str, providers: tuple[str, ...], native: str) -> Resolution:
    backends = [b for provider in providers for b in catalog.providers[provider]]
    return Resolution(name, (tuple(Candidate(b, native) for b in backends),))


def _tiers(targets: tuple[Candidate, ...]) -> tuple[tuple[Candidate, ...], ...]:
    ordered = sorted(targets, key=lambda candidate: candidate.tier)
    return tuple(tuple(group) for _, group in groupby(ordered, key=lambda candidate: candidate.tier))


def _not_found(message: str, param: str) -> Refusal:
    return Refusal(Reason.MODEL_NOT_FOUND, message, param=param)


def _known_providers(catalog: Catalog) -> str:
    return f"known providers: {_listed(catalog.providers)}"


def _known(routes: Mapping[str, object]) -> str:
    return f" ({_listed(routes)})" if routes else ""


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:_MAX_NAMES]) + (", …" if len(ordered) > _MAX_NAMES else "")


def _shown(name: str) -> str:
    return repr(name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + "…")
