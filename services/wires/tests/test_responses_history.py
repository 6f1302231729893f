"""The conversation on its way to the Responses API: roles and content, results of tools, answers of all kinds."""

import json

import pytest
from responses_wire import (
    ERROR,
    KEY,
    WARN,
    added,
    answer,
    at,
    created,
    encoded,
    ended,
    event,
    items,
    refused,
    said,
    warnings,
)

from antiphon.llm.v1 import chat_pb2


def user(text):
    return f"messages {{ role: ROLE_USER {text} }}"


def model(text):
    return f"messages {{ role: ROLE_ASSISTANT {text} }}"


def part(text):
    return f"parts {{ {text} }}"


def state(kind="reasoning.encrypted_content", data="gAAA", domain="acc", issuer="openai"):
    return f'opaque {{ issuer: "{issuer}" kind: "{kind}" data: "{data}" state_domain: "{domain}" }}'


HI = user(part('text { text: "hi" }'))


# -- people and programs


def test_roles_keep_their_order():
    sent = items(
        """messages { role: ROLE_SYSTEM parts { text { text: "a" } } }
           messages { role: ROLE_USER parts { text { text: "b" } } }
           messages { role: ROLE_ASSISTANT parts { text { text: "c" } } }
           messages { role: ROLE_DEVELOPER parts { text { text: "d" } } }
           messages { role: ROLE_USER }"""
    )
    assert [(item["role"], item["content"]) for item in sent] == [
        ("system", "a"),
        ("user", "b"),
        ("assistant", "c"),
        ("developer", "d"),
        ("user", ""),
    ]


