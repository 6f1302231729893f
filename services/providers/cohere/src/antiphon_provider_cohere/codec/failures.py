"""Owns what Cohere's refusals mean, where they depart from the shared table, and the one that comes inside a stream.

https://docs.cohere.com/reference/errors (2026-11): errors are {"id", "message"}, without types and codes, so that
phrases have to tell. 401 and 498 are keys, 402 is the bill; those and 404 are in the shared table already.
"""

from collections.abc import Sequence
from typing import Final

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import Reason
from antiphon_provider_cohere.codec.capabilities import NAME
from antiphon_wires import classification, json_text
from antiphon_wires.classification import Row


def _row(
    name: str, reason: error_pb2.ErrorReason, http: Sequence[int], *phrases: str, words: Sequence[str] = ()
) -> Row:
    return Row(f"cohere_{name}", reason, frozenset(http), frozenset(words), phrases)


ERRORS: Final[tuple[Row, ...]] = (
    # The finish reason of a stream that took too long.
    _row("timeout", Reason.ERROR_REASON_PROVIDER_OVERLOADED, (), words=("timeout",)),
    # A trial key is spent for the month after 1000 calls; the per-minute limit of the same key passes
    # (https://docs.cohere.com/docs/rate-limits, 2026-11).
    _row("trial_month", Reason.ERROR_REASON_QUOTA_EXHAUSTED, (429,), "api calls / month"),
    _row("billing", Reason.ERROR_REASON_QUOTA_EXHAUSTED, (400, 403, 429), "billing limit", "payment method"),
    _row("overloaded", Reason.ERROR_REASON_PROVIDER_OVERLOADED, (500, 503), "overloaded", "at capacity"),
    # "too many tokens: max tokens must be less than or equal to 4096" is about the limit that was asked for.
    _row("output_limit", Reason.ERROR_REASON_INVALID_REQUEST, (400, 422), "max tokens must be"),
    _row("context", Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED, (400, 422, 500), "too many tokens"),
    # The model is there, but it or its endpoint lacks what was asked for.
    _row("unsupported", Reason.ERROR_REASON_PARAM_UNSUPPORTED, (400, 422), "is not supported"),
    # 499 means that the caller hung up. This gateway has not, or nobody would read this; a proxy in between did.
    _row("hung_up", Reason.ERROR_REASON_PROVIDER_ERROR, (499,)),
)


def read_failure(word: str, message: str, *, model: str = "") -> error_pb2.CallError:
    """The error that ended a stream whose HTTP status was 200: `word` is the finish reason, `message` what came by."""
    body = json_text.dump({"message": message, "type": word}).encode()
    return classification.classify_in_stream(NAME, body, model=model, extra=ERRORS)
