"""Async and sync client of an Antiphon router: stream or whole answer, typed events, typed errors, no retries."""

from antiphon_client.answer import Answer
from antiphon_client.blocking import Client, Stream
from antiphon_client.client import AdminClient, AsyncClient
from antiphon_client.conversation import Conversation
from antiphon_client.errors import (
    AntiphonError,
    Cancelled,
    ContentBlocked,
    ContextLengthExceeded,
    CredentialsRefused,
    DeadlineExceeded,
    Forbidden,
    Internal,
    InvalidRequest,
    NotAuthorised,
    NotFound,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    RouterUnreachable,
    StreamInterrupted,
    StreamMalformed,
    Unauthenticated,
    Unsupported,
)
from antiphon_client.requests import CallArguments, Prompt, RouteArguments
from antiphon_client.results import Embeddings, Ranking
from antiphon_client.service_requests import CompleteArguments, EmbedArguments, NativeArguments, RerankArguments
from antiphon_client.stream import AsyncStream
from antiphon_contract.tls import TlsFiles

__all__ = [
    "AdminClient",
    "Answer",
    "AntiphonError",
    "AsyncClient",
    "AsyncStream",
    "CallArguments",
    "Cancelled",
    "Client",
    "CompleteArguments",
    "ContentBlocked",
    "ContextLengthExceeded",
    "Conversation",
    "CredentialsRefused",
    "DeadlineExceeded",
    "EmbedArguments",
    "Embeddings",
    "Forbidden",
    "Internal",
    "InvalidRequest",
    "NativeArguments",
    "NotAuthorised",
    "NotFound",
    "Prompt",
    "ProviderUnavailable",
    "QuotaExhausted",
    "Ranking",
    "RateLimited",
    "RequestTooLarge",
    "RerankArguments",
    "RouteArguments",
    "RouterUnreachable",
    "Stream",
    "StreamInterrupted",
    "StreamMalformed",
    "TlsFiles",
    "Unauthenticated",
    "Unsupported",
]
