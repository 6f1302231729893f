"""Owns the words of the core: what is configured, what has health, and the names both share with the contract.

Members of the enums are spelled as in antiphon.router.v1 and antiphon.llm.v1, without the prefix of their type.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from antiphon_router.core.meter import Bounds


class Scope(StrEnum):
    """What kind of thing a health state belongs to."""

    REPLICA = "REPLICA"
    ENDPOINT = "ENDPOINT"
    POOL = "POOL"
    KEY = "KEY"
    KEY_MODEL = "KEY_MODEL"
    ACCOUNT = "ACCOUNT"


class State(StrEnum):
    """State of one target. UNSPECIFIED: not observed yet."""

    UNSPECIFIED = "UNSPECIFIED"
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    SLOW_START = "SLOW_START"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"
    RATE_LIMITED = "RATE_LIMITED"
    DISABLED = "DISABLED"
    DRAINING = "DRAINING"
    PANIC = "PANIC"


class Cause(StrEnum):
    """Why a target is in a state other than HEALTHY (HealthReason of the contract)."""

    UNSPECIFIED = "UNSPECIFIED"
    UNREACHABLE = "UNREACHABLE"
    NOT_SERVING = "NOT_SERVING"
    ERRORS = "ERRORS"
    SLOW = "SLOW"
    OVERLOADED = "OVERLOADED"
    RATE_LIMIT = "RATE_LIMIT"
    AUTH = "AUTH"
    PERMISSION = "PERMISSION"
    BILLING = "BILLING"
    SPEND_CAP = "SPEND_CAP"
    REVOKED = "REVOKED"
    CONFIG = "CONFIG"
    OPERATOR = "OPERATOR"
    NO_KEY = "NO_KEY"


class TargetKey(NamedTuple):
    """One thing whose health is tracked."""

    scope: Scope
    id: str


@dataclass(frozen=True, slots=True)
class Backend:
    """A provider service with one provider account, as configured. `max_in_flight` 0: no bound."""

    id: str
    provider: str
    addresses: tuple[str, ...] = ()
    account: str = ""
    default_model: str = ""
    max_in_flight: int = 0
    pool_mark: str = ""
    """Tells its pools from those of other accounts of the provider, "@<account>"; empty if it has one."""
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    """0: no bound of ours."""
    relative_cost: float = 1.0
    """What a call costs here compared to other backends, for routes that go by cost."""
    bounds: Bounds | None = field(init=False, compare=False)
    """Of what it may be asked per minute; None: there are none."""

    def __post_init__(self) -> None:
        bounds = Bounds(self.requests_per_minute, self.tokens_per_minute)
        object.__setattr__(self, "bounds", bounds if any(bounds) else None)


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of a backend, at `address` ("10.0.0.7:50051")."""

    backend: str
    address: str
    key: TargetKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", TargetKey(Scope.REPLICA, self.address))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to serve a call: a model at a backend. `model` is the provider's own id."""

    backend: Backend
    model: str
    tier: int = 0
    weight: int = 1
    canary_percent: float | None = None
    """Its exact part of the calls of its route, in percent; None: its weight decides."""
    long_context: bool = False
    """Takes only calls that were too long for the others."""
    keys: tuple[TargetKey, ...] = field(init=False, compare=False)
    """Everything but the replica that it depends on, in the order of Scope."""
    pool: TargetKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        backend = self.backend
        keys = (
            TargetKey(Scope.ENDPOINT, backend.id),
            TargetKey(Scope.POOL, f"{backend.provider}/{self.model}{backend.pool_mark}"),
            TargetKey(Scope.KEY, backend.id),
            TargetKey(Scope.KEY_MODEL, f"{backend.id}/{self.model}"),
            TargetKey(Scope.ACCOUNT, backend.account),
        )
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "pool", keys[1])

    def key(self, scope: Scope) -> TargetKey:
        """Its target of `scope`, which is not REPLICA."""
        return next(key for key in self.keys if key.scope is scope)


class AfterContent(StrEnum):
    """What may be done when an answer breaks that its caller has begun to read."""

    FAIL = "FAIL"
    RESTART = "RESTART"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class Hedge:
    """A second attempt beside a slow first one. `delay_s` None: the 95th percentile of its pool's first contents."""

    delay_s: float | None = None
    max_percent: float = 5.0
    """Of the calls of the route, at most so many are hedged."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A copy of `percent` of the calls goes to `candidate`; nobody waits for its answer."""

    candidate: Candidate
    percent: float


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """What a route permits and asks for beyond its targets."""

    after_content: frozenset[AfterContent] = frozenset()
    hedge: Hedge | None = None
    first_content_timeout_s: float | None = None
    """An attempt without content by then has failed, and the next is made."""
    shadows: tuple[Shadow, ...] = ()
    cheapest: bool = False
    """The cheapest target that takes calls, instead of all by weight and load."""


DEFAULT_POLICY: Final = RoutePolicy()


class Ask(NamedTuple):
    """What a call wants of the pick."""

    affinity: str = ""
    """The state domain its history belongs to."""
    hard: bool = False
    """Only backends of that state domain will do."""
    cache_affinity: str = ""
    """Calls with the same one go to the same replica while it is well, because its prompt cache is warm there."""
    size: int = 0
    """Bytes of the request."""
    priority: int = 5


NO_ASK: Final = Ask()


class Dice(Protocol):
    """The randomness the shell lends; `random.Random` satisfies it."""

    def random(self) -> float:
        """A number of [0, 1)."""
        ...

    def uniform(self, a: float, b: float) -> float:
        """A number of [a, b]."""
        ...


@dataclass(slots=True)
class Load:
    """What a replica has to do and how fast it begins to answer. Changed in place by every attempt."""

    in_flight: int = 0
    first_content_s: float | None = None
    """Moving average of the time to first content; None: no call yet."""
    updated: float = 0.0


Replicas = Sequence[Replica]
