"""What has no word of the contract is kept as it came: unknown events and members, native bytes."""

import json

from cohere_recording import RAG, end, event, said, start

from antiphon_provider_cohere.codec import ChatStream


def events(*pieces, **options):
    stream = ChatStream(mint=lambda: "minted", **options)
    found = []
    for piece in pieces:
        found += stream.feed(piece)
        stream.check()
    return found + list(stream.close())


def kinds(found):
    return [one.WhichOneof("kind") for one in found]


def natives(found):
    return [(one.native_event.name, one.native_event.data) for one in found if one.HasField("native_event")]


def test_debug_and_unknown_events_wait_for_content_and_come_verbatim():
    debug = b'{"type":"debug",  "prompt":"<BOS>"}'
    found = events(b"data: " + debug + b"\n\n", start(), said("x"), event("future-delta", {"x": 1}), end())
    future = event("future-delta", {"x": 1}).partition(b"data: ")[2].strip()
    assert natives(found) == [("debug", debug), ("future-delta", future)]
    assert found[0].start.provider_response_id
    assert kinds(found)[:3] == ["start", "part_start", "text_delta"]


def test_unknown_members_come_once_per_value():
    odd = [said("a", trace="t1"), said("b", trace="t1"), said("c", trace="t2"), said("d", trace=None)]
    found = events(start(), *odd, end())
    assert [json.loads(data)["trace"] for _, data in natives(found)] == ["t1", "t2"]
    assert "".join(one.text_delta for one in found) == "abcd"


def test_members_that_should_be_empty_are_kept_when_they_are_not():
    filled = event("message-start", {"role": "assistant", "content": [{"type": "x"}], "tool_calls": []}, id="i")
    assert len(natives(events(filled, said("x"), end()))) == 1
    listed = event("tool-call-start", {"tool_calls": [{"id": "a", "function": {"name": "f"}, "extra": 1}]}, index=0)
    assert len(natives(events(start(), listed, end()))) == 1
    for kind in ("image", ["x"]):
        unheard = event("content-start", {"content": {"type": kind}}, index=0)
        assert len(natives(events(start(), unheard, end()))) == 1


def test_a_message_beside_a_good_finish_is_kept():
    found = events(start(), said("x"), end(error="be careful"))
    assert json.loads(natives(found)[0][1])["delta"]["error"] == "be careful"
    attached = events(start(), said("x"), end(error="be careful", usage=None), native=True)
    assert natives(attached) == []


def test_native_mode_attaches_each_payload_once():
    found = events(RAG + b'data: {"type": "debug"}\n\n', native=True)
    payloads = [one.native or one.native_event.data for one in found if one.native or one.HasField("native_event")]
    whole = [block.rpartition(b"data: ")[2] for block in RAG.split(b"\n\n") if block]
    assert sorted(payloads) == sorted(whole)
    assert events(start(), b'data: {"type":"debug"}\n\n', said("x"), end(), native=True)
