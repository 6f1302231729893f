"""Owns the channel to a router: its options, unary calls on it, and the translation of what can go wrong there."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import grpc
from google.protobuf.message import DecodeError

from antiphon.llm.v1 import response_pb2
from antiphon_client import errors, handshake
from antiphon_client.requests import Route
from antiphon_contract import errors as contract
from antiphon_contract import metadata
from antiphon_contract.errors import Trailers
from antiphon_contract.rotating_channel import RotatingChannel
from antiphon_contract.tls import LivePems, TlsFiles, TlsProblem

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
# No health checking: a router that is up but has no provider left answers with a reason, and that is worth more than
# the transport's bare UNAVAILABLE.
_SERVICE_CONFIG: Final = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
CHANNEL_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    # A restarted router is to be found again in seconds; the default grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    # Only the router retries; a second layer multiplies load and hides failures.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.service_config_disable_resolution", 1),
    # Channels with equal options would share one connection, and so one fate.
    ("grpc.use_local_subchannel_pool", 1),
)

_Response = TypeVar("_Response")


class Connection:
    """One lazy channel; an async context manager. Nothing is sent before the first call.

    tls: certificate files, followed as they change. credentials: anything else that gRPC knows.
    """

    def __init__(
        self, address: str, credentials: grpc.ChannelCredentials | None = None, tls: TlsFiles | None = None
    ) -> None:
        if credentials is not None and tls is not None:
            raise ValueError("give tls or credentials, not both")
        self.address = address
        self._credentials = credentials
        self._tls = tls
        self._channel: Any = None

    async def __aenter__(self) -> Self:
        """Raises Unauthenticated for certificate files that cannot be used."""
        if self._tls is not None:
            try:
                self._channel = RotatingChannel(self.address, LivePems(self._tls), CHANNEL_OPTIONS)
            except TlsProblem as problem:
                raise errors.unauthenticated(f"{problem}; mend the files, see ANTIPHON_TLS_CERT_FILE") from None
        elif self._credentials is None:
            self._channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(self.address, self._credentials, options=CHANNEL_OPTIONS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    @property
    def channel(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise RuntimeError("the client is not open; use `async with`")
        channel: grpc.aio.Channel = self._channel  # or what stands for one
        return channel

    async def unary(
        self, method: Callable[..., Any], request: object, route: Route, answer: type[_Response]
    ) -> tuple[_Response, Trailers]:
        """One call. Raises AntiphonError."""
        call = method(request, timeout=route.timeout_s, metadata=route.metadata)
        try:
            response = await unless_cancelled_by_peer(call, route)
            trailers = trailers_of(await call.trailing_metadata())
        except grpc.aio.AioRpcError as error:
            raise await self.failure(error, route) from None
        assert isinstance(response, answer)
        return response, trailers

    async def failure(
        self, error: grpc.aio.AioRpcError, route: Route, *, after_content: bool = False
    ) -> errors.AntiphonError:
        """The typed form of a failed call, with the usage its trailers tell."""
        trailers = trailers_of(error.trailing_metadata())
        typed = contract.from_trailers(trailers)
        if typed is not None:
            failure = errors.from_call_error(typed)
        else:
            details = error.details() or ""
            failure = errors.from_status(error.code(), details, self.address, after_content=after_content)
            if isinstance(failure, errors.RouterUnreachable) and self._credentials is None:
                failure = await handshake.explained(failure, details, self.address, self._tls)
        end = contract.end_from_trailers(trailers)
        if end is not None and end.HasField("usage"):
            failure.usage = end.usage
        failure.request_id = route.request_id
        return failure


async def unless_cancelled_by_peer(call: Awaitable[_Response], route: Route) -> _Response:
    """grpc.aio reports a CANCELLED status as CancelledError; only the caller's own cancel may look like that.

    Raises AioRpcError, or Cancelled when the peer or a closing channel ended the call.
    """
    try:
        return await call
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        failure = errors.from_status(grpc.StatusCode.CANCELLED, "", "", after_content=False)
        failure.request_id = route.request_id
        raise failure from None


def trailers_of(raw: Any) -> Trailers:
    """Trailers as pairs; grpc.aio has None where there are none."""
    return tuple((str(key), value) for key, value in raw or ())


def router_end_of(trailers: Trailers) -> response_pb2.RouterEnd | None:
    """What the router adds to the terminal record; None when there was no router or it is unreadable."""
    for key, value in trailers:
        if key == metadata.ROUTER_END and isinstance(value, bytes):
            try:
                return response_pb2.RouterEnd.FromString(value)
            except DecodeError:
                return None
    return None
