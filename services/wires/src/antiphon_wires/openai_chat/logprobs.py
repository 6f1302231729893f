"""Owns the reading of token log probabilities. A malformed entry is skipped: they are an aside of the answer."""

from typing import Any

from antiphon.llm.v1 import response_pb2


def read_logprobs(value: object, kind: str) -> list[response_pb2.TokenLogprob]:
    """The tokens that a choice's `logprobs` tell for content or refusal; [] if it tells none."""
    entries = value.get("refusal" if kind == "refusal" else "content") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return []
    return [_token(entry) for entry in entries if isinstance(entry, dict)]


def _token(entry: dict[str, Any]) -> response_pb2.TokenLogprob:
    token = response_pb2.TokenLogprob()
    if isinstance(text := entry.get("token"), str):
        token.token = text
    if isinstance(logprob := entry.get("logprob"), int | float):
        token.logprob = logprob
    # llama.cpp tells the id (tools/server/README.md, 2026-11).
    if type(number := entry.get("id")) is int and 0 <= number < 2**31:
        token.token_id = number
    raw = entry.get("bytes")
    if isinstance(raw, list) and all(type(byte) is int and 0 <= byte < 256 for byte in raw):
        token.raw_bytes = bytes(raw)
    top = entry.get("top_logprobs")
    if isinstance(top, list):
        token.top.extend(_token(other) for other in top if isinstance(other, dict))
    return token
