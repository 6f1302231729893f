"""Owns the server's end of mutual TLS: credentials that follow their files, and whose calls are taken.

A certificate that does not verify ends the handshake; no call comes of it. The identity in one that does is looked at
once per call, in front of every handler of the server but health, which tells nobody anything worth hiding.

Forbids itself: plaintext beyond loopback that nobody asked for.
"""

import fnmatch
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import grpc

from antiphon.llm.v1 import response_pb2
from antiphon_contract.errors import CallFailure, Reason, end_trailer, failure, to_status
from antiphon_contract.tls import LivePems, Pems, TlsFiles, TlsProblem
from antiphon_kit.settings import SettingError
from antiphon_kit.tls_settings import FILES, is_loopback

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Transport:
    """How a process is connected. live None: plaintext. peers: patterns of SPIFFE ids; empty: anyone trusted."""

    live: LivePems | None = None
    peers: tuple[str, ...] = ()
    insecure: bool = False

    def only(self, peers: tuple[str, ...]) -> Self:
        """The same for callers who are among `peers`; as it is if there are none."""
        return replace(self, peers=peers) if peers else self

    def bind(self, server: grpc.aio.Server, listen: str, setting: str) -> int:
        """Let `server` listen; returns the port.

        Raises SettingError for plaintext beyond loopback, RuntimeError when the address cannot be had.
        """
        if self.live is not None:
            return server.add_secure_port(listen, server_credentials(self.live))
        if not self.insecure and not is_loopback(listen):
            problem = (
                f"beyond this machine, and calls would cross the network in plaintext; set {', '.join(FILES)}, "
                "or set ANTIPHON_INSECURE=true to allow it"
            )
            raise SettingError(setting, listen, problem)
        return server.add_insecure_port(listen)

    def guard(self, handlers: Sequence[grpc.GenericRpcHandler]) -> tuple[grpc.GenericRpcHandler, ...]:
        """The handlers, for the callers who may."""
        if self.live is None or not self.peers:
            return tuple(handlers)
        return tuple(_Guarded(handler, self.peers) for handler in handlers)


PLAINTEXT: Final = Transport()
"""Loopback only."""


def from_files(files: TlsFiles) -> LivePems:
    """Raises SettingError when they cannot be used."""
    try:
        return LivePems(files)
    except TlsProblem as problem:
        raise SettingError(FILES[0], files.certificate, f"{problem}; mend the files") from None


def server_credentials(live: LivePems) -> grpc.ServerCredentials:
    """Credentials that look at the files at every handshake, and take clients with a certificate only."""
    served = live.pems

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # On a thread of gRPC. None: as before.
        nonlocal served
        pems = live.renew()
        if pems is served:
            return None
        served = pems
        return _configuration(pems)

    # The stubs do not know that None is an answer.
    return grpc.dynamic_ssl_server_credentials(
        _configuration(served),
        fetch,  # type: ignore[arg-type]
        require_client_authentication=True,
    )


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pems.private_key, pems.certificate_chain)], root_certificates=pems.authorities
    )


class _Guarded(grpc.GenericRpcHandler):
    """A handler for those callers whose certificate names one of `peers`."""

    def __init__(self, handler: grpc.GenericRpcHandler, peers: tuple[str, ...]) -> None:
        self._handler = handler
        self._peers = peers
        self._guarded: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The guarded method, None where there is none."""
        method = handler_call_details.method
        found = self._guarded.get(method)
        if found is None and (plain := self._handler.service(handler_call_details)) is not None:
            found = self._guarded[method] = self._guard(plain)
        return found

    def _guard(self, plain: Any) -> Any:
        coders = {
            "request_deserializer": plain.request_deserializer,
            "response_serializer": plain.response_serializer,
        }
        if plain.response_streaming:
            inner = plain.unary_stream
            guarded = self._iterated(inner) if inspect.isasyncgenfunction(inner) else self._awaited(inner)
            return grpc.unary_stream_rpc_method_handler(guarded, **coders)
        return grpc.unary_unary_rpc_method_handler(self._awaited(plain.unary_unary), **coders)

    def _awaited(self, inner: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
        async def answer(request: Any, context: Context) -> Any:
            await self._check(context)
            return await inner(request, context)

        return answer

    def _iterated(
        self, inner: Callable[[Any, Context], AsyncIterator[Any]]
    ) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            await self._check(context)
            async for item in inner(request, context):
                yield item

        return answer

    async def _check(self, context: Context) -> None:
        shown = identities(context)
        if any(fnmatch.fnmatchcase(identity, peer) for identity in shown for peer in self._peers):
            return
        error = _stranger(shown).error
        end = response_pb2.ResponseEnd(outcome=response_pb2.ResponseEnd.OUTCOME_FAILED, error=error)
        await context.abort_with_status(to_status(error, end_trailer(end)))


def identities(context: Context) -> tuple[str, ...]:
    """The SPIFFE ids in the caller's certificate; none in plaintext."""
    found = (uri.decode("utf-8", "replace") for uri in context.auth_context().get("peer_uri", ()))
    return tuple(uri for uri in found if uri.startswith("spiffe://"))


def _stranger(shown: tuple[str, ...]) -> CallFailure:
    who = f"the certificate is for {', '.join(shown)}" if shown else "the certificate has no SPIFFE id"
    return failure(
        Reason.ERROR_REASON_GATEWAY_AUTH,
        f"{who}, which may not call this service; use another certificate, or have it added to ANTIPHON_TLS_PEERS",
    )
