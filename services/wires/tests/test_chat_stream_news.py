"""What has no meaning here is told as it stands wherever it comes in, and so is what a later chunk says anew."""

import json

import pytest
from chat_wire import HEAD, ROLE, STOP, chunk, events, sse, stream

from antiphon_contract.errors import CallFailure
from antiphon_wires.openai_chat.codec import OPENAI, CompletionStream

TOKEN = {"token": "a", "logprob": -1}


def told(*chunks):
    """The chunks that were handed on."""
    found = [event.native_event for event in events(sse(*chunks)) if event.HasField("native_event")]
    return [json.loads(native.data) for native in found]


@pytest.mark.parametrize(
    ("delta", "choice"),
    [
        ({"audio": {"id": "a", "x": 1}}, {}),
        ({"function_call": {"name": "f", "x": 1}}, {}),
        ({"tool_calls": [{"index": 0, "x": 1, "function": {"name": "f"}}]}, {}),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "x": 1}}]}, {}),
        ({"tool_calls": [{"index": 0, "custom": {"name": "f", "x": 1}}]}, {}),
        ({"content": "a"}, {"logprobs": {"content": [], "x": 1}}),
        ({"content": "a"}, {"logprobs": {"content": [TOKEN, {**TOKEN, "x": 1}]}}),
        ({"content": "a"}, {"logprobs": {"content": [{**TOKEN, "top_logprobs": [{**TOKEN, "x": 1}]}]}}),
        ({"refusal": "a"}, {"logprobs": {"refusal": [{**TOKEN, "x": 1}]}}),
        ({"refusal": "a"}, {"logprobs": {"refusal": [{**TOKEN, "top_logprobs": [{**TOKEN, "x": 1}]}]}}),
    ],
    ids=str,
)
def test_a_new_member_far_down_hands_the_chunk_on(delta, choice):
    new = chunk(delta, choice=choice)
    known = json.loads(json.dumps(new).replace(', "x": 1', "").replace('"x": 1, ', ""))
    assert told(known, STOP) == []
    assert told(new, STOP) == [new]
    assert told(new, new, STOP) == [new], "once per value"


def test_what_is_no_object_where_one_belongs_has_no_members():
    assert told(chunk({"tool_calls": [7], "audio": 7, "content": "a"}, choice={"logprobs": 7}), STOP) == []


def test_what_later_chunks_say_of_the_answer_is_told_when_it_changes():
    plain = [chunk({"content": text}) for text in "abc"]
    tier, model, print_ = {"service_tier": "flex"}, {"model": "other"}, {"system_fingerprint": "fp"}
    assert told(ROLE, *plain, {**plain[0], "created": 7}, {**plain[0], "id": "another"}, STOP) == []
    late = [{**plain[0], **tier}, {**plain[1], **tier, **model}, {**STOP, **tier, **model, **print_}]
    assert told(ROLE, plain[0], *late, late[-1]) == late


def test_what_azure_leaves_out_of_its_first_chunk_is_told_with_the_second():
    empty = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    second = chunk({"role": "assistant", "content": ""})
    assert told(empty, second, chunk({"content": "a"}), STOP) == [empty, second]


def test_an_answer_named_late_is_still_read_the_short_way_afterwards(monkeypatch):
    """A change costs one chunk, not the rest of the stream."""
    decoder, taken_apart = stream(), []
    decoder.feed(sse(ROLE, chunk({"content": "a"}), done=False))
    general = decoder._general
    monkeypatch.setattr(decoder, "_general", lambda *given: (taken_apart.append(given), general(*given)))
    decoder.feed(sse(*(chunk({"content": "a"}, service_tier="flex") for _ in range(9)), done=False))
    assert len(taken_apart) == 1


def test_token_ids_of_llama_cpp():
    entries = [{**TOKEN, "id": 5, "top_logprobs": [{**TOKEN, "id": 6}]}, {**TOKEN, "id": -1}, {**TOKEN, "id": 2**31}]
    found = events(sse(chunk({"content": "a"}, choice={"logprobs": {"content": entries}}), STOP))
    [tokens] = [event.logprobs for event in found if event.logprobs]
    assert [(token.HasField("token_id"), token.token_id) for token in tokens] == [(True, 5), (False, 0), (False, 0)]
    assert tokens[0].top[0].token_id == 6


@pytest.mark.parametrize(
    ("probs", "news"),
    [
        ({"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": [{"a": -1, "b": None}], "text_offset": [0]}, False),
        ({"tokens": ["a"], "token_logprobs": [-1], "x": 1}, True),
        ({"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": [{"a": -1, "b": "odd"}]}, True),
        ({"content": [{**TOKEN, "x": 1}]}, True),
    ],
)
def test_new_members_in_the_logprobs_of_a_completion(probs, news):
    said = {**HEAD, "choices": [{"index": 0, "text": "a", "logprobs": probs, "finish_reason": "stop"}]}
    decoder = CompletionStream(OPENAI)
    found = [event for event in decoder.feed(sse(said)) if event.HasField("native_event")]
    decoder.check()
    assert [json.loads(event.native_event.data) for event in found] == ([said] if news else [])


@pytest.mark.parametrize("depth", [400, 700, 900, 990, 5000])
@pytest.mark.parametrize("text", ["", "\\ud83d"])
def test_nothing_is_nested_too_deeply_to_be_an_answer_or_a_failure(depth, text):
    deep = b'{"x":' + b"[" * depth + b"]" * depth + b',"choices":[{"index":0,"delta":{"content":"a%s"}}]}'
    decoder = stream()
    found = decoder.feed(sse(ROLE, deep % text.encode(), STOP))
    if not found or not found[-1].HasField("candidate_end"):
        with pytest.raises(CallFailure, match="UPSTREAM_PROTOCOL"):
            decoder.check()
