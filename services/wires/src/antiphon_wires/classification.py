"""Owns what a vendor's refusal means: one table from (status, words, phrases) to a reason, shared by all providers.

The table is Python, not YAML: it is checked by the type checker and by a lint test, needs no parser in a codec, and
cannot be missing at run time. A vendor's own departures are rows passed as `extra`, tried first.

Forbids itself: I/O, the clock, and letting an upstream text through where it could carry a key or a URL with a query.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import Reason, call_error
from antiphon_wires import retry_hints
from antiphon_wires.error_body import MAX_BODY_BYTES, Facts, clean, read_body

# Time to wait after a 429 that tells none (the row `rate_unknown` of the rules).
_UNKNOWN_DELAY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One rule. All that is given must match; of `words` and `phrases` one is enough."""

    id: str
    reason: error_pb2.ErrorReason
    http: frozenset[int] = frozenset()
    words: frozenset[str] = frozenset()
    """Values of the error's type or code, lower case."""
    phrases: tuple[str, ...] = ()
    """Parts of the error's message, lower case; for vendors that have no word for it."""


def _row(
    name: str, reason: error_pb2.ErrorReason, http: Sequence[int] = (), words: str = "", phrases: Sequence[str] = ()
) -> Row:
    return Row(name, reason, frozenset(http), frozenset(words.split()), tuple(phrases))


# Precedence: rows with words, then rows with phrases, then rows with a status only; within each the first that matches.
TABLE: Final[tuple[Row, ...]] = (
    # Money used up: no waiting helps. https://developers.openai.com/api/docs/guides/error-codes,
    # https://docs.anthropic.com/en/api/errors, https://api-docs.deepseek.com/quick_start/error_codes (all 2026-11).
    _row(
        "billing",
        Reason.ERROR_REASON_QUOTA_EXHAUSTED,
        words="insufficient_quota credit_balance_exhausted billing_hard_limit_reached billing_not_active billing_error"
        " organization_spend_limit_exceeded organization_usage_limit_exceeded project_spend_limit_exceeded"
        " enforced_spend_limit_reached insufficient_balance",
    ),
    _row(
        "overloaded",
        Reason.ERROR_REASON_PROVIDER_OVERLOADED,
        words="overloaded_error server_is_overloaded engine_overloaded"
        " engine_overloaded_error overloaded insufficient_system_resource",
    ),
    _row(
        "context",
        Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
        words="context_length_exceeded exceed_context_size_error model_context_window_exceeded",
    ),
    _row(
        "policy",
        Reason.ERROR_REASON_CONTENT_BLOCKED,
        words="content_policy_violation content_filter invalid_prompt moderation_blocked content_policy"
        " image_content_policy_violation bio_policy misalignment_policy_violation",
    ),
    _row(
        "no_model",
        Reason.ERROR_REASON_MODEL_NOT_FOUND,
        words="model_not_found model_not_available deployment_not_found",
    ),
    _row("opaque", Reason.ERROR_REASON_OPAQUE_STATE_REJECTED, words="invalid_encrypted_content"),
    _row(
        "auth",
        Reason.ERROR_REASON_PROVIDER_CREDENTIALS,
        words="invalid_api_key invalid_authentication authentication_error"
        " permission_error account_deactivated unsupported_country_region_territory",
    ),
    _row(
        "unsupported",
        Reason.ERROR_REASON_PARAM_UNSUPPORTED,
        http=(400, 422),
        words="unsupported_parameter unsupported_value",
    ),
    # What OpenAI can say within an answer, because it looks at images late (ResponseError of openai 3.57, 2026-11).
    _row(
        "image",
        Reason.ERROR_REASON_INVALID_REQUEST,
        words="invalid_image invalid_image_format invalid_base64_image invalid_image_url image_too_large"
        " image_too_small image_parse_error invalid_image_mode image_file_too_large unsupported_image_media_type"
        " empty_image_file failed_to_download_image image_file_not_found data_residency_mismatch",
    ),
    _row("too_large", Reason.ERROR_REASON_REQUEST_TOO_LARGE, words="request_too_large"),
    _row("rate", Reason.ERROR_REASON_RATE_LIMITED, words="rate_limit_exceeded slow_down rate_limit_error"),
    # Vendors without a word for it.
    _row(
        "billing_text",
        Reason.ERROR_REASON_QUOTA_EXHAUSTED,
        (400, 402, 403, 429),
        phrases=("credit balance is too low", "insufficient balance", "exceeded your current quota", "spending limit"),
    ),
    _row(
        "context_text",
        Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
        (400, 413, 422, 500),
        phrases=(
            "maximum context length",
            "context window",
            "context size",
            "context length",
            "prompt is too long",
            "input is too long",
            "too many tokens",
        ),
    ),
    _row(
        "opaque_text",
        Reason.ERROR_REASON_OPAQUE_STATE_REJECTED,
        (400, 422),
        phrases=("invalid `signature`", "invalid signature in", "must be passed back"),
    ),
    _row(
        "auth_text",
        Reason.ERROR_REASON_PROVIDER_CREDENTIALS,
        (400,),
        phrases=("api key not valid", "incorrect api key"),
    ),
    _row(
        "no_model_text", Reason.ERROR_REASON_MODEL_NOT_FOUND, (400, 422), phrases=("model not exist", "model not found")
    ),
    # The status alone.
    _row("billing_http", Reason.ERROR_REASON_QUOTA_EXHAUSTED, (402,)),
    _row("auth_http", Reason.ERROR_REASON_PROVIDER_CREDENTIALS, (401, 403, 498)),
    _row("no_model_http", Reason.ERROR_REASON_MODEL_NOT_FOUND, (404,)),
    _row("too_large_http", Reason.ERROR_REASON_REQUEST_TOO_LARGE, (413,)),
    _row("conflict", Reason.ERROR_REASON_CONFLICT, (409,)),
    _row("transient_4xx", Reason.ERROR_REASON_PROVIDER_ERROR, (408, 425)),
    _row("rate_http", Reason.ERROR_REASON_RATE_LIMITED, (429,)),
    _row("overloaded_http", Reason.ERROR_REASON_PROVIDER_OVERLOADED, (529,)),
    # RFC 9110, 15.6.2: it knows no such method; no other time and no other key will help.
    _row("not_offered_http", Reason.ERROR_REASON_OPERATION_UNSUPPORTED, (501,)),
)

