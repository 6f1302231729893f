"""Answers that no vendor should send: whatever they hold, reading them ends in words of the contract."""

import json

import pytest
from anthropic_reading import events, natives, parts
from anthropic_speech import CITATION, begin, delta, end, start, stop

from antiphon_contract.errors import CallFailure
from antiphon_provider_anthropic.codec import MessageStream


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


def test_a_delta_with_a_number_out_of_range_is_read_all_the_same():
    odd = delta(0, "text", text="b").replace(b'"text":"b"', b'"text":"b","x":1e999')
    [part] = parts(begin(), start(0, type="text", text="a"), odd, odd, stop(0), end())
    assert part.text.text == "abb"


@pytest.mark.parametrize(
    ("block", "kind", "member"),
    [
        ({"type": "text", "text": "a"}, "text", "text"),
        ({"type": "thinking", "thinking": "a"}, "thinking", "thinking"),
        ({"type": "thinking", "thinking": "a"}, "signature", "signature"),
        ({"type": "tool_use", "id": "t1", "name": "f", "input": {}}, "input_json", "partial_json"),
    ],
)
def test_a_delta_with_another_member_instead_of_its_own_is_kept(block, kind, member):
    odd = delta(0, kind, other="b")
    made = events(begin(), start(0, **block), odd, delta(0, kind, **{member: "{}"}), stop(0), end())
    assert [told["delta"] for _, told in natives(made)] == [{"type": f"{kind}_delta", "other": "b"}]


@pytest.mark.parametrize("depth", [400, 700, 900, 990, 5000])
@pytest.mark.parametrize("text", ["", "\\ud83d"])
def test_nothing_is_nested_too_deeply_to_be_an_answer_or_a_failure(depth, text):
    deep = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
    deep += b'"text":"a' + text.encode() + b'","x":' + b"[" * depth + b"]" * depth + b"}}\n\n"
    stream = MessageStream()
    found = stream.feed(begin() + deep + stop(0) + end())
    if not found or not found[-1].HasField("candidate_end"):
        with pytest.raises(CallFailure, match="UPSTREAM_PROTOCOL"):
            stream.check()
