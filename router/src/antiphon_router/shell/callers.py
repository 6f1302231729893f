"""Owns what each caller may take: calls at once, requests and tokens per minute, and its best priority.

Who a caller is: the SPIFFE id, else the common name of its certificate, else its address; metadata `antiphon-caller`
only where the routes file trusts it. Tokens are drawn as an estimate and put right by the usage of the answer.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from antiphon.config.v1 import suite_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_router.core import meter
from antiphon_router.core.meter import Bounds, Used
from antiphon_router.shell.ask import unusable

MAX_CALLERS: Final = 10_000
MAX_CALLER_CHARS: Final = 128

Incoming = Mapping[str, str | bytes]


class Peer(Protocol):
    """What is known of who calls; a ServicerContext."""

    def peer(self) -> str:
        """Its address as gRPC writes it, "ipv4:127.0.0.1:5000"."""
        ...

    def auth_context(self) -> Mapping[str, Iterable[object]]:
        """What its certificate says."""
        ...


class Caller:
    """One caller and what it has drawn. Raises CallFailure (GATEWAY_RATE_LIMITED) where that is too much."""

    __slots__ = ("_best", "_bounds", "_clock", "_meter", "_most", "counts_tokens", "name", "running")

    def __init__(self, name: str, limit: suite_pb2.CallerLimit, clock: Callable[[], float]) -> None:
        self.name = name
        self.running = 0
        self._best, self._most = limit.best_priority, limit.max_in_flight
        self._clock = clock
        self._bounds = Bounds(limit.requests_per_minute, limit.tokens_per_minute)
        self.counts_tokens = limit.tokens_per_minute > 0
        """Whether it matters what its answers used."""
        self._meter = meter.Meter()

    def priority(self, asked: int) -> int:
        """The priority its call gets."""
        return max(asked, self._best)

    def enter(self, size: int) -> float:
        """Take a call with a request of `size` bytes; returns the tokens drawn for it, to be given to `leave`."""
        now, most = self._clock(), self._most
        if most and self.running >= most:
            raise self._limited(f"{most} calls at once", "wait for one of them to end", None)
        tokens = meter.estimate(self._meter, size)
        waits = meter.wait(self._meter, self._bounds, tokens, now)
        if waits is not None:
            raise self._limited(waits.bound, f"try again in {waits.seconds:.1f} s", waits.seconds)
        meter.draw(self._meter, self._bounds, tokens, now)
        self.running += 1
        return tokens

    def leave(self, tokens: float, used: Used | None) -> None:
        """Its call ended. `used`: input and output tokens; None: not known, so the estimate stands."""
        self.running -= 1
        if used is not None:
            meter.correct(self._meter, self._bounds, tokens, used, self._clock())

    @property
    def is_idle(self) -> bool:
        """Nothing runs and nothing is drawn: forgetting it changes nothing."""
        return not self.running and meter.is_full(self._meter, self._clock())

    def _limited(self, bound: str, remedy: str, wait_s: float | None) -> CallFailure:
        return failure(
            Reason.ERROR_REASON_GATEWAY_RATE_LIMITED,
            f"caller {self.name!r} may have {bound}; {remedy}, or have the limit raised in the routes file",
            retry_delay_s=wait_s,
        )


class Callers:
    """All callers under the limits of a routes file."""

    def __init__(
        self, limits: suite_pb2.Limits, *, certified: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`certified`: callers show certificates; else nobody is asked for one."""
        self._default = limits.default_caller
        self._own = {limit.caller: limit for limit in limits.callers}
        self._trusted = limits.trust_caller_metadata
        self._identity = identity if certified else origin
        self._clock = clock
        self._callers: dict[str, Caller] = {}

    @property
    def unlimited(self) -> bool:
        """Whether there is nothing to watch."""
        return not self._own and not self._default.ByteSize()

    def find(self, incoming: Incoming, peer: Peer) -> Caller:
        """Who calls. Raises CallFailure (INVALID_REQUEST) for a name that cannot be meant."""
        name = self._name(incoming, peer)
        known = self._callers.get(name)
        if known is None:
            if len(self._callers) >= MAX_CALLERS:
                self._callers = {name: caller for name, caller in self._callers.items() if not caller.is_idle}
            known = self._callers[name] = Caller(name, self._own.get(name, self._default), self._clock)
        return known

    def _name(self, incoming: Incoming, peer: Peer) -> str:
        claimed = incoming.get(metadata.CALLER) if self._trusted else None
        if claimed is None:
            return self._identity(peer)
        if not isinstance(claimed, str) or not 0 < len(claimed) <= MAX_CALLER_CHARS:
            raise unusable(metadata.CALLER, f"use 1 to {MAX_CALLER_CHARS} characters")
        return claimed


def identity(peer: Peer) -> str:
    """The name that the transport vouches for."""
    proven = peer.auth_context()
    for kind in ("x509_subject_alternative_name", "x509_common_name"):
        values = proven.get(kind)
        if not values:
            continue
        names = [value.decode(errors="replace") for value in values if isinstance(value, bytes)]
        if kind == "x509_subject_alternative_name":
            names = [name for name in names if name.startswith("spiffe://")]
        if names:
            return names[0]
    return origin(peer)


def origin(peer: Peer) -> str:
    """Where a caller without a certificate calls from."""
    address = peer.peer()
    # The port changes with every connection; a unix socket has none.
    return address.rpartition(":")[0] if address.startswith(("ipv4:", "ipv6:")) else address
