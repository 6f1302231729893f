"""Owns the reading of response headers: limits of the account, and the id that Cohere's support asks for.

Forbids itself: reading the clock. Header names are lower case.
"""

from collections.abc import Mapping
from typing import Final

from antiphon.llm.v1 import error_pb2
from antiphon_wires import retry_hints
from antiphon_wires.error_body import clean

_MAX_ID_CHARS: Final = 200

# Only trial keys are told, and not within a 429 (observed by others and in Elasticsearch's CohereResponseHandler,
# 2026-06).
_TRIAL: Final = {
    "x-trial-endpoint-call-limit": ("requests", "limit"),
    "x-trial-endpoint-call-remaining": ("requests", "remaining"),
    "x-endpoint-monthly-call-limit": ("requests_per_month", "limit"),
}


def rate_limits(headers: Mapping[str, str], now_s: float) -> list[error_pb2.RateLimit]:
    """The limits of the account that `headers` tell."""
    found: dict[str, error_pb2.RateLimit] = {}
    for header, (name, what) in _TRIAL.items():
        value = headers.get(header, "")
        if value.isdecimal() and len(value) < 19:
            setattr(found.setdefault(name, error_pb2.RateLimit(name=name)), what, int(value))
    return [*found.values(), *retry_hints.rate_limits(headers, now_s)]


def request_id(headers: Mapping[str, str]) -> str:
    """Cohere's id of the HTTP request, as its support asks for."""
    return clean(headers.get("x-debug-trace-id") or headers.get("x-request-id", ""), _MAX_ID_CHARS)
