"""Owns the I/O of Cohere's v2 API: implements the kit's ports for chat, embeddings and rerank.

What is sent once per process or per key comes from the official SDK: authorization, version headers, the list of
models, and typed errors for it. The calls themselves go through the kit's egress as the codec's bytes.

Forbids itself: retries, logging, and parsing of any body.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final

from antiphon.llm.v1 import chat_pb2, embedding_pb2, error_pb2, models_pb2, options_pb2, rerank_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error, failure
from antiphon_kit.egress import Egress, Exchange
from antiphon_kit.provider import Batch, EmbedJob, NativeJob, NativeOperation, NativePiece, RerankJob, Turn
from antiphon_kit.secrets import Secret, SecretSource
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

READY_FOR_S: Final = 60.0
"""How long a healthy answer to the probe is believed."""

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
# After the vendor's last word the connection is read to its end, so that it can be used again; not for long.
_REST_S: Final = 0.5


class CohereAdapter:
    """One account. Create it inside the running loop."""

    def __init__(self, keys: SecretSource, *, base_url: str = BASE_URL, connect_timeout_s: float = 5.0) -> None:
        self._keys = keys
        self._vendor = Vendor(base_url, timeout_s=connect_timeout_s)
        self._egress = Egress(connect_timeout_s)
        self._ready_until_s = 0.0
        self._ready_key: Secret | None = None

    @property
    def name(self) -> str:
        return NAME

    async def generate(self, turn: Turn) -> AsyncIterator[Batch]:
        """One upstream call; see ChatProvider."""
        model = _model(turn)
        encoded = encode_chat(turn.request, model=model, max_output_tokens=turn.max_output_tokens)
        key = await self._keys.current()
        headers = {**self._vendor.headers(key), **encoded.headers, "Accept": "text/event-stream"}
        url = self._vendor.url("v2/chat")
        async with self._egress.post(url, headers, encoded.body, turn.milestones) as exchange:
            answered = _lower(exchange.headers)
            if exchange.status != 200 or not _is_stream(answered):
                raise CallFailure(await _refusal(exchange, answered, model, key))
            stream = ChatStream(
                native=turn.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH,
                warnings=encoded.warnings,
                request_id=request_id(answered),
                rate_limits=rate_limits(answered, time.time()),
                model=model,
            )
            async with contextlib.aclosing(exchange.chunks()) as chunks:  # type: ignore[type-var]  # it is a generator
                async for data in chunks:
                    if batch := stream.feed(data):
                        yield batch
                    stream.check()
                    if stream.done:
                        await _read_rest(chunks)
                        break
            if batch := stream.close():
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
        key = await self._keys.current()
        tunnel = Tunnel(self._egress, self._vendor.base_url, partial(refusal, key, model=job.model))
        headers = self._vendor.headers(key)
        credentials = {name: value for name, value in headers.items() if name == "Authorization"}
        pieces = tunnel.stream(job, credentials, headers)
        async with contextlib.aclosing(pieces):  # type: ignore[type-var]  # it is a generator
            async for piece in pieces:
                yield piece

    async def _ask(self, path: str, encoded: Encoded, job: EmbedJob | RerankJob) -> tuple[bytes, Mapping[str, str]]:
        """The body of a whole answer, and its headers in lower case."""
        key = await self._keys.current()
        headers = {**self._vendor.headers(key), **encoded.headers, "Accept": "application/json"}
        async with self._egress.post(self._vendor.url(path), headers, encoded.body, job.milestones) as exchange:
            answered = _lower(exchange.headers)
            if exchange.status != 200:
                raise CallFailure(await _refusal(exchange, answered, _model(job), key))
            return await exchange.read(MAX_ANSWER_BYTES), answered

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """Cohere's tokenize counts a text, without the preamble and the marks that a chat adds: another number."""
        raise failure(Reason.ERROR_REASON_OPERATION_UNSUPPORTED, f"{NAME} does not count the tokens of a chat")

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """The models of the account, as the vendor lists them."""
        return await self._vendor.list_models(await self._keys.current())

    async def ready(self) -> None:
        """There is a key, and the vendor takes it. Asks the vendor at most once a minute while it is well."""
        key = await self._keys.current()
        now_s = time.monotonic()
        if now_s < self._ready_until_s and key is self._ready_key:
            return
        self._ready_until_s = 0.0
        await self._vendor.probe(key)
        self._ready_until_s = now_s + READY_FOR_S
        self._ready_key = key

    async def aclose(self) -> None:
        """Close the connections."""
        await self._egress.aclose()
        await self._vendor.aclose()


def _model(job: Turn | EmbedJob | RerankJob) -> str:
    """The vendor's id. Called without a router, a caller may have given one of `list_models`."""
    return job.model.removeprefix(f"{NAME}/") if job.model == job.request.model else job.model


async def _refusal(exchange: Exchange, headers: Mapping[str, str], model: str, key: Secret) -> error_pb2.CallError:
    """What an answer that is not the wanted one means."""
    body = await exchange.read_error_body(error_body.MAX_BODY_BYTES)
    if exchange.status != 200:
        return refusal(key, exchange.status, headers, body, model=model)
    if error_body.read_body(body) != error_body.Facts():
        return classification.classify_in_stream(NAME, body, model=model, extra=ERRORS)
    return call_error(
        Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
        f"{NAME} answered with {_media_type(headers) or 'no type'} instead of a stream; check its base URL",
        provider=NAME,
        model=model,
        http_status=200,
        native_type="content_type",
    )


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_stream(headers: Mapping[str, str]) -> bool:
    # What is surely something else is not read as a stream.
    return _media_type(headers) not in ("application/json", "text/html", "application/problem+json")


async def _read_rest(chunks: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(TimeoutError, CallFailure):
        async with asyncio.timeout(_REST_S):
            async for _ in chunks:
                pass
