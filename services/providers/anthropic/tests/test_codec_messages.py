"""The conversation on its way to the vendor: roles, instructions, history, opaque state."""

import json

import pytest
from anthropic_encoding import WARN, body, encoded, messages, refused, warnings

from antiphon.llm.v1 import chat_pb2, content_pb2

ERROR = "options { unsupported_policy: UNSUPPORTED_POLICY_ERROR }"


def message(role, *parts, **more):
    rest = " ".join(f"{name}: {value}" for name, value in more.items())
    return f"messages {{ role: ROLE_{role} {' '.join(f'parts {{ {part} }}' for part in parts)} {rest} }}"


def text(value):
    return f"text {{ text: {json.dumps(value)} }}"


def prompt(*parts, after=""):
    return f"prompt {{ {' '.join(parts)} }} {after}"


HI = message("USER", text("hi"))


def answer(*parts, after="", **kwargs):
    """What the assistant's turn becomes, and the warnings."""
    whole = prompt(HI, message("ASSISTANT", *parts), HI, after=after)
    sent = body(whole, **kwargs)["messages"]
    return (sent[1]["content"] if sent[1]["role"] == "assistant" else None), warnings(whole, **kwargs)


# -- instructions


def test_first_instructions_go_to_the_top():
    sent = body(prompt(message("SYSTEM", text("a")), message("DEVELOPER", text("b")), HI))
    assert sent["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert [turn["role"] for turn in sent["messages"]] == ["user"]
    assert body(prompt(message("SYSTEM", text("a")), HI))["system"] == "a"
    assert "system" not in body(prompt(message("SYSTEM", text("")), HI))


# https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages (2026-11)
def test_later_instructions_stay_where_they_are():
    sent = messages(f"{HI} {message('DEVELOPER', text('b'))} {message('SYSTEM', text(''))}")
    assert sent == [{"role": "user", "content": "hi"}, {"role": "system", "content": "b"}]


def test_instructions_alone_are_no_conversation():
    assert refused(prompt(message("SYSTEM", text("a")))) == ("INVALID_REQUEST", "prompt.messages")


def test_instructions_are_text():
    whole = prompt(message("SYSTEM", 'media { uri: "https://x" mime_type: "image/png" }'), HI)
    assert refused(whole) == ("PARAM_UNSUPPORTED", "prompt.messages[0].parts[0]")
    assert "system" not in body(whole + WARN)


def test_a_cache_breakpoint_after_the_instructions():
    sent = body(prompt(message("SYSTEM", text("a") + 'cache { ttl: "1h" }'), HI))
    assert sent["system"] == [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


def test_what_first_instructions_cannot_have():
    patch = 'provider_json { key: "anthropic" value: "{}" } name: "n"'
    whole = prompt(f"messages {{ role: ROLE_SYSTEM parts {{ {text('a')} }} {patch} }}", HI)
    path = "prompt.messages[0]"
    assert warnings(whole) == [("PARAM_DROPPED", f"{path}.provider_json"), ("PARAM_DROPPED", f"{path}.name")]


def test_an_unknown_role():
    request = chat_pb2.StreamGenerateRequest()
    request.prompt.messages.add(role=99)
    assert refused(request) == ("INVALID_REQUEST", "prompt.messages[0].role")


# -- cache


@pytest.mark.parametrize(
    ("ttl", "control", "is_clamped"),
    [("", {}, False), ("5m", {"ttl": "5m"}, False), ("300s", {"ttl": "5m"}, False), ("60m", {"ttl": "1h"}, False),
     ("30s", {"ttl": "5m"}, True), ("6m", {"ttl": "1h"}, True), ("12h", {"ttl": "1h"}, True),
     ("1d", {"ttl": "1h"}, True)],
)  # fmt: skip
def test_a_cache_lifetime_is_rounded_up(ttl, control, is_clamped):
    whole = prompt(message("USER", text("x") + f'cache {{ ttl: "{ttl}" }}'))
    [block] = body(whole)["messages"][0]["content"]
    assert block["cache_control"] == {"type": "ephemeral", **control}
    path = "prompt.messages[0].parts[0].cache.ttl"
    assert warnings(whole) == ([("PARAM_CLAMPED", path)] if is_clamped else [])


def test_a_cache_lifetime_that_is_none():
    whole = prompt(message("USER", text("x") + 'cache { ttl: "soon" }'))
    assert refused(whole) == ("INVALID_REQUEST", "prompt.messages[0].parts[0].cache.ttl")


# -- users and tools


def test_results_of_parallel_calls_share_a_turn():
    def result(call_id, *parts, more=""):
        inner = " ".join(f"parts {{ {part} }}" for part in parts)
        return f'tool_result {{ tool_call_id: "{call_id}" {inner} {more} }}'

    sent = messages(
        " ".join(
            (
                HI,
                message("TOOL", result("a", text("one"))),
                message("TOOL", result("b", text("two"), text("three"), more="is_error: true")),
                message("TOOL", result("c", more='data_json: "{}"') + " cache {}"),
                message("TOOL", result("d")),
                message("USER", result("e"), text("go on")),
            )
        )
    )
    assert [turn["role"] for turn in sent] == ["user", "user", "user"]
    many = [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]
    assert sent[1]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "one"},
        {"type": "tool_result", "tool_use_id": "b", "content": many, "is_error": True},
        {"type": "tool_result", "tool_use_id": "c", "content": "{}", "cache_control": {"type": "ephemeral"}},
        {"type": "tool_result", "tool_use_id": "d"},
    ]
    assert sent[2]["content"] == [{"type": "tool_result", "tool_use_id": "e"}, {"type": "text", "text": "go on"}]


