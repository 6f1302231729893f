"""Owns the calls to the provider that are under way: the limits of each, and that a drain can end them all."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from antiphon.llm.v1 import options_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, call_error, failure
from antiphon_kit.call import Call
from antiphon_kit.deadlines import Limits
from antiphon_kit.provider import Job
from antiphon_kit.settings import ServiceSettings
from antiphon_kit.stream import Reader, Sink, Witness

Item = TypeVar("Item")

MAX_MS: Final = 3_600_000


class Upstream:
    """Calls of one provider; `provider` is its name. `cut()` ends what runs, for a drain out of time."""

    def __init__(self, provider: str, settings: ServiceSettings) -> None:
        self.provider = provider
        self.settings = settings
        self._readers: set[Reader[Any]] = set()
        self._limits = Limits(
            first_event_s=settings.first_event_timeout_s,
            between_events_s=settings.between_events_timeout_s,
            total_s=settings.total_timeout_s,
        )
        # Nobody can tell a silent vendor from one that writes a long answer, which a tunnel gets as a whole.
        self._patient = replace(self._limits, first_event_s=settings.total_timeout_s)

    def cut(self) -> None:
        """End running calls with GATEWAY_DRAINING."""
        for reader in tuple(self._readers):
            reader.interrupt(
                call_error(
                    Reason.ERROR_REASON_GATEWAY_DRAINING,
                    "this process is stopping and the call did not end in time; send it to another replica",
                )
            )

    def limits(self, call: Call, options: options_pb2.CallOptions, *, patient: bool = False) -> Limits:
        """Limits of `call`. `patient`: the first event may take the whole time, unless the caller says otherwise.

        Raises CallFailure for a limit of the router's that is no number.
        """
        limits = self._patient if patient else self._limits
        remaining_s = call.time_left_s()
        if remaining_s is not None or options.HasField("timeouts"):
            limits = limits.narrowed(options.timeouts, remaining_s)
        told_ms = call.metadata.get(metadata.FIRST_CONTENT)
        if told_ms is None or patient:
            return limits
        # The router's limit is for its failover; a caller cannot raise it.
        return replace(limits, first_event_s=min(limits.first_event_s, _seconds(told_ms)))

    def reading(
        self,
        items: Callable[[], AsyncIterator[Item]],
        job: Job[Any],
        witness: Witness[Item],
        sink: Sink[Item],
        limits: Limits,
    ) -> Reader[Item]:
        """A call to the provider, begun on entering it."""
        return Reader(items, job, witness, sink, provider=self.provider, limits=limits, running=self._readers)


def _seconds(told_ms: str | bytes) -> float:
    if not (isinstance(told_ms, str) and told_ms.isascii() and told_ms.isdecimal() and 0 < int(told_ms) <= MAX_MS):
        raise failure(
            Reason.ERROR_REASON_INVALID_REQUEST,
            f"metadata {metadata.FIRST_CONTENT}: not usable; send 1 to {MAX_MS} ms, or leave it out",
            param=metadata.FIRST_CONTENT,
        )
    return int(told_ms) / 1000
