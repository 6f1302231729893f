"""Owns the reading of Cohere's list of models.

https://docs.cohere.com/reference/list-models, as typed by cohere 7.3 (2026-11).
"""

from typing import Any, Final

from antiphon.llm.v1 import models_pb2
from antiphon_provider_cohere.codec.capabilities import NAME, support
from antiphon_provider_cohere.codec.citations import string
from antiphon_provider_cohere.codec.envelope import read_object, unreadable
from antiphon_wires import json_text

_OPERATIONS: Final = {"chat": "generate", "embed": "embed", "rerank": "rerank"}
_MODALITIES: Final = {"chat": "text", "embed": "embedding"}
# Embed v3 and v4 take images, but their features do not tell (https://docs.cohere.com/docs/cohere-embed, 2026-11).
_VISION: Final = "vision"


def read_models(body: bytes) -> tuple[list[models_pb2.Model], str]:
    """One page of models, and the token of the next; "" on the last. Raises UPSTREAM_PROTOCOL."""
    page = read_object(body)
    listed = page.get("models")
    if not isinstance(listed, list):
        raise unreadable("its list of models cannot be read")
    raws = json_text.elements(bytes(json_text.dig(body, "models")))
    models = [_model(one, json_text.text_of(raw)) for one, raw in zip(listed, raws, strict=True)]
    return models, string(page.get("next_page_token"))


def _model(listed: Any, native_json: str) -> models_pb2.Model:
    name = string(listed.get("name")) if isinstance(listed, dict) else ""
    if not name:
        raise unreadable("a model in its list has no name")
    endpoints = [string(endpoint) for endpoint in listed.get("endpoints") or ()]
    features = [string(feature) for feature in listed.get("features") or ()]
    deprecated = listed.get("is_deprecated") is True
    model = models_pb2.Model(
        id=f"{NAME}/{name}",
        provider=NAME,
        native_id=name,
        lifecycle=models_pb2.Model.LIFECYCLE_DEPRECATED if deprecated else models_pb2.Model.LIFECYCLE_ACTIVE,
        operations=[_OPERATIONS[endpoint] for endpoint in endpoints if endpoint in _OPERATIONS],
        input_modalities=["text", "image"] if _VISION in features else ["text"],
        output_modalities=[_MODALITIES[endpoint] for endpoint in endpoints if endpoint in _MODALITIES],
        native_json=native_json,
    )
    if "chat" in endpoints:
        model.support.update(support())
    window = listed.get("context_length")
    if isinstance(window, int | float) and 0 < window < 2**31:
        model.max_input_tokens = int(window)
    return model
