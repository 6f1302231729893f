"""What the vendor's refusals mean beyond the shared table, by the words and texts of anthropic 2.14 (2026-11)."""

import json

import pytest

from antiphon_contract.errors import reason_name
from antiphon_provider_anthropic.codec import ERRORS
from antiphon_wires import classification


def reason(status, code="", message="no", kind="invalid_request_error"):
    error = {"type": kind, "message": message, **({"details": {"error_code": code}} if code else {})}
    body = json.dumps({"type": "error", "error": error}).encode()
    return reason_name(classification.classify("anthropic", status, {}, body, now_s=0.0, extra=ERRORS).reason)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, "enforced_spend_limit_reached", "QUOTA_EXHAUSTED"),
        (429, "contract_spend_limit_reached", "QUOTA_EXHAUSTED"),
        (429, "linked_organization_spend_limit_reached", "QUOTA_EXHAUSTED"),
        (402, "linked_organization_billing_unavailable", "QUOTA_EXHAUSTED"),
        (403, "user_profile_billing_not_authorized", "QUOTA_EXHAUSTED"),
        (403, "user_profile_not_billable", "QUOTA_EXHAUSTED"),
        (429, "ramp_limit_exceeded", "RATE_LIMITED"),
        (400, "organization_on_hold", "PROVIDER_CREDENTIALS"),
        (400, "compaction_signature_invalid", "OPAQUE_STATE_REJECTED"),
        (400, "compaction_content_mismatch", "OPAQUE_STATE_REJECTED"),
        (400, "request_body_too_large_after_decoding", "REQUEST_TOO_LARGE"),
        (400, "image_dimensions_too_large", "INVALID_REQUEST"),
        (499, "", "PROVIDER_ERROR"),
    ],
)
def test_words(status, code, expected):
    assert reason(status, code) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("You have reached your specified API usage limits.", "QUOTA_EXHAUSTED"),
        ("Your credit balance is too low to access the Claude API.", "QUOTA_EXHAUSTED"),
        ("prompt is too long: 212345 tokens > 200000 maximum", "CONTEXT_LENGTH_EXCEEDED"),
        ("input length and `max_tokens` exceed context limit: 1 + 2 > 2", "CONTEXT_LENGTH_EXCEEDED"),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", "OPAQUE_STATE_REJECTED"),
        ("`thinking` blocks in the latest assistant message cannot be modified.", "OPAQUE_STATE_REJECTED"),
        ("Expected `thinking` or `redacted_thinking`, but found `tool_use`.", "OPAQUE_STATE_REJECTED"),
        ("Output blocked by content filtering policy", "CONTENT_BLOCKED"),
        ('"thinking.type.enabled" is not supported for this model.', "PARAM_UNSUPPORTED"),
        ("role 'system' is not supported on this model", "PARAM_UNSUPPORTED"),
        ("max_tokens: 100000 > 64000", "INVALID_REQUEST"),
    ],
)
def test_texts(message, expected):
    assert reason(400, message=message) == expected