def test_a_result_that_holds_what_cannot_be_sent():
    [_, turn] = messages(f"{HI} {message('TOOL', 'tool_result { parts { reasoning {} } }')}")
    assert turn["content"] == [{"type": "tool_result", "tool_use_id": ""}]


def test_a_turn_with_a_patch_stands_for_itself():
    patch = 'provider_json { key: "anthropic" value: \'{"x": 1}\' }'
    result = 'parts { tool_result { tool_call_id: "a" } }'
    sent = messages(f"{HI} messages {{ role: ROLE_TOOL {result} }} messages {{ role: ROLE_TOOL {result} {patch} }}")
    assert [turn.get("x") for turn in sent] == [None, None, 1]
    assert messages(f"{HI} messages {{ role: ROLE_TOOL }}") == [{"role": "user", "content": "hi"}]


def test_tools_say_results_only():
    whole = prompt(HI, message("TOOL", text("x")))
    assert refused(whole) == ("INVALID_REQUEST", "prompt.messages[1].parts[0]")


def test_an_empty_turn_is_the_vendors_to_refuse():
    assert messages(message("USER", text(""))) == [{"role": "user", "content": ""}]


def test_names_and_phases_are_left_out_with_a_warning():
    whole = prompt(message("USER", text("x") + 'phase: "commentary"', name='"Ann"'))
    assert warnings(whole) == [
        ("PARAM_DROPPED", "prompt.messages[0].name"),
        ("PART_DROPPED", "prompt.messages[0].parts[0].phase"),
    ]


# 400 since https://platform.claude.com/docs/en/api/migration-2026-10-21 (2026-11)
def test_citations_of_a_user_are_left_out():
    whole = prompt(message("USER", 'text { text: "x" citations {} }'))
    assert body(whole)["messages"] == [{"role": "user", "content": "x"}]
    assert warnings(whole) == [("PART_DROPPED", "prompt.messages[0].parts[0].text.citations")]


def test_parts_that_only_answers_have():
    whole = prompt(message("USER", text("x"), 'reasoning { text: "r" }', "compaction {}"))
    assert warnings(whole) == [
        ("PART_DROPPED", "prompt.messages[0].parts[1].reasoning"),
        ("PART_DROPPED", "prompt.messages[0].parts[2].compaction"),
    ]


@pytest.mark.parametrize("role", ["USER", "ASSISTANT"])
def test_a_part_of_an_unknown_kind(role):
    assert refused(prompt(HI, message(role, "")))[0] == "INVALID_REQUEST"


# -- earlier answers


def opaque(kind, data="c2ln", issuer="anthropic", domain="acc"):
    return f'opaque {{ issuer: "{issuer}" kind: "{kind}" data: "{data}" state_domain: "{domain}" }}'


SIGNED = 'reasoning { text: "\\n Let me " }' + opaque("thinking.signature", "EqQB+/==")
THOUGHT = {"type": "thinking", "thinking": "\n Let me ", "signature": "EqQB+/=="}


