"""Owns every outgoing HTTP connection of a provider: one pooled session, and what its failures mean to a caller.

    async with egress.post(url, headers, body, milestones) as response:
        async for chunk in response.chunks(): ...

Leaving the block early closes the socket at once; after a complete body the connection goes back to the pool. Nobody
reading means nothing read: beyond 128 KiB per response the vendor's socket is left alone.

Forbids itself: retries, redirects, proxies and cookies from anywhere, limits on progress (the kit's), and texts of
exceptions and paths of URLs in messages.
"""

import asyncio
import io
import logging
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import aiohttp
import yarl

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.provider import Milestones

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_logger = logging.getLogger(__name__)

_READ_BUFFER_BYTES: Final = 64 * 1024
_ONE_PIECE_BYTES: Final = 512 * 1024
_KEEPALIVE_S: Final = 60.0
_ERROR_BODY_BYTES: Final = 64 * 1024
_FAILURES: Final = (aiohttp.ClientError, OSError)


class Egress:
    """One HTTP session over http and https. Create it inside the running loop; close it after the last call."""

    def __init__(self, connect_timeout_s: float) -> None:
        """`connect_timeout_s`: seconds to resolve, connect and finish TLS, together."""
        self._opening: ContextVar[Exchange] = ContextVar("opening")
        self._session = aiohttp.ClientSession(
            connector=_Connector(self._opening),
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER_BYTES,
            trust_env=False,
        )

    def post(
        self, url: str | yarl.URL, headers: Mapping[str, str], body: bytes, milestones: Milestones | None = None
    ) -> "Exchange":
        """POST `body`; to be entered with `async with`."""
        return self._exchange(_Request("POST", url, headers, body), milestones)

    def get(self, url: str | yarl.URL, headers: Mapping[str, str], milestones: Milestones | None = None) -> "Exchange":
        """GET; to be entered with `async with`."""
        return self._exchange(_Request("GET", url, headers, None), milestones)

    def send(
        self,
        method: str,
        url: str | yarl.URL,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        milestones: Milestones | None = None,
    ) -> "Exchange":
        """Any request; `headers` may repeat a name, an empty `body` is none."""
        return self._exchange(_Request(method, url, headers, body or None), milestones)

    def _exchange(self, request: "_Request", milestones: Milestones | None) -> "Exchange":
        return Exchange(self._session, self._opening, request, milestones or Milestones())

    async def aclose(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        await self.aclose()


class _Request(NamedTuple):
    method: str
    url: str | yarl.URL
    headers: Mapping[str, str] | Sequence[tuple[str, str]]
    body: bytes | None


class Exchange:
    """One request, and its answer once entered: `status` and `headers` are there, the body is still coming.

    Any status is an answer, 3xx included. Entering and reading raise CallFailure: UPSTREAM_UNREACHABLE where nothing
    was sent, PROVIDER_ERROR where the vendor hung up, UPSTREAM_PROTOCOL where it did not speak HTTP. `native_type`
    tells which of them it was.
    """

    __slots__ = ("_milestones", "_opening", "_request", "_response", "_session", "_transport")

    def __init__(
        self,
        session: aiohttp.ClientSession,
        opening: "ContextVar[Exchange]",
        request: _Request,
        milestones: Milestones,
    ) -> None:
        self._session = session
        self._opening = opening
        self._request = request
        self._milestones = milestones
        self._response: aiohttp.ClientResponse | None = None
        self._transport: asyncio.Transport | None = None

    async def __aenter__(self) -> Self:
        request = self._request
        token = self._opening.set(self)
        self._milestones.mark_sent()
        try:
            self._response = await self._session.request(
                request.method, request.url, headers=request.headers, data=_data(request.body), allow_redirects=False
            )
        except _FAILURES as error:
            raise self._failure(error) from None
        finally:
            self._opening.reset(token)
            if self._response is None:
                self._abort()
        self._milestones.mark_first_byte()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if self._answer.connection is not None:
            self._abort()
        self._answer.close()

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers; lookup ignores case."""
        return self._answer.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, decompressed: one item per read, never empty.

        Read it to its end, not only to the wire's own end mark, or the connection is not used again. A body that has
        neither a length nor chunks ends with the connection, and then a reset looks like its end: codecs insist on
        their end mark.
        """
        content = self._answer.content
        try:
            while chunk := await content.readany():
                yield chunk
        except _FAILURES as error:
            raise self._failure(error) from None

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises CallFailure (UPSTREAM_PROTOCOL) when it is longer than `limit` bytes."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                message = f"the provider's answer is longer than {limit} bytes; it is no answer to this request"
                raise CallFailure(call_error(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, message, native_type="too_long"))
        return bytes(body)

    async def read_error_body(self, limit: int = _ERROR_BODY_BYTES) -> bytes:
        """The first `limit` bytes of the body, or what arrived of it: the status matters more than a cut."""
        body = bytearray()
        try:
            async for chunk in self.chunks():
                body += chunk
                if len(body) >= limit:
                    break
        except CallFailure:
            pass
        return bytes(body[:limit])

    @property
    def _answer(self) -> aiohttp.ClientResponse:
        assert self._response is not None, "not entered"
        return self._response

    def _connected(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport
        self._milestones.mark_connected()

    def _abort(self) -> None:
        # A mere close would first deliver what is still to be sent, to a vendor that may not be reading.
        if self._transport is not None:
            self._transport.abort()

    def _host(self) -> str:
        try:
            authority = yarl.URL(self._request.url).authority
        except ValueError:
            authority = ""
        return authority.rpartition("@")[2] or "upstream"

    def _failure(self, error: Exception) -> CallFailure:
        reason, native_type, problem = _classify(error, sent=self._transport is not None)
        # Where a provider is, is its operator's to know: it goes into the log, not to the caller.
        _logger.warning("upstream_failed", extra={"host": self._host(), "problem": problem, "native_type": native_type})
        return CallFailure(call_error(reason, f"the provider's server: {problem}", native_type=native_type))


def _data(body: bytes | None) -> bytes | io.BytesIO | None:
    # aiohttp sends bytes in one piece and warns above 1 MiB; a BytesIO goes in pieces, with the loop's turns between.
    return body if body is None or len(body) <= _ONE_PIECE_BYTES else io.BytesIO(body)


class _Connector(aiohttp.TCPConnector):
    """Tells the exchange that waits for a connection when it has one, and which; no other hook of aiohttp does."""

    def __init__(self, opening: ContextVar[Exchange]) -> None:
        super().__init__(limit=0, keepalive_timeout=_KEEPALIVE_S)
        self._exchange_opening = opening

    async def connect(
        self,
        req: "ClientRequest",
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> "Connection":
        connection = await super().connect(req, traces, timeout)
        self._exchange_opening.get()._connected(connection.transport)
        return connection


def _classify(error: Exception, *, sent: bool) -> tuple[error_pb2.ErrorReason, str, str]:
    """Reason, native_type and message of what aiohttp raised before or during an answer."""
    if not sent:
        return Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, *_unreachable(error)
    if isinstance(error, aiohttp.ClientResponseError):
        return Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "bad_http", "what it answered is not HTTP"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Reason.ERROR_REASON_PROVIDER_ERROR, "eof", "it closed the connection without an answer"
    if isinstance(error.__cause__, aiohttp.http_exceptions.ContentEncodingError):
        return Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "bad_encoding", "its answer is not in the encoding that it names"
    if isinstance(error, aiohttp.ClientPayloadError):
        return Reason.ERROR_REASON_PROVIDER_ERROR, "truncated", "its answer ended before it was complete"
    return Reason.ERROR_REASON_PROVIDER_ERROR, "reset", "the connection broke"


def _unreachable(error: Exception) -> tuple[str, str]:
    if isinstance(error, aiohttp.InvalidURL):
        return "url", "this is no address; mend the base URL of this provider"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns", "the name cannot be resolved; check the base URL of this provider and the DNS"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return "certificate", "its TLS certificate is not trusted; check the base URL, or add its CA by SSL_CERT_FILE"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "tls", "TLS failed; check whether the base URL should be http or https"
    if isinstance(error, TimeoutError):
        return "connect_timeout", "no connection in time; check the network and that it is running"
    return "refused", "no connection; check that it is running and listens there"
