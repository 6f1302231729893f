"""Owns the I/O of this wire: implements the kit's port over any chat-completions server.

What is sent once per process or per key comes from the official SDK: base URL, authorization, version and account
headers, the list of models, and typed errors for it. The calls themselves go through the kit's egress as the codec's
bytes: the SDK's own path costs ten times the CPU (docs/results/bench.md).

Forbids itself: retries, logging, and parsing of any body.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from antiphon.llm.v1 import chat_pb2, embedding_pb2, error_pb2, models_pb2, options_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.egress import Egress, Exchange
from antiphon_kit.key_ring import KeyLease, KeyRing
from antiphon_kit.provider import (
    Batch,
    CompletionJob,
    EmbedJob,
    NativeJob,
    NativeOperation,
    NativePiece,
    Turn,
)
from antiphon_kit.secrets import SecretSource
from antiphon_wires import classification, error_body, retry_hints
from antiphon_wires.event_stream import EventStream
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
from antiphon_wires.readiness import Readiness
from antiphon_wires.streamed_answer import Batches, is_stream, no_stream

_MAX_VECTORS_BYTES: Final = 64 * 1024 * 1024


class OpenAIChatAdapter:
    """One account of one vendor that speaks chat completions. Create it inside the running loop."""

    def __init__(
        self, dialect: Dialect, keys: SecretSource | KeyRing | None, *, connect_timeout_s: float = 5.0
    ) -> None:
        """`keys` None: the server takes no key."""
        self._dialect = dialect
        self._vendor = Vendor(dialect, timeout_s=connect_timeout_s)
        self.keys = KeyRing.of(keys, prove=self._vendor.probe)
        self._egress = Egress(connect_timeout_s)
        self._readiness = Readiness()

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
        kind: Callable[..., EventStream],
    ) -> AsyncIterator[Batch]:
        encoded = encode()
        if encoded.path:
            url = self._vendor.base_url + encoded.path
        async with (
            self.keys.lease(model, turn) as key,
            self._egress.post(
                url, {**self._vendor.headers(key.secret), **encoded.headers}, encoded.body, turn.milestones
            ) as exchange,
        ):
            answered = {name.lower(): value for name, value in exchange.headers.items()}
            if exchange.status != 200 or not is_stream(answered):
                raise CallFailure(await self._refusal(exchange, answered, model, key))
            key.accepted()
            stream = kind(
                self._dialect,
                native=turn.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH,
                warnings=encoded.warnings,
                state_domain=turn.state_domain,
                request_id=answered.get("x-request-id", ""),
                rate_limits=retry_hints.rate_limits(answered, time.time()),
                model=model,
            )
            async for batch in Batches(exchange, stream):
                yield batch

    async def embed(self, job: EmbedJob) -> embedding_pb2.EmbedResponse:
        """One upstream call; see EmbeddingProvider."""
        url = self._url(self._dialect.embedding_path, "make vectors")
        model = self._model(job)
        encoded = encode_embed(job.request, self._dialect, model=model)
        async with (
            self.keys.lease(model, job) as key,
            self._egress.post(url, self._for_json(key, encoded.headers), encoded.body, job.milestones) as exchange,
        ):
            answered = {name.lower(): value for name, value in exchange.headers.items()}
            if exchange.status != 200:
                raise CallFailure(await self._refusal(exchange, answered, model, key))
            key.accepted()
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
        async with self.keys.lease(job.model, job) as key:
            tunnel = Tunnel(
                self._egress,
                self._vendor.base_url,
                partial(self._classified, job.model, key),
                native.ACCOUNT_HEADERS,
                key,
            )
            pieces = tunnel.stream(job, *self._vendor.parted_headers(key.secret))
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

    def _for_json(self, key: KeyLease, headers: Mapping[str, str]) -> dict[str, str]:
        return {**self._vendor.headers(key.secret), "Accept": "application/json", **headers}

    async def _refusal(
        self, exchange: Exchange, headers: Mapping[str, str], model: str, key: KeyLease
    ) -> error_pb2.CallError:
        """What an answer that is no stream means."""
        body = await exchange.read_error_body(error_body.MAX_BODY_BYTES)
        name, rows = self._dialect.name, self._dialect.errors
        if exchange.status != 200:
            return self._classified(model, key, exchange.status, headers, body)
        if error_body.read_body(body) != error_body.Facts():
            return key.refused(classification.classify_in_stream(name, body, model=model, extra=rows))
        return no_stream(name, model, headers)

    def _classified(
        self, model: str, key: KeyLease, status: int, headers: Mapping[str, str], body: bytes
    ) -> error_pb2.CallError:
        error = classification.classify(
            self._dialect.name,
            status,
            headers,
            body,
            now_s=time.time(),
            model=model,
            extra=self._dialect.errors,
            hide=key.secret.reveal(),
        )
        return key.refused(error)

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """This wire has no such call."""
        raise failure(Reason.ERROR_REASON_OPERATION_UNSUPPORTED, f"{self.name} does not count tokens")

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
