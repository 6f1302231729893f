"""Owns how much work a process takes on at once: calls in flight, bytes of requests in flight, and none in a drain.

gRPC's own limit answers without details, so it is not used.
"""

from types import TracebackType
from typing import Final

from antiphon_contract.errors import Reason, failure

RETRY_DELAY_S: Final = 0.25


class Admission:
    """Counts what is in flight. `slot(size)` is a context manager that takes one call in or raises CallFailure."""

    def __init__(self, max_concurrency: int, max_bytes_in_flight: int) -> None:
        self._max_concurrency = max_concurrency
        self._max_bytes = max_bytes_in_flight
        self._closed = False
        self.calls = 0
        self.bytes = 0

    def close(self) -> None:
        """Take no further call: this process is stopping."""
        self._closed = True

    def slot(self, size: int) -> "Slot":
        """Room for a call whose request has `size` bytes; raises on entering, never waits."""
        return Slot(self, size)

    def enter(self, size: int) -> None:
        if self._closed:
            raise failure(
                Reason.ERROR_REASON_GATEWAY_DRAINING, "this process is stopping; send the call to another replica"
            )
        # A single large request is always let in: its size has a limit of its own.
        if self.calls >= self._max_concurrency or (self.calls and self.bytes + size > self._max_bytes):
            what = "calls" if self.calls >= self._max_concurrency else "request bytes"
            raise failure(
                Reason.ERROR_REASON_GATEWAY_OVERLOADED,
                f"too many {what} in flight (limits: {self._max_concurrency} calls, {self._max_bytes} bytes); "
                "try again shortly or send the call to another replica",
                retry_delay_s=RETRY_DELAY_S,
            )
        self.calls += 1
        self.bytes += size

    def leave(self, size: int) -> None:
        self.calls -= 1
        self.bytes -= size


class Slot:
    """One admitted call."""

    __slots__ = ("_admission", "_size")

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._size = size

    def __enter__(self) -> None:
        self._admission.enter(self._size)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.leave(self._size)
