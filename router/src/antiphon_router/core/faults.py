"""Owns the classification of failures, as data: whose fault one was, what it does to that target, who may try again."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final

from antiphon_router.core.values import Cause, Scope


class Reason(StrEnum):
    """Finer cause of a failure, as in antiphon.llm.v1.ErrorReason."""

    UNSPECIFIED = "UNSPECIFIED"
    INVALID_REQUEST = "INVALID_REQUEST"
    CONTEXT_LENGTH_EXCEEDED = "CONTEXT_LENGTH_EXCEEDED"
    PARAM_UNSUPPORTED = "PARAM_UNSUPPORTED"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    OPAQUE_STATE_REJECTED = "OPAQUE_STATE_REJECTED"
    CONTENT_BLOCKED = "CONTENT_BLOCKED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    OPERATION_UNSUPPORTED = "OPERATION_UNSUPPORTED"
    GATEWAY_AUTH = "GATEWAY_AUTH"
    GATEWAY_FORBIDDEN = "GATEWAY_FORBIDDEN"
    GATEWAY_RATE_LIMITED = "GATEWAY_RATE_LIMITED"
    GATEWAY_BUDGET_EXHAUSTED = "GATEWAY_BUDGET_EXHAUSTED"
    GATEWAY_OVERLOADED = "GATEWAY_OVERLOADED"
    PROVIDER_CREDENTIALS = "PROVIDER_CREDENTIALS"
    QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
    RATE_LIMITED = "RATE_LIMITED"
    PROVIDER_OVERLOADED = "PROVIDER_OVERLOADED"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    UPSTREAM_UNREACHABLE = "UPSTREAM_UNREACHABLE"
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
    UPSTREAM_PROTOCOL = "UPSTREAM_PROTOCOL"
    STREAM_INTERRUPTED = "STREAM_INTERRUPTED"
    CONFLICT = "CONFLICT"
    NO_HEALTHY_BACKEND = "NO_HEALTHY_BACKEND"
    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    GATEWAY_INTERNAL = "GATEWAY_INTERNAL"
    GATEWAY_DRAINING = "GATEWAY_DRAINING"


class Effect(Enum):
    """What a failure does to the target at fault, if there is one."""

    FAIL = auto()
    SLOW = auto()
    """Counts as a late answer too."""
    DEGRADE = auto()
    """Its share becomes smaller; it is never put out for it."""
    LIMIT = auto()
    DISABLE = auto()
    DRAIN = auto()


class Same(Enum):
    """Whether the same backend may be tried again within the call."""

    NEVER = auto()
    ONCE = auto()
    IF_FAST = auto()
    """Once, if the failure came within `FAST_S`: what hung before answering 504 will hang again."""
    REPLICA = auto()
    """Another replica of it: this process is at fault, not what is behind it."""
    KEY = auto()
    """At once by the same process, which has another key left."""


class Other(Enum):
    """Whether another backend may be tried."""

    NEVER = auto()
    ALWAYS = auto()
    ALIAS = auto()
    """Only where a route of the operator led here, not where the caller named the model."""
    LARGER = auto()
    """Only one that the route keeps for requests which are too long for the others."""


FAST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt, as far as decisions need to know it."""

    reason: Reason
    lost: bool = False
    """The process died or its connection did: nothing typed came from it."""
    http_status: int = 0
    native_code: str = ""
    delay_s: float | None = None
    retry_same: bool = False
    retry_other: bool = False
    callers_key: bool = False
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what it matches, and what follows. The first row that matches counts."""

    id: str
    reason: Reason
    same: Same = Same.NEVER
    other: Other = Other.NEVER
    scope: Scope | None = None
    effect: Effect = Effect.FAIL
    cause: Cause = Cause.UNSPECIFIED
    weight: float = 1.0
    lost: bool = False
    http: frozenset[int] = frozenset()
    code: str = ""
    callers_key: bool = False
    other_version: bool = False
    """Matches only while the adapter has another live version of its key."""

    def matches(self, failure: Failure) -> bool:
        """Whether this row is about such a failure."""
        return (
            self.reason is failure.reason
            and self.lost <= failure.lost
            and (not self.http or failure.http_status in self.http)
            and (not self.code or self.code == failure.native_code)
            and self.callers_key <= failure.callers_key
            and self.other_version <= failure.retry_same
        )


_R = Reason
RULES: Final[tuple[Rule, ...]] = (
    # The process itself.
    Rule("replica_lost", _R.UPSTREAM_UNREACHABLE, Same.REPLICA, Other.ALWAYS, Scope.REPLICA, Effect.FAIL,
         Cause.UNREACHABLE, lost=True),
    Rule("replica_lost_stream", _R.STREAM_INTERRUPTED, scope=Scope.REPLICA,
         cause=Cause.UNREACHABLE, lost=True),
    Rule("draining", _R.GATEWAY_DRAINING, Same.REPLICA, Other.ALWAYS, Scope.REPLICA, Effect.DRAIN, Cause.NOT_SERVING),
    Rule("draining_stream", _R.STREAM_INTERRUPTED, scope=Scope.REPLICA, effect=Effect.DRAIN, cause=Cause.NOT_SERVING,
         code="GATEWAY_DRAINING"),
    Rule("replica_busy", _R.GATEWAY_OVERLOADED, Same.REPLICA, Other.ALWAYS),
    Rule("replica_bug", _R.GATEWAY_INTERNAL, Same.NEVER, Other.ALWAYS, Scope.REPLICA, Effect.FAIL, Cause.ERRORS),
    # The way to the provider, as the adapter sees it.
    Rule("connect", _R.UPSTREAM_UNREACHABLE, Same.ONCE, Other.ALWAYS, Scope.ENDPOINT, Effect.FAIL, Cause.UNREACHABLE),
    Rule("malformed", _R.UPSTREAM_PROTOCOL, Same.ONCE, Other.ALWAYS, Scope.ENDPOINT, Effect.FAIL, Cause.ERRORS),
    Rule("broken_stream", _R.STREAM_INTERRUPTED, scope=Scope.ENDPOINT, cause=Cause.ERRORS),
    Rule("gateway_5xx", _R.PROVIDER_ERROR, Same.IF_FAST, Other.ALWAYS, Scope.ENDPOINT, Effect.FAIL, Cause.ERRORS,
         http=frozenset({502, 503, 504})),
    Rule("transient_4xx", _R.PROVIDER_ERROR, Same.ONCE, Other.ALWAYS, http=frozenset({408, 425})),
    Rule("reset_pre", _R.PROVIDER_ERROR, Same.ONCE, Other.ALWAYS, Scope.ENDPOINT, Effect.FAIL, Cause.ERRORS,
         http=frozenset({0})),
    # The model at the provider.
    Rule("http_500", _R.PROVIDER_ERROR, Same.ONCE, Other.ALWAYS, Scope.POOL, Effect.FAIL, Cause.ERRORS, 0.5),
    Rule("overloaded", _R.PROVIDER_OVERLOADED, Same.NEVER, Other.ALWAYS, Scope.POOL, Effect.DEGRADE,
         Cause.OVERLOADED, 0.0),
    Rule("ttft", _R.UPSTREAM_TIMEOUT, Same.NEVER, Other.ALWAYS, Scope.POOL, Effect.SLOW, Cause.SLOW, 0.5),
    Rule("rate", _R.RATE_LIMITED, Same.NEVER, Other.ALWAYS, Scope.POOL, Effect.LIMIT, Cause.RATE_LIMIT),
    Rule("no_model_other_version", _R.MODEL_NOT_FOUND, Same.KEY, Other.ALIAS, other_version=True),
    Rule("no_model", _R.MODEL_NOT_FOUND, Same.NEVER, Other.ALIAS),
    # The key and the account.
    Rule("callers_key", _R.PROVIDER_CREDENTIALS, callers_key=True),
    Rule("auth_other_version", _R.PROVIDER_CREDENTIALS, Same.KEY, Other.ALWAYS, other_version=True),
    Rule("permission", _R.PROVIDER_CREDENTIALS, Same.NEVER, Other.ALWAYS, Scope.KEY_MODEL, Effect.DISABLE,
         Cause.PERMISSION, http=frozenset({403})),
    Rule("auth", _R.PROVIDER_CREDENTIALS, Same.NEVER, Other.ALWAYS, Scope.KEY, Effect.DISABLE, Cause.AUTH),
    Rule("billing_other_version", _R.QUOTA_EXHAUSTED, Same.KEY, Other.ALWAYS, other_version=True),
    Rule("billing", _R.QUOTA_EXHAUSTED, Same.NEVER, Other.ALWAYS, Scope.ACCOUNT, Effect.DISABLE, Cause.BILLING),
    # Nobody's fault, or not the provider's.
    Rule("context_length", _R.CONTEXT_LENGTH_EXCEEDED, Same.NEVER, Other.LARGER),
    Rule("conflict", _R.CONFLICT, Same.ONCE, Other.ALWAYS),
    Rule("unsupported", _R.OPERATION_UNSUPPORTED, Same.NEVER, Other.ALWAYS),
    *(
        Rule("caller", reason)
        for reason in (
            _R.INVALID_REQUEST, _R.PARAM_UNSUPPORTED, _R.REQUEST_TOO_LARGE, _R.OPAQUE_STATE_REJECTED,
            _R.CONTENT_BLOCKED,
        )
    ),
    Rule("client_gone", _R.CANCELLED),
    Rule("client_gone", _R.DEADLINE_EXCEEDED),
)  # fmt: skip
# A reason of a newer contract, or one that no adapter has to send: by its own advice, and nobody is blamed.
_UNKNOWN_MAY: Final = Rule("unknown", _R.UNSPECIFIED, Same.NEVER, Other.ALWAYS)
_UNKNOWN: Final = Rule("unknown", _R.UNSPECIFIED)


def classified(failure: Failure) -> Rule:
    """The row for `failure`."""
    for rule in RULES:
        if rule.matches(failure):
            return rule
    return _UNKNOWN_MAY if failure.retry_other else _UNKNOWN


def first_content_timeout(elapsed_s: float) -> Failure:
    """The failure of an attempt that this router gave up because its first content took too long."""
    return Failure(Reason.UPSTREAM_TIMEOUT, retry_other=True, elapsed_s=elapsed_s)


def is_upstream(rule: Rule) -> bool:
    """Whether the failure says something about the upstream; a caller's mistake does not."""
    return rule.other is Other.ALWAYS or rule.scope is not None
