"""Owns the I/O of Cohere's v2 API: implements the kit's ports for chat, embeddings and rerank.

What is sent once per process or per key comes from the official SDK: authorization, version headers, the list of
models, and typed errors for it. The calls themselves go through the kit's egress as the codec's bytes.

Forbids itself: retries, logging, and parsing of any body.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final

from antiphon.llm.v1 import chat_pb2, embedding_pb2, error_pb2, models_pb2, options_pb2, rerank_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.egress import Egress, Exchange
from antiphon_kit.key_ring import KeyLease, KeyRing
from antiphon_kit.provider import Batch, EmbedJob, NativeJob, NativeOperation, NativePiece, RerankJob, Turn
from antiphon_kit.secrets import SecretSource
from antiphon_provider_cohere.codec import (
    BASE_URL,
    ERRORS,
    NAME,
    ChatStream,
    Encoded,
    encode_chat,
    encode_embed,
    encode_rerank,
    rate_limits,
    read_embeddings,
    read_rerank,
    request_id,
)
from antiphon_provider_cohere.native import operations
from antiphon_provider_cohere.vendor import Vendor, refusal
from antiphon_wires import classification, error_body
from antiphon_wires.http_tunnel import Tunnel
from antiphon_wires.known_deltas import KnownDeltas
from antiphon_wires.readiness import Readiness
from antiphon_wires.streamed_answer import Batches, is_stream, no_stream

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024


class CohereAdapter:
    """One account. Create it inside the running loop."""

    def __init__(
        self, keys: SecretSource | KeyRing, *, base_url: str = BASE_URL, connect_timeout_s: float = 5.0
    ) -> None:
        self._vendor = Vendor(base_url, timeout_s=connect_timeout_s)
        self.keys = KeyRing.of(keys, prove=self._vendor.probe)
        self._egress = Egress(connect_timeout_s)
        self._readiness = Readiness()
        self._known = KnownDeltas()

    @property
    def name(self) -> str:
        return NAME

    async def generate(self, turn: Turn) -> AsyncIterator[Batch]:
        """One upstream call; see ChatProvider."""
        model = _model(turn)
        encoded = encode_chat(turn.request, model=model, max_output_tokens=turn.max_output_tokens)
        url = self._vendor.url("v2/chat")
        async with (
            self.keys.lease(model, turn) as key,
            self._egress.post(
                url, self._headers(key, encoded, "text/event-stream"), encoded.body, turn.milestones
            ) as exchange,
        ):
            answered = _lower(exchange.headers)
            if exchange.status != 200 or not is_stream(answered):
                raise CallFailure(await _refusal(exchange, answered, model, key))
            key.accepted()
            stream = ChatStream(
                native=turn.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH,
                warnings=encoded.warnings,
                request_id=request_id(answered),
                rate_limits=rate_limits(answered, time.time()),
                model=model,
                known=self._known,
            )
            async for batch in Batches(exchange, stream):
                yield batch

    async def embed(self, job: EmbedJob) -> embedding_pb2.EmbedResponse:
        """One upstream call; see EmbeddingProvider."""
        encoded = encode_embed(job.request, model=_model(job))
        body, answered = await self._ask("v2/embed", encoded, job)
        return read_embeddings(body, job.request, encoded, answered, time.time())

    async def rerank(self, job: RerankJob) -> rerank_pb2.RerankResponse:
        """One upstream call; see RerankProvider."""
        encoded = encode_rerank(job.request, model=_model(job))
        body, answered = await self._ask("v2/rerank", encoded, job)
        return read_rerank(body, job.request, encoded, answered, time.time())

    @property
    def native_operations(self) -> Sequence[NativeOperation]:
        """See NativeProvider."""
        return operations()

    async def stream_native(self, job: NativeJob) -> AsyncIterator[NativePiece]:
        """One HTTP exchange; see NativeProvider."""
        async with self.keys.lease(job.model, job) as key:
            tunnel = Tunnel(self._egress, self._vendor.base_url, partial(_refused, job.model, key), key=key)
            headers = self._vendor.headers(key.secret)
            credentials = {name: value for name, value in headers.items() if name == "Authorization"}
            pieces = tunnel.stream(job, credentials, headers)
            async with contextlib.aclosing(pieces):  # type: ignore[type-var]  # it is a generator
                async for piece in pieces:
                    yield piece

    def _headers(self, key: KeyLease, encoded: Encoded, accept: str) -> dict[str, str]:
        return {**self._vendor.headers(key.secret), **encoded.headers, "Accept": accept}

    async def _ask(self, path: str, encoded: Encoded, job: EmbedJob | RerankJob) -> tuple[bytes, Mapping[str, str]]:
        """The body of a whole answer, and its headers in lower case."""
        model, url = _model(job), self._vendor.url(path)
        async with (
            self.keys.lease(model, job) as key,
            self._egress.post(
                url, self._headers(key, encoded, "application/json"), encoded.body, job.milestones
            ) as exchange,
        ):
            answered = _lower(exchange.headers)
            if exchange.status != 200:
                raise CallFailure(await _refusal(exchange, answered, model, key))
            key.accepted()
            return await exchange.read(MAX_ANSWER_BYTES), answered

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """Cohere's tokenize counts a text, without the preamble and the marks that a chat adds: another number."""
        raise failure(Reason.ERROR_REASON_OPERATION_UNSUPPORTED, f"{NAME} does not count the tokens of a chat")

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """The models of the account, as the vendor lists them."""
        async with self.keys.lease() as key:
            return await self._vendor.list_models(key.secret)

    async def ready(self) -> None:
        """There is a key, and the vendor takes it. Asks the vendor at most once a minute while it is well."""
        await self._readiness.check(self.keys, self._vendor.probe)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._egress.aclose()
        await self._vendor.aclose()


def _model(job: Turn | EmbedJob | RerankJob) -> str:
    """The vendor's id. Called without a router, a caller may have given one of `list_models`."""
    return job.model.removeprefix(f"{NAME}/") if job.model == job.request.model else job.model


async def _refusal(exchange: Exchange, headers: Mapping[str, str], model: str, key: KeyLease) -> error_pb2.CallError:
    """What an answer that is not the wanted one means."""
    body = await exchange.read_error_body(error_body.MAX_BODY_BYTES)
    if exchange.status != 200:
        return _refused(model, key, exchange.status, headers, body)
    if error_body.read_body(body) != error_body.Facts():
        return key.refused(classification.classify_in_stream(NAME, body, model=model, extra=ERRORS))
    return no_stream(NAME, model, headers)


def _refused(model: str, key: KeyLease, status: int, headers: Mapping[str, str], body: bytes) -> error_pb2.CallError:
    return key.refused(refusal(key.secret, status, headers, body, model=model))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
