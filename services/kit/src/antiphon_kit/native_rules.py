"""Owns what may pass through the tunnel to a vendor's HTTP API: which operations, which header fields.

Forbids itself: bodies.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from antiphon.llm.v1 import http_pb2, native_pb2
from antiphon_kit.provider import NativeOperation
from antiphon_kit.request_rules import check_model_length, check_options, invalid

_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,256}")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_QUERY: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]-]{0,8192}")

# RFC 9110, 7.6.1 and 11.7; keep-alive and proxy-connection are older than it.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"}
    | {"te", "trailer", "transfer-encoding", "upgrade"}
)
# What identifies a caller to the vendor is the gateway's business.
_CREDENTIALS: Final = frozenset(
    {"authorization", "cookie", "api-key", "x-api-key", "x-goog-api-key", "x-amz-security-token"}
)
# What the gateway's own connection to the vendor decides.
_OF_THE_CONNECTION: Final = frozenset({"host", "content-length", "accept-encoding", "expect"})
# Codings are undone; cookies are the gateway's session with the vendor.
_NOT_RETURNED: Final = frozenset({"content-encoding", "content-length", "set-cookie"})


def check_native(request: native_pb2.StreamNativeRequest, model: str, operations: Sequence[NativeOperation]) -> None:
    """Raise CallFailure for the first thing wrong or not on the list. A model need not be named."""
    check_model_length(model)
    _check_operation(request, operations)
    for index, header in enumerate(request.request.headers):
        path = f"request.headers[{index}]"
        if not _NAME.fullmatch(header.name):
            raise invalid(f"{path}.name", "not usable; use the characters of RFC 9110 in lower case, 1 to 256 of them")
        if not _VALUE.fullmatch(header.value):
            raise invalid(f"{path}.value", "holds control characters or more than ISO-8859-1; encode it")
    if request.HasField("options"):
        if request.options.provider_json:
            raise invalid("options.provider_json", "does not apply, bodies are never changed here; put it in the body")
        check_options(request.options)


def _check_operation(request: native_pb2.StreamNativeRequest, operations: Sequence[NativeOperation]) -> None:
    path, _, query = request.request.path.partition("?")
    on_path = [operation for operation in operations if operation.path == path]
    if not on_path:
        known = ", ".join(f"{operation.method} {operation.path}" for operation in operations) or "none"
        raise invalid("request.path", f"not on the allow-list; use one of: {known}")
    if not _QUERY.fullmatch(query):
        raise invalid("request.path", "its query is too long or holds what a URL cannot; percent-encode it")
    allowed = [operation for operation in on_path if operation.method == request.request.method]
    if not allowed:
        methods = ", ".join(operation.method for operation in on_path)
        raise invalid("request.method", f"not on the allow-list for {path}; use {methods}")
    dialects = [dialect for operation in allowed for dialect in operation.dialects]
    if request.dialect not in dialects:
        raise invalid("dialect", f"not spoken at {path}; use one of: {', '.join(dialects)}")


def passed_on(headers: Iterable[http_pb2.HttpHeader]) -> list[http_pb2.HttpHeader]:
    """The caller's fields that the vendor may see, in their order."""
    given = list(headers)
    drop = _CREDENTIALS | _OF_THE_CONNECTION | _hop_by_hop((each.name, each.value) for each in given)
    return [header for header in given if header.name not in drop]


def returned(headers: Iterable[tuple[str, str]]) -> list[http_pb2.HttpHeader]:
    """The vendor's fields that the caller may see, in their order, with names in lower case."""
    given = [(name.lower(), value) for name, value in headers]
    drop = _NOT_RETURNED | _hop_by_hop(given)
    return [http_pb2.HttpHeader(name=name, value=value) for name, value in given if name not in drop]


def _hop_by_hop(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Fields that end at this hop, those named in `connection` among them."""
    named = (value.split(",") for name, value in headers if name == "connection")
    return _HOP_BY_HOP.union(token.strip().lower() for tokens in named for token in tokens)