def test_own_thinking_goes_back_as_it_came():
    redacted = "reasoning { visibility: VISIBILITY_REDACTED }" + opaque("redacted_thinking.data", "Emw=")
    omitted = "reasoning {}" + opaque("thinking.signature", "sig")
    content, warned = answer(SIGNED, redacted, omitted, text("ok"), state_domain="acc")
    assert content == [
        THOUGHT,
        {"type": "redacted_thinking", "data": "Emw="},
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "text", "text": "ok"},
    ]
    assert warned == []


@pytest.mark.parametrize(("domain", "own"), [("acc", "acc"), ("", "acc"), ("acc", "")])
def test_an_account_without_a_name_takes_state_back(domain, own):
    part = f"reasoning {{ text: {json.dumps(THOUGHT['thinking'])} }}" + opaque(
        "thinking.signature", "EqQB+/==", domain=domain
    )
    assert answer(part, state_domain=own) == ([THOUGHT], [])


@pytest.mark.parametrize(
    "state",
    [opaque("thinking.signature", issuer="openai"), opaque("thinking.signature", issuer=""),
     opaque("thinking.signature", domain="other"), opaque("reasoning.encrypted_content")],
)  # fmt: skip
def test_foreign_state_is_left_out_and_its_thinking_too(state):
    content, warned = answer('reasoning { text: "r" }' + state, text("ok"), after=ERROR, state_domain="acc")
    assert content == "ok"
    at = "prompt.messages[1].parts[0]"
    assert warned == [("OPAQUE_STATE_DROPPED", f"{at}.opaque[0]"), ("PART_DROPPED", f"{at}.reasoning")]


def test_state_where_it_has_no_place():
    whole = f"messages {{ role: ROLE_ASSISTANT parts {{ {text('a')} }} {opaque('x')} }}"
    assert warnings(prompt(HI, whole)) == [("OPAQUE_STATE_DROPPED", "prompt.messages[1].opaque[0]")]


def test_thinking_has_no_cache_breakpoint():
    content, warned = answer(SIGNED + "cache {}", state_domain="acc")
    assert content == [THOUGHT]
    assert warned == [("PARAM_DROPPED", "prompt.messages[1].parts[0].cache")]


def test_calls_go_back_with_their_very_input():
    given = '{"b": 1e400,  "a": 9007199254740993}'
    caller = '{"caller":{"type":"code_execution_20260521","tool_id":"srv_1"}}'
    part = f'tool_call {{ id: "toolu_1" name: "f" input: {json.dumps(given)} }} ' + (
        f"provider_json {{ key: 'anthropic' value: '{caller}' }}"
    )
    whole = encoded(prompt(HI, message("ASSISTANT", part))).body
    wanted = f'{{"type":"tool_use","id":"toolu_1","name":"f","input":{given},"caller":'
    assert wanted.encode() + caller[10:-1].encode() + b"}" in whole


@pytest.mark.parametrize(("given", "sent"), [("", {}), (" ", {}), ("{}", {}), ('{"a": ', None), ("[1]", None)])
def test_input_that_is_no_object_is_wrapped(given, sent):
    content, warned = answer(f'tool_call {{ id: "a" name: "f" input: {json.dumps(given)} }}')
    assert content[0]["input"] == (sent if sent is not None else {"INVALID_JSON": given})
    path = "prompt.messages[1].parts[0].tool_call.input"
    assert warned == ([] if sent is not None else [("EMULATED", path)])


def test_free_text_input_of_another_provider():
    content, warned = answer('tool_call { id: "a" name: "f" input: "ls -l" kind: KIND_CUSTOM }')
    assert content[0]["input"] == {"input": "ls -l"}
    assert warned == [("EMULATED", "prompt.messages[1].parts[0].tool_call.input")]


def test_ids_of_other_providers_are_made_to_fit():
    call = 'tool_call { id: "functions.f:0" name: "f" }'
    result = 'tool_result { tool_call_id: "functions.f:0" }'
    sent = messages(f"{HI} {message('ASSISTANT', call)} {message('TOOL', result)}")
    assert sent[1]["content"][0]["id"] == sent[2]["content"][0]["tool_use_id"] == "functions_f_0"


