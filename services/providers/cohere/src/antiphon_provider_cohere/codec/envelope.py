"""Owns what the answers to embed and rerank have in common: who answered, what it cost, what else the vendor said."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from antiphon.llm.v1 import response_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_provider_cohere.codec import limits
from antiphon_provider_cohere.codec.capabilities import NAME
from antiphon_provider_cohere.codec.citations import string
from antiphon_provider_cohere.codec.usage import read_usage
from antiphon_wires import json_text

_MAX_WARNING_CHARS: Final = 512


def read_object(body: bytes) -> dict[str, Any]:
    """The body as an object. Raises UPSTREAM_PROTOCOL."""
    try:
        value = json_text.read(body)
    except ValueError:
        raise unreadable("its answer is no JSON") from None
    if not isinstance(value, dict):
        raise unreadable("its answer is no object")
    return value


def fill_start(
    start: response_pb2.ResponseStart, value: dict[str, Any], headers: Mapping[str, str], now_s: float
) -> None:
    """Who answered. Header names are lower case."""
    start.provider_response_id = string(value.get("id"))
    start.provider_request_id = limits.request_id(headers)
    start.rate_limits.extend(limits.rate_limits(headers, now_s))


def fill_end(
    end: response_pb2.ResponseEnd, value: dict[str, Any], body: bytes, read: Iterable[str], own: Iterable[Any]
) -> None:
    """Usage, warnings and what is left: `read` names the members that went elsewhere, `own` are our own warnings."""
    end.warnings.extend(own)
    members = json_text.members(body)
    if isinstance(meta := value.get("meta"), dict):
        end.usage.CopyFrom(read_usage(meta, json_text.text_of(members["meta"])))
        told = meta.get("warnings")
        for text in told if isinstance(told, list) else ():
            if isinstance(text, str):
                message = string(text)
                end.warnings.add(message=message[:_MAX_WARNING_CHARS], native_json=json_text.quote(message))
    gone = {*read, "id", "meta"}
    rest = [f"{json_text.quote(name)}:{json_text.text_of(raw)}" for name, raw in members.items() if name not in gone]
    end.native_json = f"{{{','.join(rest)}}}" if rest else ""


def unreadable(message: str) -> CallFailure:
    """The failure for a body that is no answer to the request."""
    return CallFailure(
        call_error(
            Reason.ERROR_REASON_UPSTREAM_PROTOCOL,
            f"{NAME}: {message}",
            provider=NAME,
            http_status=200,
            native_type="body",
        )
    )
