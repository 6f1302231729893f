"""Owns the I/O of this provider: implements the kit's port over the Messages API.

What is sent once per process or per key comes from the official SDK: base URL, authorization, API version, the list
of models and typed errors for it. The calls themselves go through the kit's egress as the codec's bytes: the SDK's
own path costs several times the CPU (docs/results/bench.md).

Forbids itself: retries, logging, and parsing of any answer but a count.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final

from antiphon.llm.v1 import chat_pb2, error_pb2, models_pb2, options_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.egress import Egress, Exchange
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

READY_FOR_S: Final = 60.0
"""How long a healthy answer to the probe is believed."""

# After the vendor's last word the connection is read to its end, so that it can be used again; not for long.
_REST_S: Final = 0.5
_COUNT_BYTES: Final = 64 * 1024


class AnthropicAdapter:
    """One account. Create it inside the running loop."""

    def __init__(self, base_url: str, keys: SecretSource, *, connect_timeout_s: float = 5.0) -> None:
        """`base_url`: without the version path."""
        self._keys = keys
        self._vendor = Vendor(base_url, timeout_s=connect_timeout_s)
        self._egress = Egress(connect_timeout_s)
        self._facts: dict[str, Facts] = {}
        self._ready_until_s = 0.0
        self._ready_key: Secret | None = None

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
        key = await self._keys.current()
        headers = {**self._vendor.headers(key), "Accept": "text/event-stream", **encoded.headers}
        async with self._egress.post(self._vendor.messages_url, headers, encoded.body, turn.milestones) as exchange:
            answered = {name.lower(): value for name, value in exchange.headers.items()}
            if exchange.status != 200 or not _is_stream(answered):
                raise CallFailure(await self._refusal(exchange, answered, model, key))
            stream = _stream(turn, model, encoded, answered)
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

    def _facts_of(self, model: str) -> Facts:
        return self._facts.get(model) or known_facts(model)

    async def _refusal(
        self, exchange: Exchange, headers: Mapping[str, str], model: str, key: Secret
    ) -> error_pb2.CallError:
        """What an answer that is none means."""
        body = await exchange.read_error_body(error_body.MAX_BODY_BYTES)
        if exchange.status != 200:
            return classified(model, key, exchange.status, headers, body)
        if error_body.read_body(body) != error_body.Facts():
            return refusal_in_stream(body, model)
        what = _media_type(headers) or "no type"
        return _unreadable(f"answered with {what} instead of a stream; check its base URL", model)

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """The vendor's own count."""
        model = _model(turn)
        encoded = encode_count(turn.request, model=model, facts=self._facts_of(model), state_domain=turn.state_domain)
        key = await self._keys.current()
        headers = {**self._vendor.headers(key), "Accept": "application/json", **encoded.headers}
        async with self._egress.post(self._vendor.count_url, headers, encoded.body, turn.milestones) as exchange:
            if exchange.status != 200:
                answered = {name.lower(): value for name, value in exchange.headers.items()}
                raise CallFailure(await self._refusal(exchange, answered, model, key))
            body = await exchange.read(_COUNT_BYTES)
        try:
            return chat_pb2.CountTokensResponse(
                input_tokens=json_text.read(body)["input_tokens"], native_json=body.decode("utf-8", "replace")
            )
        except (KeyError, TypeError, ValueError):
            problem = "answered with something that is no count of tokens"
            raise CallFailure(_unreadable(problem, model)) from None

    @property
    def native_operations(self) -> Sequence[NativeOperation]:
        """See NativeProvider."""
        return OPERATIONS

    async def stream_native(self, job: NativeJob) -> AsyncIterator[NativePiece]:
        """One HTTP exchange; see NativeProvider."""
        key = await self._keys.current()
        tunnel = Tunnel(self._egress, self._vendor.base_url, partial(classified, job.model, key), ACCOUNT_HEADERS)
        pieces = tunnel.stream(job, self._vendor.credentials(key), self._vendor.defaults(key))
        async with contextlib.aclosing(pieces):  # type: ignore[type-var]  # it is a generator
            async for piece in pieces:
                yield piece

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """The models of the account, as the vendor lists them."""
        entries = await self._learn(await self._keys.current())
        try:
            return [describe(entry) for entry in entries]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise CallFailure(_unreadable("listed something that is no model", "")) from None

    async def _learn(self, key: Secret) -> list[str]:
        """Ask for the models, and keep what they can do for the requests to come."""
        entries = await self._vendor.models(key)
        listed = [value for entry in entries if isinstance(value := json_text.read(entry.encode()), dict)]
        self._facts = {value["id"]: facts_of(value) for value in listed if isinstance(value.get("id"), str)}
        return entries

    async def ready(self) -> None:
        """There is a key, and the vendor takes it. Asks the vendor at most once a minute while it is well."""
        key = await self._keys.current()
        now_s = time.monotonic()
        if now_s < self._ready_until_s and key is self._ready_key:
            return
        self._ready_until_s = 0.0
        try:
            await self._learn(key)
        except CallFailure as raised:
            # Servers without a list of models answer 404, and a limit is not an outage: both can be reached.
            limited = raised.error.reason == Reason.ERROR_REASON_RATE_LIMITED
            if not limited and raised.error.http_status not in (404, 405):
                raise
        self._ready_until_s = now_s + READY_FOR_S
        self._ready_key = key

    async def aclose(self) -> None:
        """Close the connections."""
        await self._egress.aclose()
        await self._vendor.aclose()


def _model(turn: Turn) -> str:
    """The vendor's id. Called without a router, a caller may have given one of `list_models`."""
    return turn.model.removeprefix(f"{NAME}/") if turn.model == turn.request.model else turn.model


def _stream(turn: Turn, model: str, encoded: Encoded, answered: Mapping[str, str]) -> MessageStream:
    return MessageStream(
        native=turn.request.options.native_mode == options_pb2.CallOptions.NATIVE_MODE_ATTACH,
        warnings=encoded.warnings,
        state_domain=turn.state_domain,
        request_id=answered.get("request-id") or answered.get("x-request-id", ""),
        rate_limits=retry_hints.rate_limits(answered, time.time()),
        model=model,
        sources=encoded.sources,
    )


def _unreadable(problem: str, model: str) -> error_pb2.CallError:
    return call_error(
        Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
        f"{NAME} {problem}",
        provider=NAME,
        model=model,
        http_status=200,
        native_type="content_type",
    )


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_stream(headers: Mapping[str, str]) -> bool:
    # Small servers forget the type or call it text; what is surely something else is not read as a stream.
    return _media_type(headers) not in ("application/json", "text/html", "application/problem+json")


async def _read(chunks: AsyncIterator[bytes], stream: MessageStream) -> bytes | None:
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
