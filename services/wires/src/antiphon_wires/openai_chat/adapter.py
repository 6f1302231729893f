"""Owns the I/O of this wire: implements the kit's port over any chat-completions server.

What is sent once per process or per key comes from the official SDK: base URL, authorization, version and account
headers, the list of models, and typed errors for it. The calls themselves go through the kit's egress as the codec's
bytes: the SDK's own path costs ten times the CPU (docs/results/bench.md).

Forbids itself: retries, logging, and parsing of any body.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from antiphon.llm.v1 import chat_pb2, embedding_pb2, error_pb2, models_pb2, options_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error, failure
from antiphon_kit.egress import Egress, Exchange
from antiphon_kit.provider import (
    Batch,
    CompletionJob,
    EmbedJob,
    NativeJob,
    NativeOperation,
    NativePiece,
    Turn,
)
from antiphon_kit.secrets import Secret, SecretSource
from antiphon_wires import classification, error_body, retry_hints
from antiphon_wires.http_tunnel import Tunnel
from antiphon_wires.openai_chat import native
from antiphon_wires.openai_chat.codec import (
    ChatStream,
    CompletionStream,
    Dialect,
    Encoded,
    decode_embed,
    encode_completion,
    encode_embed,
    encode_request,
)
from antiphon_wires.openai_chat.vendor import Vendor

READY_FOR_S: Final = 60.0
"""How long a healthy answer to the probe is believed."""

# After the vendor's last word the connection is read to its end, so that it can be used again; not for long.
_REST_S: Final = 0.5

_MAX_VECTORS_BYTES: Final = 64 * 1024 * 1024


class OpenAIChatAdapter:
    """One account of one vendor that speaks chat completions. Create it inside the running loop."""

    def __init__(self, dialect: Dialect, keys: SecretSource | None, *, connect_timeout_s: float = 5.0) -> None:
        """`keys` None: the server takes no key."""
        self._dialect = dialect
        self._keys = keys
        self._vendor = Vendor(dialect, timeout_s=connect_timeout_s)
        self._egress = Egress(connect_timeout_s)
        self._ready_until_s = 0.0
        self._ready_key: Secret | None = None

    @property
    def name(self) -> str:
        return self._dialect.name

    def generate(self, turn: Turn) -> AsyncIterator[Batch]:
        """One upstream call; see ChatProvider."""
        model = self._model(turn)
        encode = partial(
            encode_request,
            turn.request,
            self._dialect,
            model=model,
            max_output_tokens=turn.max_output_tokens,
            state_domain=turn.state_domain,
        )
        return self._stream(turn, self._vendor.chat_url, encode, model, kind=ChatStream)

    def complete(self, job: CompletionJob) -> AsyncIterator[Batch]:
        """One upstream call; see CompletionProvider."""
        url = self._url(self._dialect.completion_path, "complete texts")
        model = self._model(job)
        encode = partial(
            encode_completion, job.request, self._dialect, model=model, max_output_tokens=job.max_output_tokens
        )
        return self._stream(job, url, encode, model, kind=CompletionStream)

    async def _stream(
        self,
        turn: Turn | CompletionJob,
        url: str,
        encode: Callable[[], Encoded],
        model: str,
        *,
        kind: type[ChatStream],
    ) -> AsyncIterator[Batch]:
        encoded = encode()
        if encoded.path:
            url = self._vendor.base_url + encoded.path
        key = await self._key()
        headers = {**self._vendor.headers(key), **encoded.headers}
        async with self._egress.post(url, headers, encoded.body, turn.milestones) as exchange:
            answered = {name.lower(): value for name, value in exchange.headers.items()}
            if exchange.status != 200 or not _is_stream(answered):
                raise CallFailure(await self._refusal(exchange, answered, model, key))
            stream = kind(
                self._dialect,
                native=turn.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH,
                warnings=encoded.warnings,
                state_domain=turn.state_domain,
                request_id=answered.get("x-request-id", ""),
                rate_limits=retry_hints.rate_limits(answered, time.time()),
                model=model,
            )
            async with contextlib.aclosing(exchange.chunks()) as chunks:  # type: ignore[type-var]  # it is a generator
                while (data := await _read(chunks, stream)) is not None:
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
        url = self._url(self._dialect.embedding_path, "make vectors")
        model = self._model(job)
        encoded = encode_embed(job.request, self._dialect, model=model)
        key = await self._key()
        headers = {**self._vendor.headers(key), "Accept": "application/json", **encoded.headers}
        async with self._egress.post(url, headers, encoded.body, job.milestones) as exchange:
            answered = {name.lower(): value for name, value in exchange.headers.items()}
            if exchange.status != 200:
                raise CallFailure(await self._refusal(exchange, answered, model, key))
            body = await exchange.read(_MAX_VECTORS_BYTES)
        return decode_embed(
            body,
            job.request,
            self._dialect,
            model=model,
            warnings=encoded.warnings,
            request_id=answered.get("x-request-id", ""),
            rate_limits=retry_hints.rate_limits(answered, time.time()),
        )

    @property
    def native_operations(self) -> Sequence[NativeOperation]:
        """See NativeProvider."""
        return native.operations(self._dialect)

    async def stream_native(self, job: NativeJob) -> AsyncIterator[NativePiece]:
        """One HTTP exchange; see NativeProvider."""
        key = await self._key()
        tunnel = Tunnel(
            self._egress, self._vendor.base_url, partial(self._classified, job.model, key), native.ACCOUNT_HEADERS
        )
        pieces = tunnel.stream(job, self._vendor.credentials(key), self._vendor.defaults(key))
        async with contextlib.aclosing(pieces):  # type: ignore[type-var]  # it is a generator
            async for piece in pieces:
                yield piece

    def _url(self, path: str | None, what: str) -> str:
        if path is None:
            raise failure(Reason.ERROR_REASON_OPERATION_UNSUPPORTED, f"{self.name} does not {what}")
        return self._vendor.base_url + path

    def _model(self, job: Turn | CompletionJob | EmbedJob) -> str:
        """The vendor's id. Called without a router, a caller may have given one of `list_models`."""
        prefix = f"{self._dialect.name}/"
        return job.model.removeprefix(prefix) if job.model == job.request.model else job.model

    async def _key(self) -> Secret | None:
        return await self._keys.current() if self._keys is not None else None

    async def _refusal(
        self, exchange: Exchange, headers: Mapping[str, str], model: str, key: Secret | None
    ) -> error_pb2.CallError:
        """What an answer that is no stream means."""
        body = await exchange.read_error_body(error_body.MAX_BODY_BYTES)
        name, rows = self._dialect.name, self._dialect.errors
        if exchange.status != 200:
            return self._classified(model, key, exchange.status, headers, body)
        if error_body.read_body(body) != error_body.Facts():
            return classification.classify_in_stream(name, body, model=model, extra=rows)
        return call_error(
            Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
            f"{name} answered with {_media_type(headers) or 'no type'} instead of a stream; check its base URL",
            provider=name,
            model=model,
            http_status=200,
            native_type="content_type",
        )

    def _classified(
        self, model: str, key: Secret | None, status: int, headers: Mapping[str, str], body: bytes
    ) -> error_pb2.CallError:
        return classification.classify(
            self._dialect.name,
            status,
            headers,
            body,
            now_s=time.time(),
            model=model,
            extra=self._dialect.errors,
            hide=key.reveal() if key else "",
        )

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """This wire has no such call."""
        raise failure(Reason.ERROR_REASON_OPERATION_UNSUPPORTED, f"{self.name} does not count tokens")

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """The models of the account, as the vendor lists them."""
        return await self._vendor.list_models(await self._key())

    async def ready(self) -> None:
        """There is a key, and the vendor takes it. Asks the vendor at most once a minute while it is well."""
        key = await self._key()
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


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_stream(headers: Mapping[str, str]) -> bool:
    # Small servers forget the type or call it text; what is surely something else is not read as a stream.
    return _media_type(headers) not in ("application/json", "text/html", "application/problem+json")


async def _read(chunks: AsyncIterator[bytes], stream: ChatStream) -> bytes | None:
    """The next piece of the body; None at its end, and where a whole answer lost nothing but the end of its body."""
    try:
        return await anext(chunks, None)
    except CallFailure:
        if stream.finished:
            return None
        raise


async def _read_rest(chunks: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(TimeoutError, CallFailure):
        async with asyncio.timeout(_REST_S):
            async for _ in chunks:
                pass
