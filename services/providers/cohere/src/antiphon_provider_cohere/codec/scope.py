"""Owns what every step of encoding one request needs: the ledger of losses, the patches, the documents on the way."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from antiphon.llm.v1 import content_pb2, http_pb2, options_pb2, response_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_provider_cohere.codec.capabilities import ALLOWED_HEADERS, NAME
from antiphon_wires import merge_patch
from antiphon_wires.losses import Losses

Native = dict[str, Any]
encode_json: Final = msgspec.json.Encoder().encode
_CREDENTIALS: Final[tuple[merge_patch.Path, ...]] = (("model",), ("stream",), ("api_key",), ("authorization",))


class Encoded(NamedTuple):
    """A request ready to be sent: JSON body, the headers its caller asked for, and what was left out or changed."""

    body: bytes
    headers: Mapping[str, str]
    warnings: tuple[response_pb2.Warning, ...]


@dataclass(slots=True)
class Scope:
    """Of one request. `dialect`: which API, as in the provider key "cohere/chat"."""

    dialect: str
    losses: Losses
    documents: list[Native] = field(default_factory=list)

    @property
    def keys(self) -> tuple[str, str]:
        """Keys of `provider_json` that are this adapter's, in the order of application."""
        return (NAME, f"{NAME}/{self.dialect}")

    def patch(self, native: Native, provider_json: Mapping[str, str], path: str) -> None:
        """Apply what `provider_json` holds for this API."""
        merge_patch.apply(native, provider_json, self.keys, param=f"{path}.provider_json")

    def patchable(self, provider_json: Mapping[str, str]) -> bool:
        """Whether it holds anything for this API."""
        return any(provider_json.get(key) for key in self.keys)

    def foreign(self, states: Iterable[content_pb2.OpaqueState], path: str) -> None:
        """Warn of opaque state: Cohere issues none, so whatever comes is somebody else's."""
        for index, state in enumerate(states):
            self.losses.opaque(f"{path}.opaque[{index}]", f"it was issued by {state.issuer or 'nobody'}")

    def finish(
        self, body: Native, options: options_pb2.CallOptions, protected: tuple[merge_patch.Path, ...] = ()
    ) -> None:
        """Apply the caller's patches of the whole body."""
        merge_patch.apply(
            body,
            options.provider_json,
            self.keys,
            param="options.provider_json",
            protected=(*_CREDENTIALS, *protected),
        )

    def encoded(self, body: Native, options: options_pb2.CallOptions) -> Encoded:
        """`body` as it goes out."""
        return Encoded(encode_json(body), self._headers(options.provider_headers), tuple(self.losses.warnings()))

    def _headers(self, wanted: Mapping[str, http_pb2.HttpHeaders]) -> dict[str, str]:
        """The caller's headers that are allowed; a repeated name becomes one value (RFC 9110, 5.3)."""
        allowed: dict[str, str] = {}
        for key in self.keys if wanted else ():
            # Looking up a missing key in a protobuf map would add it.
            for header in wanted[key].headers if key in wanted else ():
                name = header.name.lower()
                if name not in ALLOWED_HEADERS:
                    self.losses.hint(f'options.provider_headers["{key}"]', f"header {name} is not on the allow-list")
                elif any(ord(char) < 32 or ord(char) > 255 for char in header.value):
                    raise invalid(f"header {name} holds characters no header can carry", "options.provider_headers")
                else:
                    allowed[name] = f"{allowed[name]}, {header.value}" if name in allowed else header.value
        return allowed


def invalid(message: str, param: str) -> CallFailure:
    """The failure for a request that is wrong in itself."""
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, message, param=param)


def text_block(text: str) -> Native:
    return {"type": "text", "text": text}


def image_url(media: content_pb2.Media) -> str | None:
    """How Cohere takes an image: its address, or a data URI. None: not at all."""
    if not media.mime_type.startswith("image/"):
        return None
    source = media.WhichOneof("source")
    if source == "data":
        return f"data:{media.mime_type};base64,{base64.b64encode(media.data).decode()}"
    return media.uri if source == "uri" and media.uri.startswith(("https://", "http://", "data:")) else None