# What the caller did wrong; only here does the vendor's own text reach the caller.
_CALLERS: Final = frozenset(
    {
        Reason.ERROR_REASON_INVALID_REQUEST,
        Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
        Reason.ERROR_REASON_PARAM_UNSUPPORTED,
        Reason.ERROR_REASON_REQUEST_TOO_LARGE,
        Reason.ERROR_REASON_CONTENT_BLOCKED,
        Reason.ERROR_REASON_MODEL_NOT_FOUND,
        Reason.ERROR_REASON_OPAQUE_STATE_REJECTED,
    }
)
_MESSAGES: Final[dict[error_pb2.ErrorReason, str]] = {
    Reason.ERROR_REASON_INVALID_REQUEST: "{provider} refused the request",
    Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: "the prompt and the wanted output exceed the model's context window",
    Reason.ERROR_REASON_PARAM_UNSUPPORTED: "{provider} or its model does not support a parameter of the request",
    Reason.ERROR_REASON_REQUEST_TOO_LARGE: "the request is larger than {provider} takes; shorten it",
    Reason.ERROR_REASON_CONTENT_BLOCKED: "the policy of {provider} blocks the request",
    Reason.ERROR_REASON_MODEL_NOT_FOUND: "{provider} knows no model {model!r}; check the model id, else the base URL",
    Reason.ERROR_REASON_OPAQUE_STATE_REJECTED: "{provider} refuses the reasoning state that was sent back",
    Reason.ERROR_REASON_PROVIDER_CREDENTIALS: "{provider} refuses the key of this gateway; the operator must mend it",
    Reason.ERROR_REASON_QUOTA_EXHAUSTED: "the account at {provider} has used up its credit or spend limit",
    Reason.ERROR_REASON_RATE_LIMITED: "{provider} limits the rate of calls of this account",
    Reason.ERROR_REASON_PROVIDER_OVERLOADED: "{provider} is overloaded",
    Reason.ERROR_REASON_CONFLICT: "{provider} reports a conflict",
    Reason.ERROR_REASON_OPERATION_UNSUPPORTED: "{provider} does not offer this operation",
    Reason.ERROR_REASON_UPSTREAM_PROTOCOL: "the address of {provider} answers with a redirect; set its base URL to the"
    " final address",
}


