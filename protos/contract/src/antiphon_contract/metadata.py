"""The names of request metadata, response headers and trailers, and how much room they have."""

from typing import Final

# Request metadata that a router acts on. What an adapter acts on is in the request.
MODEL: Final = "antiphon-model"
PROVIDER: Final = "antiphon-provider"
AFTER_CONTENT: Final = "antiphon-after-content"
AFFINITY: Final = "antiphon-affinity"
CACHE_AFFINITY: Final = "antiphon-cache-affinity"
PRIORITY: Final = "antiphon-priority"
CALLER: Final = "antiphon-caller"
REQUEST_ID: Final = "antiphon-request-id"

# Set by a router for an adapter, stripped from what clients send.
MODEL_NATIVE: Final = "antiphon-model-native"
ATTEMPT: Final = "antiphon-attempt"
ATTEMPT_ID: Final = "antiphon-attempt-id"
FIRST_CONTENT: Final = "antiphon-first-content-ms"
ROUTER_ONLY: Final = frozenset({MODEL_NATIVE, ATTEMPT, ATTEMPT_ID, FIRST_CONTENT})

TRACE: Final = frozenset({"traceparent", "tracestate"})

# Response headers.
CONTRACT: Final = "antiphon-contract"
CONTRACT_VERSION: Final = "1.0"

# Trailers.
END: Final = "antiphon-end-bin"
ROUTER_END: Final = "antiphon-router-end-bin"
BACKEND: Final = "antiphon-backend"
STATUS_DETAILS: Final = "grpc-status-details-bin"
PUSHBACK: Final = "grpc-retry-pushback-ms"

# From a provider service to a router, on an answer after which less than half is left of a vendor's rate limit:
# "<left 0..1>;<seconds until it is full again>", see headroom.py. A router acts on it and does not pass it on.
HEADROOM: Final = "antiphon-headroom"

# Trailing metadata above 8 KiB is lost at random, and with it unread messages (measured, grpcio 1.85): the parts
# below keep the whole under it.
MAX_STATUS_DETAILS_BYTES: Final = 3072
MAX_END_BYTES: Final = 3072
MAX_ROUTER_END_BYTES: Final = 1024

# Lengths that callers must keep; longer values are INVALID_ARGUMENT.
MAX_MODEL_BYTES: Final = 256
MAX_REQUEST_ID_CHARS: Final = 128