def test_calls_that_the_vendor_ran_go_back_with_their_results():
    call = 'tool_call { id: "srv_1" name: "web_search" input: "{}" kind: KIND_PROVIDER } ' + (
        "provider_json { key: 'anthropic' value: '{\"type\":\"server_tool_use\"}' }"
    )
    verbatim = '{"type":"web_search_tool_result",  "tool_use_id":"srv_1","content":[]}'
    result = f"native {{ provider: 'anthropic' native_json: '{verbatim}' }}"
    whole = prompt(HI, message("ASSISTANT", call, result))
    assert verbatim.encode() in encoded(whole).body
    assert body(whole)["messages"][1]["content"][0]["type"] == "server_tool_use"
    assert warnings(whole) == []


def test_calls_that_another_provider_ran_are_left_out_with_their_results():
    content, warned = answer(
        'tool_call { id: "a" kind: KIND_PROVIDER }',
        'native { provider: "openai" native_json: "{}" }',
        "native {}",
        "tool_result {}",
        "document {}",
        "media {}",
        text("ok"),
    )
    assert content == "ok"
    kinds = ("tool_call", "native", "native", "tool_result", "document", "media")
    assert warned == [("PART_DROPPED", f"prompt.messages[1].parts[{i}].{kind}") for i, kind in enumerate(kinds)]


def test_a_verbatim_block_with_a_patch_and_one_that_is_none():
    patched = 'native { provider: "anthropic" native_json: "{}" } provider_json { key: "anthropic" value: \'{"a":1}\' }'
    assert answer(patched + " cache {}")[0] == [{"a": 1, "cache_control": {"type": "ephemeral"}}]
    broken = 'native { provider: "anthropic" native_json: "[]" }'
    assert refused(prompt(HI, message("ASSISTANT", broken)))[0] == "INVALID_REQUEST"


def test_citations_go_back_verbatim_to_their_issuer():
    own = '{"type":"web_search_result_location",  "url":"u"}'
    part = (
        f"text {{ text: 'a' citations {{ provider_json {{ key: 'anthropic' value: '{own}' }} }} "
        "citations { provider_json { key: 'openai' value: '{}' } } }"
    )
    whole = prompt(HI, message("ASSISTANT", part))
    assert f'"citations":[{own}]'.encode() in encoded(whole).body
    assert warnings(whole) == [("PART_DROPPED", "prompt.messages[1].parts[0].text.citations[1]")]


def test_text_without_a_letter_cannot_go_back():
    content, warned = answer(text(""), text("\n\n"), text("ok"))
    assert content == "ok"
    assert warned == [("PART_DROPPED", "prompt.messages[1].parts[1].text")]


def test_an_answer_of_which_nothing_is_left():
    content, warned = answer(text(""))
    assert content is None
    assert warned == [("PART_DROPPED", "prompt.messages[1]")]


def test_a_refusal_goes_back_as_text():
    assert answer('refusal { text: "no" }') == ("no", [("EMULATED", "prompt.messages[1].parts[0].refusal")])
    assert answer("refusal {}", text("ok"))[0] == "ok"


def test_a_compaction_goes_back_as_it_came_or_as_text():
    state = opaque("compaction.encrypted_content", "enc") + opaque("compaction.signature", "sig")
    own = [{"type": "compaction", "content": "s", "encrypted_content": "enc", "signature": "sig"}]
    assert answer('compaction { summary: "s" }' + state, state_domain="acc") == (own, [])
    failed = [{"type": "compaction", "content": None, "signature": "sig"}]
    assert answer("compaction {}" + opaque("compaction.signature", "sig"), state_domain="acc") == (failed, [])
    as_text = ("s", [("EMULATED", "prompt.messages[1].parts[0].compaction")])
    assert answer('compaction { summary: "s" }') == as_text


def test_a_last_answer_is_continued():
    sent = messages(f"{HI} {message('ASSISTANT', text('The best answer is ('), prefill='true')}")
    assert sent[-1] == {"role": "assistant", "content": "The best answer is ("}


def test_opaque_state_survives_any_bytes():
    request = chat_pb2.StreamGenerateRequest()
    request.prompt.messages.add(role=content_pb2.ROLE_USER).parts.add().text.text = "hi"
    part = request.prompt.messages.add(role=content_pb2.ROLE_ASSISTANT).parts.add()
    part.reasoning.text = '漢\u0000"\\'
    part.opaque.add(issuer="anthropic", kind="thinking.signature", data=b'a/+="')
    [block] = body(request)["messages"][1]["content"]
    assert (block["thinking"], block["signature"]) == ('漢\u0000"\\', 'a/+="')