def test_content():
    [item] = items(
        user(
            'parts { text { text: "a" } cache { ttl: "1h" } }'
            'parts { media { mime_type: "image/png" data: "\\001" detail: "low" } }'
            'parts { media { mime_type: "image/png" uri: "https://x.test/a.png" } }'
            'parts { media { mime_type: "image/*" file { provider: "openai" file_id: "f1" state_domain: "acc" } } }'
            'parts { media { mime_type: "application/pdf" data: "%PDF" filename: "a.pdf" detail: "high" } }'
            'parts { media { mime_type: "text/plain" data: "x" } }'
            'parts { media { mime_type: "application/pdf" uri: "https://x.test/a.pdf" } }'
            'parts { media { mime_type: "application/pdf" file { provider: "openai" file_id: "f2" } } }'
            'parts { native { provider: "openai/responses" native_type: "input_audio" '
            """native_json: '{"type":"input_audio"}' } }"""
            """parts { text { text: "b" } provider_json { key: "openai/responses" value: '{"x":1}' } }"""
        )
    )
    assert item["content"] == [
        {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
        {"type": "input_image", "detail": "low", "image_url": "data:image/png;base64,AQ=="},
        {"type": "input_image", "detail": "auto", "image_url": "https://x.test/a.png"},
        {"type": "input_image", "detail": "auto", "file_id": "f1"},
        {
            "type": "input_file",
            "file_data": "data:application/pdf;base64,JVBERg==",
            "filename": "a.pdf",
            "detail": "high",
        },
        {"type": "input_file", "file_data": "data:text/plain;base64,eA==", "filename": "file"},
        {"type": "input_file", "file_url": "https://x.test/a.pdf"},
        {"type": "input_file", "file_id": "f2"},
        {"type": "input_audio"},
        {"type": "input_text", "text": "b", "x": 1},
    ]


@pytest.mark.parametrize(
    ("media", "reason", "path"),
    [
        ("", "INVALID_REQUEST", "media"),
        ('mime_type: "audio/wav" data: "x"', "PARAM_UNSUPPORTED", "media"),
        ('mime_type: "image/png" uri: "gs://x"', "PARAM_UNSUPPORTED", "media"),
        ('data: "x"', "PARAM_UNSUPPORTED", "media"),
        ('mime_type: "image/png" file { provider: "x" }', "PARAM_UNSUPPORTED", "media"),
        ('mime_type: "application/pdf" file { provider: "x" }', "PARAM_UNSUPPORTED", "media"),
        ('mime_type: "image/png" file { provider: "openai" state_domain: "b" }', "INVALID_REQUEST", "media.file"),
    ],
)
def test_media_that_cannot_be_sent(media, reason, path):
    text = f"prompt {{ {user(part(f'media {{ {media} }}'))} }}"
    assert refused(text) == (reason, f"prompt.messages[0].parts[0].{path}")
    if reason == "PARAM_UNSUPPORTED":
        assert warnings(text + WARN) == [("PART_DROPPED", "prompt.messages[0].parts[0].media")]


def test_what_people_cannot_say():
    told = user(
        part("text { citations {} }")
        + part('text {} phase: "x"')
        + part("refusal {}")
        + part('native { provider: "anthropic" }')
        + part("compaction {}")
        + part('compaction { summary: "so far" }')
        + part(f"text {{}} {state()}")
    )
    paths = [path.removeprefix("prompt.messages[0].parts") for _, path in warnings(f"prompt {{ {told} }}")]
    assert paths == [
        "[0].text.citations",
        "[1].phase",
        "[2].refusal",
        "[3].native",
        "[4].compaction",
        "[5].compaction",
        "[6].opaque[0]",
    ]
    assert refused(f"prompt {{ {user('parts {}')} }}") == ("INVALID_REQUEST", "prompt.messages[0].parts[0]")


def test_names_and_prefill_are_lost():
    text = f'prompt {{ {HI} messages {{ role: ROLE_USER name: "Ann" }} }}'
    assert warnings(text) == [("PARAM_DROPPED", "prompt.messages[1].name")]
    prefill = f"prompt {{ {HI} {model('prefill: true')} }}"
    assert refused(prefill) == ("PARAM_UNSUPPORTED", "prompt.messages[1].prefill")
    assert warnings(f"prompt {{ {model(state())} }}") == [("OPAQUE_STATE_DROPPED", "prompt.messages[0].opaque[0]")]


def test_documents_stand_in_the_last_message_of_the_user():
    documents = 'documents { id: "d" text: "D" } documents { media { mime_type: "application/pdf" data: "x" } }'
    sent = items(documents + HI + user(part('text { text: "q" }')))
    assert sent[0]["content"] == "hi"
    assert [block["type"] for block in sent[1]["content"]] == ["input_text", "input_file", "input_text"]
    assert sent[1]["content"][0]["text"] == '<document id="d">\nD\n</document>'
    assert warnings(f"prompt {{ {documents} {HI} }}") == [("EMULATED", "prompt.documents[0]")]
    assert refused(f"prompt {{ {documents} {model('')} }}") == ("INVALID_REQUEST", "prompt.documents")
    parts = 'documents { parts { parts { text { text: "x" } } parts { media {} } } }'
    assert warnings(f"prompt {{ {parts} {HI} }} {WARN}") == [
        ("PART_DROPPED", "prompt.documents[0].parts.parts[1]"),
        ("EMULATED", "prompt.documents[0]"),
    ]
    inner = user(part('document { text: "x" }'))
    assert items(inner)[0]["content"] == "<document>\nx\n</document>"
    assert items(f"{documents} {user('')}")[0]["content"][0]["type"] == "input_text"


def test_results_of_tools():
    calls = model(
        part('tool_call { id: "c1" name: "f" input: "{}" }')
        + part('tool_call { id: "c2" name: "s" kind: KIND_CUSTOM }')
    )
    results = """messages { role: ROLE_TOOL
      parts { tool_result { tool_call_id: "c1" parts { text { text: "sunny" } } } }
      parts { tool_result { tool_call_id: "c2" is_error: true data_json: '{"a":1}'
        parts { media { mime_type: "image/png" uri: "https://x.test/i" } } } }
      parts { tool_result { tool_call_id: "c3" } provider_json { key: "openai" value: '{"status":"completed"}' } }
      parts { native { provider: "openai/responses" native_type: "computer_call_output"
        native_json: '{"type":"computer_call_output","call_id":"c4"}' } } }"""
    sent = items(calls + results)[2:]
    assert sent == [
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [
                {"type": "input_text", "text": "The tool failed:"},
                {"type": "input_image", "detail": "auto", "image_url": "https://x.test/i"},
                {"type": "input_text", "text": '{"a":1}'},
            ],
        },
        {"type": "function_call_output", "call_id": "c3", "output": "", "status": "completed"},
        {"type": "computer_call_output", "call_id": "c4"},
    ]
    assert warnings(f"prompt {{ {results} }}") == [("EMULATED", "prompt.messages[0].parts[1].tool_result.is_error")]
    text = "prompt { messages { role: ROLE_TOOL parts { text {} } } }"
    assert refused(text) == ("INVALID_REQUEST", "prompt.messages[0].parts[0]")
    assert items("messages { role: ROLE_TOOL }") == []


