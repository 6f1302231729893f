"""Owns the ports a provider implements; everything else in a provider service is the kit's.

An adapter is a ChatProvider. What else its vendor can do it declares by having the method: EmbeddingProvider,
RerankProvider, CompletionProvider and NativeProvider are looked for structurally (`isinstance`), and a service whose
port an adapter lacks answers OPERATION_UNSUPPORTED. An adapter of several vendors that has the method for some of
them raises that itself.

Streams come as batches: the events that one upstream read produced, in the order of the contract, without `end`.
An adapter yields `start` first, keeps usage cumulative, and simply returns when the upstream finished well. Any
failure is raised as `CallFailure`. The upstream connection is closed in a `finally`: the kit closes the generator, or
cancels the coroutine, when the caller goes away or a limit fires.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from antiphon.llm.v1 import (
    chat_pb2,
    completion_pb2,
    embedding_pb2,
    error_pb2,
    models_pb2,
    native_pb2,
    rerank_pb2,
    response_pb2,
)
from antiphon_kit.key_ring import KeyRing
from antiphon_kit.key_versions import KeyVersion

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


Request = TypeVar("Request")


@dataclass(slots=True)
class Job(Generic[Request]):
    """One call as an adapter sees it.

    `model` is the provider's own id; it overrides `request.model`. `max_output_tokens` is what the operator wants
    where the caller asked for nothing (0: nothing). `key`: for the record, filled by KeyRing.lease.
    """

    request: Request
    model: str
    state_domain: str = ""
    max_output_tokens: int = 0
    milestones: Milestones = field(default_factory=Milestones)
    key: KeyVersion | None = field(default=None, repr=False)


@dataclass(slots=True)
class Turn(Job[chat_pb2.StreamGenerateRequest]):
    """A call of ChatService. The request is the same for all its RPCs: they share fields 1 to 4."""


CompletionJob: TypeAlias = Job[completion_pb2.StreamCompleteRequest]
EmbedJob: TypeAlias = Job[embedding_pb2.EmbedRequest]
RerankJob: TypeAlias = Job[rerank_pb2.RerankRequest]
NativeJob: TypeAlias = Job[native_pb2.StreamNativeRequest]


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


@runtime_checkable
class KeyHolder(Protocol):
    """An adapter whose calls carry a key: the kit keeps the ring live and tells the coordinator about it."""

    @property
    def keys(self) -> KeyRing:
        """One and the same for the adapter's life."""
        ...


@runtime_checkable
class EmbeddingProvider(Protocol):
    """A vendor that makes vectors."""

    async def embed(self, job: EmbedJob) -> embedding_pb2.EmbedResponse:
        """Make one upstream call, never repeated.

        Of the response the adapter fills `sets`, `native` if it is asked for, in `start` what the vendor told, and in
        `end` no more than usage, warnings, service_tier and native_json.
        """
        ...


@runtime_checkable
class RerankProvider(Protocol):
    """A vendor that orders documents."""

    async def rerank(self, job: RerankJob) -> rerank_pb2.RerankResponse:
        """Make one upstream call, never repeated; `results` best first, the rest as for `embed`."""
        ...


@runtime_checkable
class CompletionProvider(Protocol):
    """A vendor that completes texts."""

    def complete(self, job: CompletionJob) -> AsyncIterator[Batch]:
        """Make one upstream call, never repeated, and yield its events: those of `generate`, text parts only."""
        ...


@dataclass(frozen=True, slots=True)
class NativeOperation:
    """What of a vendor's HTTP API may be called: a method and a path without query, in the words of `dialects`."""

    method: str
    path: str
    dialects: Sequence[str]


@dataclass(frozen=True, slots=True)
class NativeHead:
    """How an HTTP answer begins: status, header fields in their order, and from status 400 on what that means."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    error: error_pb2.CallError | None = None


NativePiece: TypeAlias = NativeHead | bytes


@runtime_checkable
class NativeProvider(Protocol):
    """A vendor whose own HTTP API may be called through the gateway."""

    @property
    def native_operations(self) -> Sequence[NativeOperation]:
        """The allow-list; the kit lets nothing else through."""
        ...

    def stream_native(self, job: NativeJob) -> AsyncIterator[NativePiece]:
        """Make the HTTP request, never repeated, and yield one head, then the body as it arrives, never changed.

        The kit has checked the request, taken hop-by-hop and authentication headers out of it, and does the first to
        the answer's; the adapter adds its credentials. A status is never raised, it is in the head.
        """
        ...
