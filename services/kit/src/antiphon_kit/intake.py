"""Owns the way from the bytes of a request to a message, and which model counts.

Forbids itself: looking into the message; request_rules and service_rules do.
"""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from antiphon_contract import metadata
from antiphon_contract.errors import Reason, failure
from antiphon_kit.call import Call

Request = TypeVar("Request", bound=Message)


def parsed(kind: type[Request], data: bytes, max_bytes: int) -> Request:
    """The request. Raises CallFailure for what is too long or no such message."""
    if len(data) > max_bytes:
        raise failure(
            Reason.ERROR_REASON_REQUEST_TOO_LARGE,
            f"the request has {len(data)} bytes, this service takes {max_bytes}; shorten the "
            "prompt or send large media by reference",
        )
    try:
        return kind.FromString(data)
    except DecodeError:
        raise failure(
            Reason.ERROR_REASON_INVALID_REQUEST,
            "the request is not a valid protobuf message of its type; check the client's version and that all "
            "strings are valid UTF-8",
        ) from None


def model_of(call: Call, requested: str) -> str:
    """The provider's id of the model: the router's word over the request's."""
    return str(call.metadata.get(metadata.MODEL_NATIVE) or requested)