def test_results_and_words_in_one_message():
    sent = items(
        user(part('text { text: "a" }') + part('tool_result { tool_call_id: "c" }') + part('text { text: "b" }'))
    )
    assert [item.get("content", item.get("call_id")) for item in sent] == ["a", "c", "b"]


def test_a_patch_of_a_message():
    sent = items(
        user(part("text {}") + """provider_json { key: "openai/responses" value: '{"status":"completed"}' }""")
    )
    assert sent == [{"role": "user", "content": "", "status": "completed"}]


# -- answers


def replayed(*sent, domain="acc", **created_as):
    """What the next turn sends for an answer, and the warnings of it."""
    request = chat_pb2.StreamGenerateRequest()
    request.prompt.messages.append(answer(created(**created_as), *sent, ended()).message)
    told = encoded(request, state_domain=domain)
    return json.loads(told.body)["input"], [warning.path for warning in told.warnings]


REASONING = {
    "id": "i0",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}],
    "encrypted_content": "gAAAAABm+/=\u00e9",
}
CALL = {"id": "i1", "type": "function_call", "call_id": "c", "name": "f", "arguments": '{"n": 1e400,"n":2}'}
SEARCH = {"id": "i2", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": None}}
TEXT = {"type": "output_text", "text": "So", "annotations": [{"type": "url_citation", "url": "u", "x": 1}]}
MESSAGE = {"id": "i3", "type": "message", "role": "assistant", "status": "completed", "phase": "final_answer"}
CUSTOM = {"id": "i4", "type": "custom_tool_call", "call_id": "d", "name": "s", "input": "SELECT"}
OTHER = {"id": "i5", "type": "mcp_list_tools", "server_label": "w", "tools": [{"input_schema": {"z": 1, "a": 2}}]}
COMPACTED = {"id": "i6", "type": "compaction", "encrypted_content": "zz"}


def whole(*items_):
    return [event("output_item.done", output_index=number, item=item) for number, item in enumerate(items_)]


def test_an_answer_goes_back_as_it_came():
    message = {**MESSAGE, "content": [TEXT, {"type": "refusal", "refusal": "no"}]}
    sent = [REASONING, CALL, SEARCH, message, CUSTOM, OTHER, COMPACTED]
    assert replayed(*whole(*sent)) == (sent, [])


def test_state_goes_back_byte_for_byte():
    request = chat_pb2.StreamGenerateRequest()
    request.prompt.messages.append(answer(created(), *whole(REASONING), ended()).message)
    assert REASONING["encrypted_content"].encode() in encoded(request).body


def test_without_state_no_ids_go_back():
    """Nothing is stored, so an id is nothing that the vendor could find."""
    message = {**MESSAGE, "content": [TEXT]}
    sent, lost = replayed(*whole(CALL, message, CUSTOM))
    assert [item.get("id") for item in sent] == [None] * 3
    assert sent[1]["phase"] == "final_answer"
    assert lost == []


@pytest.mark.parametrize(("domain", "issuer"), [("other", "openai"), ("acc", "xai")])
def test_state_of_another_account_never_goes_out(domain, issuer):
    request = chat_pb2.StreamGenerateRequest()
    message = answer(created(), *whole(REASONING, CALL, SEARCH, OTHER, {**MESSAGE, "content": [TEXT]}), ended()).message
    for one in message.parts:
        for opaque in one.opaque:
            opaque.issuer = issuer
    request.prompt.messages.append(message)
    told = encoded(request, state_domain=domain)
    assert b"gAAA" not in told.body
    sent = json.loads(told.body)["input"]
    assert [item["type"] for item in sent] == ["function_call", "message"]
    assert not any("id" in item for item in sent)
    assert [warning.path.removeprefix("prompt.messages[0].parts") for warning in told.warnings] == [
        "[1].opaque[0]",
        "[0].reasoning",
        "[3].tool_call",
        "[4].native",
    ]


def test_what_is_stored_goes_back_by_id():
    sent, lost = replayed(*whole({"id": "i0", "type": "reasoning", "summary": []}), store=True)
    assert (sent, lost) == ([{"type": "reasoning", "id": "i0", "summary": []}], [])


def test_reasoning_without_state_is_left_out():
    sent, lost = replayed(at("reasoning_text.delta", 0, content_index=0, delta="hm"), said("So", 1))
    assert sent == [{"type": "message", "role": "assistant", "content": "So"}]
    assert lost == ["prompt.messages[0].parts[0].reasoning"]


def test_reasoning_text_goes_back_with_its_state():
    item = {"id": "i0", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    sent, _ = replayed(*whole({**item, "encrypted_content": "x"}))
    assert sent == [{**item, "encrypted_content": "x"}]


def test_members_that_are_only_listed_do_not_go_back():
    sent, _ = replayed(*whole({**CALL, "created_by": "b", "async": True}, {**OTHER, "created_by": "b"}))
    assert [item.get("created_by") for item in sent] == [None, None]
    assert sent[0]["async"] is True


def test_an_empty_text_says_nothing():
    sent, lost = replayed(added(0, "message"), added(1, "function_call", call_id="c", name="f"))
    assert sent == [{"call_id": "c", "name": "f", "type": "function_call", "arguments": "{}"}]
    assert lost == []
    assert items(model("")) == [{"type": "message", "role": "assistant", "content": ""}]
    assert items(model(part("text {}"))) == [{"type": "message", "role": "assistant", "content": ""}]
    patched = """text {} provider_json { key: "openai/responses" value: '{"x":1}' }"""
    assert items(model(part(patched)))[0]["content"] == [{"type": "output_text", "text": "", "annotations": [], "x": 1}]


def test_answers_of_others():
    text = model(
        part('text { text: "a" citations { provider_json { key: "anthropic" value: "{}" } } } id: "x" cache {}')
        + part('text { text: "b" }')
        + part('reasoning { text: "r" } phase: "p"')
        + part('tool_call { id: "s" kind: KIND_PROVIDER }')
        + part('native { provider: "anthropic" }')
        + part('compaction { summary: "so far" }')
        + part("compaction {}")
        + part('media { transcript: "spoken" }')
        + part("media {}")
        + part("tool_result {}")
        + part('refusal { text: "no" }')
    )
    [first, *rest] = items(text)
    assert first["content"][0] == {"type": "output_text", "text": "a", "annotations": []}
    assert not rest
    assert [block.get("text", block.get("refusal")) for block in first["content"]] == [
        "a",
        "b",
        "so far",
        "spoken",
        "no",
    ]
    assert (first["type"], first["status"], "id" in first) == ("message", "completed", False)
    lost = [(kind, path.removeprefix("prompt.messages[0].parts")) for kind, path in warnings(f"prompt {{ {text} }}")]
    assert lost == [
        ("PART_DROPPED", "[0].text.citations[0]"),
        ("PARAM_DROPPED", "[0].cache"),
        ("PART_DROPPED", "[2].phase"),
        ("PART_DROPPED", "[2].reasoning"),
        ("PART_DROPPED", "[3].tool_call"),
        ("PART_DROPPED", "[4].native"),
        ("EMULATED", "[5].compaction"),
        ("PART_DROPPED", "[6].compaction"),
        ("EMULATED", "[7].media"),
    ]
    assert refused(f"prompt {{ {text} }} {ERROR}")[0] == "PARAM_UNSUPPORTED"


def test_phases_part_messages():
    text = model(part('text { text: "a" } phase: "commentary"') + part('text { text: "b" } phase: "final_answer"'))
    assert items(text) == [
        {"type": "message", "role": "assistant", "content": "a", "phase": "commentary"},
        {"type": "message", "role": "assistant", "content": "b", "phase": "final_answer"},
    ]
    patched = model(part('text { text: "a" }') + """provider_json { key: "openai" value: '{"x":1}' }""")
    assert items(patched) == [{"type": "message", "role": "assistant", "content": "a", "x": 1}]


def test_a_patch_of_reasoning_and_compaction():
    patch = f"""provider_json {{ key: "{KEY}" value: '{{"x":1}}' }}"""
    reasoning = part(f"reasoning {{ visibility: VISIBILITY_REDACTED }} {state()} {patch}")
    compaction = part(f"compaction {{}} {state('compaction.encrypted_content', 'zz')} {patch}")
    assert items(model(reasoning + compaction)) == [
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA", "x": 1},
        {"type": "compaction", "encrypted_content": "zz", "x": 1},
    ]


def test_parts_of_other_kinds_than_this_version_knows():
    text = f"prompt {{ {HI} {model('parts {}')} }}"
    assert refused(text) == ("INVALID_REQUEST", "prompt.messages[1].parts[0]")
