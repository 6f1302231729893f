"""Owns the reading of a vendor's error body, and what of its words may be shown.

Forbids itself: deciding what the error means, see classification.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from antiphon_wires import json_text

MAX_BODY_BYTES: Final = 64 * 1024
_MAX_TEXT_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """What a vendor's error object says, in its own words."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""
    request_id: str = ""
    retry_hint: str = ""
    words: frozenset[str] = field(default_factory=frozenset)


_WORD: Final = re.compile(rb'"(?:code|type)"\s*:\s*"([A-Za-z0-9_]{1,64})"')


def read_body(body: bytes) -> Facts:
    """The facts in an error body of any of the known shapes; none in HTML or other text.

    {"error": {message, type, code, param}} (OpenAI and most), {"type": "error", "error": {...}, "request_id"}
    (Anthropic), {message} (Cohere), {"object": "error", ...} (vLLM), {"detail": ...} (FastAPI), {"error": "text"}
    (Ollama), [{"error": {...}}] (Gemini).
    """
    try:
        value = json_text.read(body)
    except ValueError:
        # Cut JSON still tells its words.
        words = [word.decode() for word in _WORD.findall(body)] if body.lstrip()[:1] == b"{" else []
        return Facts(code=words[-1] if words else "", words=frozenset(word.lower() for word in words))
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return Facts()
    error = value.get("error")
    if isinstance(error, str):
        return Facts(message=json_text.mend(error)[0])
    return _facts(error if isinstance(error, dict) else value, value)


def _facts(error: dict[str, Any], outer: dict[str, Any]) -> Facts:
    details = error.get("details")
    texts = {name: _text(error.get(name)) for name in ("message", "type", "code", "param", "status")}
    words = {texts["type"], texts["code"]}
    hint = ""
    for detail in details if isinstance(details, list) else [details]:
        if isinstance(detail, dict):
            words.add(_text(detail.get("error_code")))
            hint = hint or _text(detail.get("retryDelay"))
    message = texts["message"] or _text(error.get("detail"))
    return Facts(
        message=message,
        type=texts["type"] or texts["status"],
        code=texts["code"],
        param=texts["param"],
        request_id=_text(outer.get("request_id")),
        retry_hint=hint,
        words=frozenset(word.lower() for word in words if word),
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return json_text.mend(value)[0]
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        return str(value)
    return json_text.dump(value)


_SECRET: Final = re.compile(
    r"\b(?:sk|pk|rk|key|gsk|xai|hf|AIza)[-_][A-Za-z0-9_*.-]{6,}|\bBearer\s+\S+|\bAIza[A-Za-z0-9_-]{10,}"
    r"|[A-Za-z0-9_-]{40,}",
    re.IGNORECASE,
)
_QUERY: Final = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_USER: Final = re.compile(r"(https?://)[^\s/@\"'<>]*@")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
# A UUID or the id of a trace. Nothing that looks like a key is made of these alone and as short.
_ID: Final = re.compile(r"[0-9A-Fa-f-]{,36}")


def clean(text: str, limit: int = _MAX_TEXT_CHARS) -> str:
    """`text` without what looks like a key, queries and users of URLs, and control characters; at most `limit` long."""
    if _ID.fullmatch(text):
        return text[:limit]
    text = text[: limit * 4]
    if "://" in text:
        text = _USER.sub(r"\1", _QUERY.sub(r"\1", text))
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    return _SECRET.sub("[redacted]", text).strip()[:limit]
