"""Owns the gRPC arguments of every channel and server, as one profile per kind of connection.

gRPC ignores an argument it does not know without a word, so names are written here only, checked against `KNOWN` by
a test, and those that matter are tested by their effect. The names are those of grpc/impl/channel_arg_names.h, not
of its macros: GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS is spelled without `recv`.
"""

import json
from typing import Final

Option = tuple[str, int | str]
Options = tuple[Option, ...]

MIB: Final = 1024 * 1024
MAX_MESSAGE_BYTES: Final = 64 * MIB
LONGEST_CALL_S: Final = 600

KNOWN: Final = frozenset(
    {
        "grpc.absolute_max_metadata_size",
        "grpc.enable_http_proxy",
        "grpc.http2.max_ping_strikes",
        "grpc.http2.max_pings_without_data",
        "grpc.http2.min_ping_interval_without_data_ms",
        "grpc.http2.ping_timeout_ms",
        "grpc.initial_reconnect_backoff_ms",
        "grpc.keepalive_permit_without_calls",
        "grpc.keepalive_time_ms",
        "grpc.keepalive_timeout_ms",
        "grpc.max_concurrent_streams",
        "grpc.max_connection_age_grace_ms",
        "grpc.max_connection_age_ms",
        "grpc.max_metadata_size",
        "grpc.max_receive_message_length",
        "grpc.max_reconnect_backoff_ms",
        "grpc.max_send_message_length",
        "grpc.min_reconnect_backoff_ms",
        "grpc.service_config",
        "grpc.service_config_disable_resolution",
        "grpc.so_reuseport",
        "grpc.use_local_subchannel_pool",
    }
)


def _keepalive(time_ms: int, timeout_ms: int) -> Options:
    return (
        ("grpc.keepalive_time_ms", time_ms),
        ("grpc.keepalive_timeout_ms", timeout_ms),
        # Its default of 60 s overrides the keepalive timeout: without it a frozen peer is never given up.
        ("grpc.http2.ping_timeout_ms", timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    )


def _channel(service_config: dict[str, object]) -> Options:
    return (
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.service_config", json.dumps(service_config)),
    )


CLIENT_TO_ROUTER: Final[Options] = (
    *_keepalive(30_000, 5_000),
    *_channel(
        {
            "loadBalancingConfig": [{"round_robin": {}}],
            "healthCheckConfig": {"serviceName": "antiphon.llm.v1.ChatService"},
            "methodConfig": [
                {
                    "name": [{}],
                    # For what never reached a router. Every typed failure carries a pushback of -1.
                    "retryPolicy": {
                        "maxAttempts": 4,
                        "initialBackoff": "0.1s",
                        "maxBackoff": "1s",
                        "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE"],
                    },
                }
            ],
            "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
        }
    ),
)
"""Any client to a router: keep-alives for public networks, retries of connection failures only."""

ROUTER_TO_PROVIDER: Final[Options] = (
    *_keepalive(1_000, 500),
    # One channel is one replica: a shared connection would merge their fates, and a restarted replica is to be
    # found again in seconds (the default backoff grows to two minutes).
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # round_robin over one address reconnects by itself, pick_first waits for a call. No healthCheckConfig: the
    # router's own Watch must pass while the replica is not serving. No retryPolicy: only the router retries.
    *_channel({"loadBalancingConfig": [{"round_robin": {}}]}),
)
"""A router to one provider replica: a frozen peer is noticed within 1.5 s."""


def receive_limit(max_bytes: int) -> int:
    """Room in gRPC above an own limit of `max_bytes`, so that too large a request gets the typed answer."""
    return max(2 * max_bytes, 32 * MIB)


def provider_server(max_bytes: int, longest_call_s: int = LONGEST_CALL_S) -> Options:
    """Server of a provider; its callers may ping twice a second. `max_bytes`: own limit of one request."""
    return _server(500, max_bytes, longest_call_s)


def public_server(max_bytes: int, longest_call_s: int = LONGEST_CALL_S) -> Options:
    """Server that strangers reach; they may ping every 5 s. `max_bytes`: own limit of one request."""
    return _server(5_000, max_bytes, longest_call_s)


def _server(min_ping_interval_ms: int, max_bytes: int, longest_call_s: int) -> Options:
    return (
        # A dead caller must free its upstream call; the default is two hours.
        *_keepalive(30_000, 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", min_ping_interval_ms),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.max_concurrent_streams", 100),
        ("grpc.max_receive_message_length", receive_limit(max_bytes)),
        ("grpc.max_send_message_length", -1),
        # The defaults, set explicitly: raising the first alone moves the second.
        ("grpc.max_metadata_size", 8_192),
        ("grpc.absolute_max_metadata_size", 16_384),
        # gRPC spreads the age by 10 %, so that callers behind an L4 balancer do not move all at once.
        ("grpc.max_connection_age_ms", 600_000),
        ("grpc.max_connection_age_grace_ms", (longest_call_s + 15) * 1_000),
        # On by default, two servers silently share a port.
        ("grpc.so_reuseport", 0),
    )
