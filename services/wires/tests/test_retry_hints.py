from datetime import UTC, datetime

import pytest

from antiphon_wires.retry_hints import delay_s, rate_limits, retry_delay_s

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2),
        ("0.5", 0.5),
        ("-3", 0),
        ("6m0s", 360),
        ("1h2m", 3720),
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1d", 86400),
        ("Wed, 25 Nov 2026 12:00:30 GMT", 30),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0),
        ("2026-11-25T12:01:00Z", 60),
        ("2026-11-25T12:01:00", 60),
        ("2026-11-25T13:01:00+01:00", 60),
        (str(int(NOW) + 5), 5),
        (str((int(NOW) + 5) * 1000), 5),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("1.2.3s", None),
    ],
)
def test_every_form(value, seconds):
    assert delay_s(value, NOW) == (None if seconds is None else pytest.approx(seconds, abs=1e-3))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2),
        ({"retry-after-ms": "1500", "retry-after": "3"}, 3),
        ({"retry-after": "86400"}, 3600),
        ({"retry-after": "inf"}, 3600),
        ({"retry-after": "1", "x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360),
        ({"retry-after": "1", "x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "9"}, 1),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "1s"}, 360),
        ({"x-ratelimit-reset": "7"}, 7),
        ({"anthropic-ratelimit-input-tokens-reset": "2026-11-25T12:00:10Z"}, 10),
        ({"anthropic-ratelimit-tokens-remaining": "0"}, None),
    ],
)
def test_the_longest_hint_wins(headers, seconds):
    assert retry_delay_s(headers, NOW) == seconds


def test_a_hint_in_the_body_counts():
    assert retry_delay_s({"retry-after": "1"}, NOW, body_hint="30s") == 30


def test_limits_of_both_schools():
    limits = rate_limits(
        {
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-reset-requests": "8.64s",
            "x-ratelimit-remaining-tokens": "many",
            "x-ratelimit-reset-tokens": "never",
            "x-ratelimit-policy": "x",
            "anthropic-ratelimit-output-tokens-limit": "1" * 30,
            "content-type": "text/plain",
        },
        NOW,
    )
    assert [limit.name for limit in limits] == ["requests", "tokens", "output_tokens"]
    requests, tokens, _ = limits
    assert (requests.limit, requests.remaining, requests.reset_after.ToMilliseconds()) == (10000, 9999, 8640)
    assert not tokens.HasField("remaining")
    assert not tokens.HasField("reset_after")
