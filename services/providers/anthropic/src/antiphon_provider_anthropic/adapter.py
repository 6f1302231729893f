"""Owns the I/O of this provider: implements the kit's port over the Messages API.

What is sent once per process or per key comes from the official SDK: base URL, authorization, API version, the list
of models and typed errors for it. The calls themselves go through the kit's egress as the codec's bytes: the SDK's
own path costs several times the CPU (docs/results/bench.md).

Forbids itself: retries, logging, and parsing of any answer but a count.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final

from antiphon.llm.v1 import chat_pb2, error_pb2, models_pb2, options_pb2
from antiphon_contract.errors import CallFailure
from antiphon_kit.egress import Egress, Exchange
from antiphon_kit.key_ring import KeyLease, KeyRing
from antiphon_kit.provider import Batch, NativeJob, NativeOperation, NativePiece, Turn
from antiphon_kit.secrets import Secret, SecretSource
from antiphon_provider_anthropic.codec import (
    NAME,
    Encoded,
    Facts,
    MessageStream,
    describe,
    encode_count,
    encode_request,
    facts_of,
    known_facts,
    refusal_in_stream,
)
from antiphon_provider_anthropic.native import ACCOUNT_HEADERS, OPERATIONS
from antiphon_provider_anthropic.vendor import Vendor, classified
from antiphon_wires import error_body, json_text, retry_hints
from antiphon_wires.http_tunnel import Tunnel
from antiphon_wires.known_deltas import KnownDeltas
from antiphon_wires.readiness import Readiness
from antiphon_wires.streamed_answer import Batches, is_stream, no_stream, unreadable

_COUNT_BYTES: Final = 64 * 1024


class AnthropicAdapter:
    """One account. Create it inside the running loop."""

    def __init__(self, base_url: str, keys: SecretSource | KeyRing, *, connect_timeout_s: float = 5.0) -> None:
        """`base_url`: without the version path."""
        self._vendor = Vendor(base_url, timeout_s=connect_timeout_s)
        self.keys = KeyRing.of(keys, prove=self._vendor.models)
        self._egress = Egress(connect_timeout_s)
        self._facts: dict[str, Facts] = {}
        self._readiness = Readiness()
        self._known = KnownDeltas()

    @property
    def name(self) -> str:
        return NAME

    async def generate(self, turn: Turn) -> AsyncIterator[Batch]:
        """One upstream call; see ChatProvider."""
        model = _model(turn)
        encoded = encode_request(
            turn.request,
            model=model,
            facts=self._facts_of(model),
            max_output_tokens=turn.max_output_tokens,
            state_domain=turn.state_domain,
        )
        url = self._vendor.messages_url
        async with (
            self.keys.lease(model, turn) as key,
            self._egress.post(
                url, self._headers(key, "text/event-stream", encoded), encoded.body, turn.milestones
            ) as exchange,
        ):
            answered = {name.lower(): value for name, value in exchange.headers.items()}
            if exchange.status != 200 or not is_stream(answered):
                raise CallFailure(await self._refusal(exchange, answered, model, key))
            key.accepted()
            stream = _stream(turn, model, encoded, answered, self._known)
            async for batch in Batches(exchange, stream):
                yield batch

    def _headers(self, key: KeyLease, accept: str, encoded: Encoded) -> dict[str, str]:
        return {**self._vendor.headers(key.secret), "Accept": accept, **encoded.headers}

    def _facts_of(self, model: str) -> Facts:
        return self._facts.get(model) or known_facts(model)

    async def _refusal(
        self, exchange: Exchange, headers: Mapping[str, str], model: str, key: KeyLease
    ) -> error_pb2.CallError:
        """What an answer that is none means."""
        body = await exchange.read_error_body(error_body.MAX_BODY_BYTES)
        if exchange.status != 200:
            return _classified(model, key, exchange.status, headers, body)
        if error_body.read_body(body) != error_body.Facts():
            return key.refused(refusal_in_stream(body, model))
        return no_stream(NAME, model, headers)

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """The vendor's own count."""
        model = _model(turn)
        encoded = encode_count(turn.request, model=model, facts=self._facts_of(model), state_domain=turn.state_domain)
        url = self._vendor.count_url
        async with (
            self.keys.lease(model, turn) as key,
            self._egress.post(
                url, self._headers(key, "application/json", encoded), encoded.body, turn.milestones
            ) as exchange,
        ):
            if exchange.status != 200:
                answered = {name.lower(): value for name, value in exchange.headers.items()}
                raise CallFailure(await self._refusal(exchange, answered, model, key))
            key.accepted()
            body = await exchange.read(_COUNT_BYTES)
        try:
            return chat_pb2.CountTokensResponse(
                input_tokens=json_text.read(body)["input_tokens"], native_json=body.decode("utf-8", "replace")
            )
        except (KeyError, TypeError, ValueError):
            problem = "answered with something that is no count of tokens"
            raise CallFailure(unreadable(NAME, model, problem)) from None

    @property
    def native_operations(self) -> Sequence[NativeOperation]:
        """See NativeProvider."""
        return OPERATIONS

    async def stream_native(self, job: NativeJob) -> AsyncIterator[NativePiece]:
        """One HTTP exchange; see NativeProvider."""
        async with self.keys.lease(job.model, job) as key:
            classify = partial(_classified, job.model, key)
            tunnel = Tunnel(self._egress, self._vendor.base_url, classify, ACCOUNT_HEADERS, key)
            pieces = tunnel.stream(job, *self._vendor.parted_headers(key.secret))
            async with contextlib.aclosing(pieces):  # type: ignore[type-var]  # it is a generator
                async for piece in pieces:
                    yield piece

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """The models of the account, as the vendor lists them."""
        async with self.keys.lease() as key:
            entries = await self._learn(key.secret)
        try:
            return [describe(entry) for entry in entries]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise CallFailure(unreadable(NAME, "", "listed something that is no model")) from None

    async def _learn(self, key: Secret) -> list[str]:
        """Ask for the models, and keep what they can do for the requests to come."""
        entries = await self._vendor.models(key)
        listed = [value for entry in entries if isinstance(value := json_text.read(entry.encode()), dict)]
        self._facts = {value["id"]: facts_of(value) for value in listed if isinstance(value.get("id"), str)}
        return entries

    async def ready(self) -> None:
        """There is a key, and the vendor takes it. Asks the vendor at most once a minute while it is well."""
        await self._readiness.check(self.keys, self._learn)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._egress.aclose()
        await self._vendor.aclose()


def _model(turn: Turn) -> str:
    """The vendor's id. Called without a router, a caller may have given one of `list_models`."""
    return turn.model.removeprefix(f"{NAME}/") if turn.model == turn.request.model else turn.model


def _classified(model: str, key: KeyLease, status: int, headers: Mapping[str, str], body: bytes) -> error_pb2.CallError:
    return key.refused(classified(model, key.secret, status, headers, body))


def _stream(turn: Turn, model: str, encoded: Encoded, answered: Mapping[str, str], known: KnownDeltas) -> MessageStream:
    return MessageStream(
        native=turn.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH,
        warnings=encoded.warnings,
        state_domain=turn.state_domain,
        request_id=answered.get("request-id") or answered.get("x-request-id", ""),
        rate_limits=retry_hints.rate_limits(answered, time.time()),
        model=model,
        sources=encoded.sources,
        known=known,
    )
