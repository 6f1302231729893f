"""Owns one exchange in a vendor's own HTTP: the caller's bytes out, the vendor's bytes in, for any wire.

Forbids itself: looking into bodies, except into the first bytes of a refusal to tell what it means.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import yarl

from antiphon.llm.v1 import error_pb2, http_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.egress import Egress, Exchange
from antiphon_kit.key_ring import KeyLease
from antiphon_kit.provider import NativeHead, NativeJob, NativePiece
from antiphon_wires.error_body import MAX_BODY_BYTES

FIRST_REFUSAL: Final = 400

Classify = Callable[[int, Mapping[str, str], bytes], error_pb2.CallError]
"""Status, headers with names in lower case and the first bytes of the body, to what they mean."""


def parted(headers: Mapping[str, str], common: tuple[str, ...]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What an SDK would send, as credentials, which say who pays, and defaults, which a caller may replace.

    `common`: how the names, in lower case, begin of what the SDK sends to everybody.
    """
    credentials, defaults = {}, {}
    for name, value in headers.items():
        if not name.lower().startswith(common):
            credentials[name] = value
        elif name.lower() != "accept":
            defaults[name] = value
    return credentials, defaults


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The way to one vendor.

    `base_url` is without a slash at the end. `private` are header fields, in lower case, that name an account: they
    are the gateway's alone, in both directions. `key` is told when the vendor took it.
    """

    egress: Egress
    base_url: str
    classify: Classify
    private: frozenset[str] = field(default_factory=frozenset)
    key: KeyLease | None = None

    async def stream(
        self, job: NativeJob, credentials: Mapping[str, str], defaults: Mapping[str, str]
    ) -> AsyncIterator[NativePiece]:
        """Head and body of the answer. `defaults` are headers for what the caller leaves open."""
        request = job.request.request
        url = yarl.URL(f"{self.base_url}{request.path}", encoded=True)
        headers = self._headers(request.headers, credentials, defaults)
        async with (
            self.egress.send(request.method, url, headers, request.body, milestones=job.milestones) as exchange,
            contextlib.aclosing(exchange.chunks()) as chunks,  # type: ignore[type-var]  # it is a generator
        ):
            seen, cut = await _beginning(exchange, chunks)
            yield self._head(exchange, b"".join(seen))
            for chunk in seen:
                yield chunk
            if cut is not None:
                raise cut
            async for chunk in chunks:
                yield chunk

    def _headers(
        self,
        given: Iterable[http_pb2.HttpHeader],
        credentials: Mapping[str, str],
        defaults: Mapping[str, str],
    ) -> list[tuple[str, str]]:
        own = {name.lower() for name in credentials} | self.private
        headers = [
            (header.name, _to_wire(header.value, index)) for index, header in enumerate(given) if header.name not in own
        ]
        known = own | {name for name, _ in headers}
        headers += [(name, value) for name, value in defaults.items() if name.lower() not in known]
        return headers + list(credentials.items())

    def _head(self, exchange: Exchange, seen: bytes) -> NativeHead:
        headers = [(name.lower(), _from_wire(value)) for name, value in exchange.headers.items()]
        error = None
        if exchange.status >= FIRST_REFUSAL:
            error = self.classify(exchange.status, dict(headers), seen)
        elif self.key is not None:
            self.key.accepted()
        return NativeHead(exchange.status, [each for each in headers if each[0] not in self.private], error)


async def _beginning(exchange: Exchange, chunks: AsyncIterator[bytes]) -> tuple[list[bytes], CallFailure | None]:
    """What has to be seen of the body before its head can be told, and what cut it: the status matters more."""
    seen: list[bytes] = []
    size = 0
    try:
        while exchange.status >= FIRST_REFUSAL and size < MAX_BODY_BYTES:
            chunk = await anext(chunks, None)
            if chunk is None:
                break
            seen.append(chunk)
            size += len(chunk)
    except CallFailure as cut:
        return seen, cut
    return seen, None


def _to_wire(value: str, index: int) -> str:
    """The contract has bytes as ISO-8859-1, the HTTP library sends text as UTF-8."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        param = f"request.headers[{index}].value"
        message = f"{param}: holds bytes that are no UTF-8, which cannot be sent; encode them"
        raise failure(Reason.ERROR_REASON_INVALID_REQUEST, message, param=param) from None


def _from_wire(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("latin-1")
