"""Owns the port a provider implements; everything else in a provider service is the kit's.

An adapter yields batches: the events that one upstream read produced, in the order of the contract, without `end`.
It yields `start` first, keeps usage cumulative, and simply returns when the upstream finished well. Any failure is
raised as `CallFailure`. The upstream connection is closed in a `finally`: the kit closes the generator when the
caller goes away or a limit fires.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from antiphon.llm.v1 import chat_pb2, models_pb2, response_pb2

Batch = Sequence[response_pb2.StreamEvent]


@dataclass(slots=True)
class Milestones:
    """When the upstream call passed its stations, on the monotonic clock, in seconds. None: not yet."""

    sent: float | None = None
    connected: float | None = None
    first_byte: float | None = None

    def mark_sent(self) -> None:
        self.sent = time.monotonic()

    def mark_connected(self) -> None:
        self.connected = time.monotonic()

    def mark_first_byte(self) -> None:
        if self.first_byte is None:
            self.first_byte = time.monotonic()


@dataclass(slots=True)
class Turn:
    """One call as an adapter sees it.

    `request` is a StreamGenerateRequest for every RPC of ChatService: fields 1 to 4 are the same in all three.
    `model` is the provider's own id; it overrides `request.model`. `max_output_tokens` is what the operator wants
    where the caller asked for nothing (0: nothing).
    """

    request: chat_pb2.StreamGenerateRequest
    model: str
    state_domain: str = ""
    max_output_tokens: int = 0
    milestones: Milestones = field(default_factory=Milestones)


class ChatProvider(Protocol):
    """One vendor, seen through the contract. Each failure is a `CallFailure`."""

    @property
    def name(self) -> str:
        """Provider name, as in ResponseStart.provider."""
        ...

    def generate(self, turn: Turn) -> AsyncIterator[Batch]:
        """Make one upstream call, never repeated, and yield its events."""
        ...

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """Count the input; OPERATION_UNSUPPORTED where the vendor cannot."""
        ...

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """The models, in any order; `id`, `provider` and `native_id` set."""
        ...

    async def ready(self) -> None:
        """Return if calls can be served now; raise `CallFailure` with the reason otherwise. Must be cheap."""
        ...

    async def aclose(self) -> None:
        """Give back what the adapter holds. Called once, after the last call ended."""
        ...
