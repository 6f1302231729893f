"""Owns the reading of the response object that the first and the last events hold: what it tells beside its items."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from antiphon.llm.v1 import response_pb2
from antiphon_wires import json_text
from antiphon_wires.json_text import objects, string
from antiphon_wires.openai_responses.members import RESPONSE

_ENVELOPE: Final = frozenset({"type", "sequence_number", "obfuscation", "response"})
_encode: Final = msgspec.json.Encoder().encode


def read_start(response: dict[str, Any]) -> response_pb2.ResponseStart:
    """What it tells of itself when it begins."""
    start = response_pb2.ResponseStart(
        model=string(response, "model"),
        provider_response_id=string(response, "id"),
        service_tier=string(response, "service_tier"),
    )
    created = response.get("created_at")
    if isinstance(created, int | float) and 0 < created < 253402300800:
        start.create_time.FromMilliseconds(int(created * 1000))
    return start


def transformations(response: dict[str, Any], payload: bytes) -> list[response_pb2.Warning]:
    """What the vendor took out of the input: reasoning of another account, user or model."""
    found = objects(response, "input_transformations")
    raws = json_text.elements(bytes(json_text.dig(payload, "response", "input_transformations"))) if found else []
    texts = [json_text.text_of(raw) for raw in raws if bytes(raw)[:1] == b"{"]
    return [
        response_pb2.Warning(
            kind=response_pb2.Warning.KIND_INPUT_TRANSFORMED,
            path="prompt.messages",
            message=f"the provider left out reasoning of an earlier answer: {string(one, 'reason')}"[:512],
            native_json=text,
        )
        for one, text in zip(found, texts, strict=True)
    ]


def verbatim(raw: bytes, names: Iterable[str]) -> dict[str, msgspec.Raw]:
    """Copies of members of an object."""
    members = json_text.members(raw)
    return {name: msgspec.Raw(bytes(members[name])) for name in names}


def rest(
    event: dict[str, Any], response: dict[str, Any], payload: bytes, announced: Mapping[str, msgspec.Raw]
) -> bytes:
    """The event without what has a meaning here, with what was `announced` and not repeated; b"" if nothing is left."""
    beside = [name for name in event if name not in _ENVELOPE]
    names = [name for name in response if name not in RESPONSE and response[name] is not None]
    if not beside and not names and not announced:
        return b""
    outer = json_text.members(payload)
    inner = json_text.members(bytes(outer["response"]))
    told = {"type": outer.get("type", msgspec.Raw(b"null")), **{name: outer[name] for name in beside}}
    return _encode({**told, "response": {**announced, **{name: inner[name] for name in names}}})
