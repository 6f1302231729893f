"""Owns the door to this API's pure half: requests out, answers in. No I/O, no SDK, no kit."""

from antiphon_provider_cohere.codec.capabilities import BASE_URL, NAME, support
from antiphon_provider_cohere.codec.catalogue import read_models
from antiphon_provider_cohere.codec.embeddings import encode_embed, read_embeddings
from antiphon_provider_cohere.codec.failures import ERRORS, read_failure
from antiphon_provider_cohere.codec.limits import rate_limits, request_id
from antiphon_provider_cohere.codec.request import encode_chat
from antiphon_provider_cohere.codec.reranking import encode_rerank, read_rerank
from antiphon_provider_cohere.codec.scope import Encoded
from antiphon_provider_cohere.codec.stream import ChatStream

__all__ = [
    "BASE_URL",
    "ERRORS",
    "NAME",
    "ChatStream",
    "Encoded",
    "encode_chat",
    "encode_embed",
    "encode_rerank",
    "rate_limits",
    "read_embeddings",
    "read_failure",
    "read_models",
    "read_rerank",
    "request_id",
    "support",
]
