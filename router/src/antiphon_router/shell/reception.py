"""Owns the taking in of a call: through the gate, and within what its caller may take, by the limits in use."""

from typing import Final

from antiphon.config.v1 import suite_pb2
from antiphon_router.shell.callers import Caller, Callers, Incoming, Peer
from antiphon_router.shell.gate import Gate
from antiphon_router.shell.wire import used_tokens

BYTES_IN_FLIGHT_PER_REQUEST: Final = 8


class Visit:
    """A call that was taken in. `leave` is called once, whatever became of it."""

    __slots__ = ("_caller", "_estimate", "_gate", "_priority", "_size")

    def __init__(self, gate: Gate, size: int, priority: int, caller: Caller | None, estimate: float) -> None:
        self._gate = gate
        self._size = size
        self._priority = priority
        self._caller = caller
        self._estimate = estimate

    def leave(self, end: bytes) -> None:
        """It ended, with the terminal record `end` or, empty, without one."""
        self._gate.leave(self._size, self._priority)
        caller = self._caller
        if caller is not None:
            caller.leave(self._estimate, used_tokens(end) if caller.counts_tokens else None)


class Reception:
    """Takes calls in. `max_calls` and `request_bytes` are what the process allows where the limits say nothing.

    `certified`: callers show certificates.
    """

    def __init__(self, gate: Gate, *, max_calls: int, request_bytes: int, certified: bool = True) -> None:
        self._gate = gate
        self._max_calls = max_calls
        self._request_bytes = request_bytes
        self._certified = certified
        self._callers: Callers | None = None
        self._limits = suite_pb2.Limits()

    def follow(self, limits: suite_pb2.Limits) -> None:
        """Go by `limits` from now on. What callers have drawn is forgotten only if limits changed."""
        self._gate.resize(
            limits.max_in_flight or self._max_calls,
            limits.max_bytes_in_flight or BYTES_IN_FLIGHT_PER_REQUEST * self._request_bytes,
        )
        self._gate.adapt(limits.adaptive)
        if limits != self._limits:
            self._limits = limits
            callers = Callers(limits, certified=self._certified)
            self._callers = None if callers.unlimited else callers

    def take(self, incoming: Incoming, peer: Peer, size: int, priority: int) -> Visit:
        """Take in a call with a request of `size` bytes. Raises CallFailure (GATEWAY_...) if it has to wait outside."""
        if self._callers is None:
            self._gate.enter(size, priority)
            return Visit(self._gate, size, priority, None, 0.0)
        caller = self._callers.find(incoming, peer)
        priority = caller.priority(priority)
        self._gate.enter(size, priority)
        try:
            return Visit(self._gate, size, priority, caller, caller.enter(size))
        except BaseException:
            self._gate.leave(size, priority)
            raise
