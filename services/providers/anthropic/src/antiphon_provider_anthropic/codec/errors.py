"""Owns what refusals of this vendor mean beyond the table that all providers share."""

from typing import Final

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import Reason
from antiphon_provider_anthropic.codec.scope import NAME
from antiphon_wires import classification
from antiphon_wires.classification import Row
from antiphon_wires.error_body import read_body

# `details.error_code` values of anthropic 2.14 (types/shared/*_error.py), and texts of
# https://platform.claude.com/docs/en/api/errors (2026-11).
ERRORS: Final[tuple[Row, ...]] = (
    Row(
        "anthropic_spend",
        Reason.ERROR_REASON_QUOTA_EXHAUSTED,
        words=frozenset(
            {
                "contract_spend_limit_reached",
                "linked_organization_spend_limit_reached",
                "linked_organization_billing_unavailable",
                "user_profile_billing_not_authorized",
                "user_profile_not_billable",
            }
        ),
    ),
    # The account is closed for good; another one may serve.
    Row("anthropic_hold", Reason.ERROR_REASON_PROVIDER_CREDENTIALS, words=frozenset({"organization_on_hold"})),
    Row(
        "anthropic_state",
        Reason.ERROR_REASON_OPAQUE_STATE_REJECTED,
        words=frozenset({"compaction_signature_invalid", "compaction_content_mismatch"}),
    ),
    Row(
        "anthropic_large",
        Reason.ERROR_REASON_REQUEST_TOO_LARGE,
        words=frozenset({"request_body_too_large_after_decoding"}),
    ),
    Row(
        "anthropic_spend_text",
        Reason.ERROR_REASON_QUOTA_EXHAUSTED,
        frozenset({400, 403, 429}),
        phrases=("specified api usage limits",),
    ),
    Row(
        "anthropic_context_text",
        Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
        frozenset({400, 413}),
        phrases=("exceed context limit",),
    ),
    Row(
        "anthropic_state_text",
        Reason.ERROR_REASON_OPAQUE_STATE_REJECTED,
        frozenset({400}),
        phrases=("blocks in the latest assistant message cannot be modified", "expected `thinking` or"),
    ),
    Row(
        "anthropic_policy_text",
        Reason.ERROR_REASON_CONTENT_BLOCKED,
        frozenset({400}),
        phrases=("blocked by content filtering policy",),
    ),
    Row(
        "anthropic_unsupported_text",
        Reason.ERROR_REASON_PARAM_UNSUPPORTED,
        frozenset({400}),
        phrases=("not supported on this model", "not supported for this model", "not supported by this model"),
    ),
    # The vendor's own edge gave up on us.
    Row("anthropic_closed", Reason.ERROR_REASON_PROVIDER_ERROR, frozenset({499})),
)

# An error inside a stream has a type but no status: https://platform.claude.com/docs/en/api/errors (2026-11).
_STATUS: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def refusal_in_stream(data: bytes, model: str) -> error_pb2.CallError:
    """The error that came as an event of a stream whose HTTP status was 200."""
    meant = _STATUS.get(read_body(data).type, 500)
    error = classification.classify(NAME, meant, {}, data, now_s=0.0, model=model, extra=ERRORS)
    error.http_status = 200
    error.message = error.message.replace(f"(HTTP {meant})", "(within its answer)", 1)
    return error
