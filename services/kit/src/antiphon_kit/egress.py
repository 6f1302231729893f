"""Owns every outgoing HTTP connection of a provider: one pool, and what its failures mean to a caller.

    async with egress.post(url, headers, body, milestones) as response:
        async for chunk in response.chunks(): ...

Leaving the block early closes the socket at once; after a complete body the connection goes back to the pool. Nobody
reading means nothing read: beyond 128 KiB per response the vendor's socket is left alone.

Connections (names, TLS, the pool) and the reading of answers are aiohttp's; requests are written here, because its
client session costs more CPU than a whole answer takes to translate (ADR 0004).

Forbids itself: retries, redirects, proxies and cookies from anywhere, limits on progress (the kit's), and texts of
exceptions and paths of URLs in messages.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.http_head import request_head
from antiphon_kit.provider import Milestones

_logger = logging.getLogger(__name__)

_READ_BUFFER_BYTES: Final = 64 * 1024
_ONE_PIECE_BYTES: Final = 512 * 1024
_PIECE_BYTES: Final = 64 * 1024
_KEEPALIVE_S: Final = 60.0
_ERROR_BODY_BYTES: Final = 64 * 1024
_REST_S: Final = 0.5
_FAILURES: Final = (aiohttp.ClientError, HttpProcessingError, OSError)
_MAX_TARGETS: Final = 1000
_SWITCHED: Final = 101


class Egress:
    """One pool over http and https. Create it inside the running loop; close it after the last call."""

    def __init__(self, connect_timeout_s: float) -> None:
        """`connect_timeout_s`: seconds to resolve, connect and finish TLS, together."""
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout_s)
        self._peers: dict[yarl.URL, aiohttp.ClientRequest] = {}
        self._targets: dict[str, _Target] = {}

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
        return Exchange(self, request, milestones or Milestones())

    async def connect(self, target: "_Target") -> Connection:
        """A connection that nobody else uses, from the pool or new."""
        return await self._connector.connect(target.peer, [], self._timeout)

    def target(self, url: str | yarl.URL) -> "_Target":
        """Where `url` is. Raises InvalidURL."""
        if isinstance(url, yarl.URL):
            return self._resolved(url)
        if (known := self._targets.get(url)) is None:
            try:
                known = self._resolved(yarl.URL(url))
            except ValueError:
                raise aiohttp.InvalidURL(url) from None
            if len(self._targets) < _MAX_TARGETS:
                self._targets[url] = known
        return known

    def _resolved(self, url: yarl.URL) -> "_Target":
        if url.scheme not in ("http", "https") or not url.raw_host:
            raise aiohttp.InvalidURL(url)
        origin = url.origin()
        if (peer := self._peers.get(origin)) is None:
            # The connector is told by a request where to connect to.
            peer = self._peers[origin] = aiohttp.ClientRequest("GET", origin, loop=asyncio.get_running_loop())
        return _Target(peer, origin.host_port_subcomponent or "", url.raw_path_qs)

    async def aclose(self) -> None:
        await self._connector.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        await self.aclose()


class _Target(NamedTuple):
    peer: aiohttp.ClientRequest
    host: str
    path: str


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

    __slots__ = ("_body", "_connection", "_egress", "_message", "_milestones", "_request", "_upload")

    def __init__(self, egress: Egress, request: _Request, milestones: Milestones) -> None:
        self._egress = egress
        self._request = request
        self._milestones = milestones
        self._connection: Connection | None = None
        self._upload: asyncio.Task[None] | None = None
        self._message: RawResponseMessage | None = None
        self._body: aiohttp.StreamReader

    async def __aenter__(self) -> Self:
        self._milestones.mark_sent()
        try:
            self._message, self._body = await self._exchange()
        except _FAILURES as error:
            raise self._failure(error) from None
        finally:
            if self._message is None:
                await self._abort()
        self._milestones.mark_first_byte()
        return self

    async def _exchange(self) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        """Send the request; the head of its answer, and the body to come."""
        request = self._request
        target = self._egress.target(request.url)
        given = request.headers.items() if isinstance(request.headers, Mapping) else request.headers
        size = len(request.body) if request.body else 0 if request.method == "POST" else None
        head = request_head(request.method, target.path, target.host, given, size)
        connection = self._connection = await self._egress.connect(target)
        self._milestones.mark_connected()
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            raise aiohttp.ClientConnectionResetError("lost")
        skip = request.method == "HEAD"
        protocol.set_response_params(skip_payload=skip, read_until_eof=True, read_bufsize=_READ_BUFFER_BYTES)
        self._send(protocol, head, request.body or b"")
        while True:
            message, body = await protocol.read()
            if message.code >= 200 or message.code == _SWITCHED:
                return message, body

    def _send(self, protocol: ResponseHandler, head: bytes, body: bytes) -> None:
        assert protocol.transport is not None
        if len(body) <= _ONE_PIECE_BYTES:
            protocol.transport.write(head + body)
        else:
            # A vendor may answer before it has read everything.
            protocol.transport.write(head)
            self._upload = asyncio.create_task(_upload(protocol, memoryview(body)))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if self._body.is_eof() and (self._upload is None or self._upload.done()):
            assert self._connection is not None
            self._connection.release()
        else:
            await self._abort()

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._head.code

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers; lookup ignores case."""
        return self._head.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, decompressed: one item per read, never empty.

        Read it to its end, not only to the wire's own end mark, or the connection is not used again. A body that has
        neither a length nor chunks ends with the connection, and then a reset looks like its end: codecs insist on
        their end mark.
        """
        while chunk := await self.next_chunk():
            yield chunk

    async def next_chunk(self) -> bytes:
        """What `chunks` gives next; empty at the end of the body."""
        try:
            return await self._body.readany()
        except _FAILURES as error:
            raise self._failure(error) from None

    async def read_rest(self) -> None:
        """Read to the end, after the wire's own end mark, so that the connection can be used again; not for long."""
        if self._body.at_eof():
            return
        # The end is often there already, but for the loop to look: a limit costs more than that.
        await asyncio.sleep(0)
        if self._body.at_eof():
            return
        with contextlib.suppress(TimeoutError, CallFailure):
            async with asyncio.timeout(_REST_S):
                while await self.next_chunk():
                    pass

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
    def _head(self) -> RawResponseMessage:
        assert self._message is not None, "not entered"
        return self._message

    async def _abort(self) -> None:
        connection, upload = self._connection, self._upload
        if connection is not None:
            # A mere close would first deliver what is still to be sent, to a vendor that may not be reading.
            if connection.transport is not None:
                connection.transport.abort()
            connection.close()
        if upload is not None:
            upload.cancel()
            await asyncio.wait({upload})

    def _host(self) -> str:
        try:
            authority = yarl.URL(self._request.url).authority
        except ValueError:
            authority = ""
        return authority.rpartition("@")[2] or "upstream"

    def _failure(self, error: Exception) -> CallFailure:
        reason, native_type, problem = _classify(error, sent=self._connection is not None)
        # Where a provider is, is its operator's to know: it goes into the log, not to the caller.
        _logger.warning("upstream_failed", extra={"host": self._host(), "problem": problem, "native_type": native_type})
        return CallFailure(call_error(reason, f"the provider's server: {problem}", native_type=native_type))


async def _upload(protocol: ResponseHandler, body: memoryview) -> None:
    """Send in pieces, with the loop's turns between. What breaks the connection is told to who reads from it."""
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    with contextlib.suppress(*_FAILURES):
        for start in range(0, len(body), _PIECE_BYTES):
            await writer.write(body[start : start + _PIECE_BYTES])


def _classify(error: Exception, *, sent: bool) -> tuple[error_pb2.ErrorReason, str, str]:
    """Reason, native_type and message of what aiohttp raised before or during an answer."""
    if not sent:
        return Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, *_unreachable(error)
    if isinstance(error, HttpProcessingError):
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