def classify(
    provider: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float,
    model: str = "",
    extra: Sequence[Row] = (),
    hide: str = "",
) -> error_pb2.CallError:
    """The error of an HTTP answer that is none of success. Header names are lower case; `body` may have been cut.

    `hide` is the key that was sent; it never gets out, whatever it looks like.
    """
    if hide:
        body = body.replace(hide.encode(), b"[redacted]")
    facts = read_body(body[:MAX_BODY_BYTES])
    reason = reason_of(status, facts, extra)
    delay = retry_hints.retry_delay_s(headers, now_s, body_hint=facts.retry_hint)
    if reason == Reason.ERROR_REASON_QUOTA_EXHAUSTED:
        delay = None
    elif reason == Reason.ERROR_REASON_RATE_LIMITED and delay is None:
        delay = _UNKNOWN_DELAY_S
    callers = reason in _CALLERS and status in (400, 404, 413, 422)
    template = _MESSAGES.get(reason, "{provider} failed")
    told = f": {text}" if callers and (text := clean(facts.message)) else ""
    error = call_error(
        reason,
        f"{template.format(provider=provider, model=model)} (HTTP {status}){told}",
        retry_delay_s=delay,
        param=clean(facts.param)[:200],
        provider=provider,
        model=model,
        http_status=status if 100 <= status <= 599 else 0,
        native_type=clean(facts.type)[:100],
        native_code=clean(facts.code)[:100],
        provider_request_id=clean(headers.get("x-request-id") or headers.get("request-id") or facts.request_id)[:200],
        native_body=clean(body[:MAX_BODY_BYTES].decode("utf-8", "replace"), MAX_BODY_BYTES).encode()
        if callers
        else b"",
    )
    if headers.get("x-should-retry") == "false":
        error.retry_same_backend = False
    error.rate_limits.extend(retry_hints.rate_limits(headers, now_s))
    return error


def classify_in_stream(
    provider: str, data: bytes, *, model: str = "", extra: Sequence[Row] = ()
) -> error_pb2.CallError:
    """The error that a vendor sent in an answer whose HTTP status was 200; its code may be the status it meant."""
    code = read_body(data).code
    meant = int(code) if re.fullmatch(r"[45]\d\d", code) else 0
    error = classify(provider, meant or 500, {}, data, now_s=0.0, model=model, extra=extra)
    if not meant:
        error.http_status = 200
        error.message = error.message.replace("(HTTP 500)", "(within its answer)", 1)
    return error


def reason_of(status: int, facts: Facts, extra: Sequence[Row] = ()) -> error_pb2.ErrorReason:
    """The reason by `extra`, then the table, then the defaults: other 4xx are the caller's, the rest the provider's."""
    message = facts.message.lower()
    for rows in (extra, TABLE):
        for matches in (_by_word, _by_phrase, _by_status):
            for row in rows:
                if (not row.http or status in row.http) and matches(row, facts, message):
                    return row.reason
    if 300 <= status < 400:
        return Reason.ERROR_REASON_UPSTREAM_PROTOCOL
    return Reason.ERROR_REASON_INVALID_REQUEST if 400 <= status < 500 else Reason.ERROR_REASON_PROVIDER_ERROR


def _by_word(row: Row, facts: Facts, message: str) -> bool:
    return not row.words.isdisjoint(facts.words)


def _by_phrase(row: Row, facts: Facts, message: str) -> bool:
    return any(phrase in message for phrase in row.phrases)


def _by_status(row: Row, facts: Facts, message: str) -> bool:
    return not row.words and not row.phrases
