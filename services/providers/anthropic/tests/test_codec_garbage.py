"""Answers that no vendor should send: whatever they hold, reading them ends in words of the contract."""

import json

import pytest
from anthropic_reading import parts
from anthropic_speech import CITATION, begin, delta, end, start, stop

from antiphon_provider_anthropic.codec.plain_delta import PlainDelta


@pytest.mark.parametrize("kind", [["char_location"], {"a": 1}, 7, None])
def test_a_citation_of_no_kind_is_kept_verbatim(kind):
    odd = {**CITATION, "type": kind}
    stream = (begin(), start(0, type="text", text=""), delta(0, "citations", citation=odd), stop(0), end())
    [part] = parts(*stream)
    [citation] = part.text.citations
    assert json.loads(citation.provider_json["anthropic"]) == odd
    assert not citation.sources


def test_broken_bytes_in_an_unknown_member_are_replaced():
    opening = start(0, type="text", text="a", novelty="@").replace(b"@", b"\xff")
    [part] = parts(begin(), opening, stop(0), end())
    assert part.text.text == "a"
    assert json.loads(part.provider_json["anthropic"])["novelty"] == "\ufffd"


def test_a_delta_with_a_number_out_of_range_is_not_learned_from():
    payload = b'{"type":"content_block_delta","index":1e999,"delta":{"type":"text_delta","text":"a"}}'
    assert PlainDelta.learn("content_block_delta", payload, json.loads(payload), "text") is None
