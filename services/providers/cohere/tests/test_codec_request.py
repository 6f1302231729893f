"""What goes to Cohere: the conversation, documents, parameters, the caller's patches; and what does not."""

import json

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, models_pb2, response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_provider_cohere.codec import encode_chat, support
from antiphon_provider_cohere.codec.capabilities import BOUNDS, HINTS, MEMBERS

Warning_ = response_pb2.Warning
HI = 'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } } }'
WARN = "options { unsupported_policy: UNSUPPORTED_POLICY_WARN }"
STRICT = "options { unsupported_policy: UNSUPPORTED_POLICY_ERROR }"


def parse(text):
    return text_format.Merge(text, chat_pb2.StreamGenerateRequest())


def encode(text, **more):
    encoded = encode_chat(parse(text), model="command-a", **more)
    return json.loads(encoded.body), [(Warning_.Kind.Name(w.kind), w.path) for w in encoded.warnings]


def sent(text, **more):
    return encode(text, **more)[0]


def refused(text):
    with pytest.raises(CallFailure) as raised:
        encode(text)
    return reason_name(raised.value.error.reason), raised.value.error.param


def user(parts):
    return f"prompt {{ messages {{ role: ROLE_USER {parts} }} }}"


# -- messages


def test_the_least_request():
    assert encode(HI) == (
        {"model": "command-a", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        [],
    )


def test_roles_keep_their_order_and_developers_are_system():
    said = " ".join(
        f'messages {{ role: ROLE_{role} parts {{ text {{ text: "{role}" }} }} }}'
        for role in ("SYSTEM", "USER", "ASSISTANT", "DEVELOPER")
    )
    messages = sent(f"prompt {{ {said} }}")["messages"]
    assert [(m["role"], m["content"]) for m in messages] == [
        ("system", "SYSTEM"), ("user", "USER"), ("assistant", "ASSISTANT"), ("system", "DEVELOPER"),
    ]  # fmt: skip


def test_a_role_of_a_later_version():
    request = parse(HI)
    request.prompt.messages[0].role = 99
    with pytest.raises(CallFailure) as raised:
        encode_chat(request, model="m")
    assert raised.value.error.param == "prompt.messages[0].role"


def test_several_texts_stay_blocks():
    body = sent(user('parts { text { text: "a" } } parts { text { text: "b" } }'))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


@pytest.mark.parametrize(
    ("source", "image"),
    [
        ('data: "\\001\\002"', {"url": "data:image/png;base64,AQI="}),
        ('uri: "https://x/y.png" detail: "low"', {"url": "https://x/y.png", "detail": "low"}),
        ('uri: "data:image/png;base64,AQI="', {"url": "data:image/png;base64,AQI="}),
    ],
)
def test_images(source, image):
    body, warnings = encode(user(f'parts {{ media {{ mime_type: "image/png" {source} }} }}'))
    assert body["messages"][0]["content"] == [{"type": "image_url", "image_url": image}]
    assert warnings == []


def test_a_finer_detail_than_offered_is_clamped():
    text = user('parts { media { mime_type: "image/png" uri: "https://x" detail: "original" } }')
    body, warnings = encode(text)
    assert body["messages"][0]["content"][0]["image_url"]["detail"] == "high"
    assert warnings == [("KIND_PARAM_CLAMPED", "prompt.messages[0].parts[0].media.detail")]


@pytest.mark.parametrize(
    "media",
    ['mime_type: "audio/wav" data: "x"', 'mime_type: "image/png" uri: "gs://x"', 'data: "x"',
     'mime_type: "image/png" file { provider: "cohere" file_id: "f" }'],
)  # fmt: skip
def test_media_that_cohere_does_not_take(media):
    part = f"parts {{ media {{ {media} }} }}"
    assert refused(user(part)) == ("PARAM_UNSUPPORTED", "prompt.messages[0].parts[0].media")
    body, warnings = encode(user(f'{part} parts {{ text {{ text: "t" }} }}') + WARN)
    assert body["messages"] == [{"role": "user", "content": "t"}]
    assert warnings == [("KIND_PART_DROPPED", "prompt.messages[0].parts[0].media")]


def test_an_image_is_the_users():
    text = 'prompt { messages { role: ROLE_SYSTEM parts { media { mime_type: "image/png" uri: "https://x" } } } }'
    assert refused(text) == ("PARAM_UNSUPPORTED", "prompt.messages[0].parts[0].media")


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (user("parts { media { } }"), "prompt.messages[0].parts[0].media"),
        (user("parts { }"), "prompt.messages[0].parts[0]"),
        ("prompt { messages { role: ROLE_ASSISTANT parts { } } }", "prompt.messages[0].parts[0]"),
        ('prompt { messages { role: ROLE_TOOL parts { text { text: "x" } } } }', "prompt.messages[0].parts[0]"),
        (HI + "prompt { tools { } }", "prompt.tools[0]"),
    ],
)
def test_what_is_wrong_in_itself(text, param):
    assert refused(text) == ("INVALID_REQUEST", param)


def test_parts_of_others_are_left_out_with_a_warning():
    body, warnings = encode(
        user(
            'parts { native { provider: "openai" native_json: "{}" } } parts { native { native_json: "{}" } } '
            'parts { reasoning { text: "r" } } parts { refusal { text: "no" } } parts { compaction { } }'
        )
    )
    assert body["messages"] == [{"role": "user", "content": ""}]
    assert [kind for kind, _ in warnings] == ["KIND_PART_DROPPED"] * 5


def test_own_blocks_and_summaries():
    text = user('parts { native { provider: "cohere/chat" native_json: "{\\"type\\":\\"x\\"}" } } '
                'parts { compaction { summary: "so far" } }')  # fmt: skip
    body, warnings = encode(text)
    assert body["messages"][0]["content"] == [{"type": "x"}, {"type": "text", "text": "so far"}]
    assert warnings == [("KIND_EMULATED", "prompt.messages[0].parts[1].compaction")]


def test_names_prefill_caches_phases_and_foreign_state():
    text = (
        'prompt { messages { role: ROLE_ASSISTANT name: "n" prefill: true opaque { issuer: "anthropic" } '
        'parts { text { text: "x" } phase: "p" opaque { } } } messages { role: ROLE_USER '
        'parts { text { text: "y" } phase: "p" cache { } } } }'
    )
    assert refused(text) == ("PARAM_UNSUPPORTED", "prompt.messages[0].prefill")
    _, warnings = encode(text + WARN)
    assert sorted(warnings) == [
        ("KIND_OPAQUE_STATE_DROPPED", "prompt.messages[0].opaque[0]"),
        ("KIND_OPAQUE_STATE_DROPPED", "prompt.messages[0].parts[0].opaque[0]"),
        ("KIND_PARAM_DROPPED", "prompt.messages[0].name"),
        ("KIND_PARAM_DROPPED", "prompt.messages[0].prefill"),
        ("KIND_PARAM_DROPPED", "prompt.messages[1].parts[0].cache"),
        ("KIND_PART_DROPPED", "prompt.messages[0].parts[0].phase"),
    ]


# -- results of tools


def result(inner, more=""):
    return (
        f'prompt {{ messages {{ role: ROLE_TOOL parts {{ tool_result {{ tool_call_id: "c1" {inner} }} {more} }} }} }}'
    )


@pytest.mark.parametrize(
    ("inner", "content"),
    [
        ("", ""),
        ('parts { text { text: "sunny" } }', "sunny"),
        ('parts { text { text: "a" } } parts { text { text: "b" } }',
         [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        ('data_json: "{\\"t\\": 20}"', [{"type": "document", "document": {"data": {"t": 20}}}]),
        ('data_json: "[1]"', "[1]"),
        ('parts { document { id: "d" title: "T" text: "x" } }',
         [{"type": "document", "document": {"data": {"title": "T", "text": "x"}, "id": "d"}}]),
    ],
)  # fmt: skip
def test_results_are_text_or_documents(inner, content):
    body, warnings = encode(result(inner))
    assert body["messages"] == [{"role": "tool", "tool_call_id": "c1", "content": content}]
    assert warnings == []


def test_a_structured_result_goes_out_byte_for_byte():
    data = '{"b":  1.50, "a": 9007199254740993, "b": 1e400}'
    request = text_format.Parse(result(f"data_json: {json.dumps(data)}"), chat_pb2.StreamGenerateRequest())
    assert data.encode() in encode_chat(request, model="command-a").body


def test_a_failed_tool_says_so_in_words():
    body, warnings = encode(result('is_error: true parts { text { text: "boom" } }', 'opaque { issuer: "x" }'))
    assert [block["text"] for block in body["messages"][0]["content"]] == ["The tool failed:", "boom"]
    assert [kind for kind, _ in warnings] == ["KIND_EMULATED", "KIND_OPAQUE_STATE_DROPPED"]
    assert refused(result("is_error: true") + STRICT)[0] == "PARAM_UNSUPPORTED"


def test_results_split_a_message_in_their_place():
    text = user('parts { text { text: "a" } } parts { tool_result { tool_call_id: "c" } } parts { text { text: "b" } }')
    assert [m["role"] for m in sent(text)["messages"]] == ["user", "tool", "user"]


def test_media_and_files_in_results():
    inner = 'parts { media { mime_type: "image/png" data: "x" } } parts { document { media { data: "x" } } }'
    assert refused(result(inner))[0] == "PARAM_UNSUPPORTED"
    assert sent(result(inner) + WARN)["messages"][0]["content"] == ""


# -- documents


@pytest.mark.parametrize(
    ("document", "native"),
    [
        ('text: "x"', {"data": {"text": "x"}}),
        ('id: "d1" title: "T" context: "C" source_uri: "https://s" text: "x"',
         {"data": {"title": "T", "context": "C", "url": "https://s", "text": "x"}, "id": "d1"}),
        ('data_json: "{\\"a\\": 1.0}"', {"data": {"a": 1.0}}),
        ('title: "T" data_json: "{\\"a\\": 1}"', {"data": {"title": "T", "a": 1}}),
        ('title: "mine" data_json: "{\\"title\\": \\"theirs\\"}"', {"data": {"title": "theirs"}}),
        ('media { mime_type: "text/plain" data: "x" }', {"data": {"text": "x"}}),
        ('parts { parts { text { text: "x" } } }', {"data": {"text": "x"}}),
    ],
)  # fmt: skip
def test_documents_of_the_request(document, native):
    assert encode(f"{HI} prompt {{ documents {{ {document} enable_citations: true }} }}")[1] == []
    assert sent(f"{HI} prompt {{ documents {{ {document} }} }}")["documents"] == [native]


def test_documents_in_a_message_are_the_requests():
    body, warnings = encode(user('parts { document { id: "d" text: "x" } } parts { text { text: "q" } }'))
    assert body["documents"] == [{"data": {"text": "x"}, "id": "d"}]
    assert body["messages"] == [{"role": "user", "content": "q"}]
    assert warnings == [("KIND_EMULATED", "prompt.messages[0].parts[0].document")]


def test_what_of_a_document_is_lost():
    blocks = 'parts { parts { text { text: "a" } } parts { media { } } parts { text { text: "b" } } }'
    text = f"{HI} prompt {{ documents {{ {blocks} enable_citations: false }} documents {{ media {{ }} }} }}"
    assert refused(text) == ("PARAM_UNSUPPORTED", "prompt.documents[0].parts.parts[1]")
    body, warnings = encode(text + WARN)
    assert body["documents"] == [{"data": {"text": "a\nb"}}]
    assert sorted(warnings) == [
        ("KIND_EMULATED", "prompt.documents[0].parts"),
        ("KIND_PARAM_DROPPED", "prompt.documents[0].enable_citations"),
        ("KIND_PART_DROPPED", "prompt.documents[0].parts.parts[1]"),
        ("KIND_PART_DROPPED", "prompt.documents[1].media"),
    ]
    body = sent(user("parts { document { media { } } }") + WARN)
    assert "documents" not in body


# -- patches and headers


def test_patches_at_every_level_are_applied_last_and_in_order():
    body = sent(
        'prompt { messages { role: ROLE_USER parts { text { text: "hi" } provider_json { key: "cohere" value: '
        '"{\\"x\\": 1}" } } provider_json { key: "cohere/chat" value: "{\\"y\\": {\\"a\\": 1}}" } } }'
        'params { temperature: 0.5 } options { provider_json { key: "cohere" value: "{\\"temperature\\": null, '
        '\\"safety_mode\\": \\"STRICT\\", \\"citation_options\\": {\\"mode\\": \\"OFF\\"}, \\"priority\\": 7}" } '
        'provider_json { key: "cohere/chat" value: "{\\"safety_mode\\": \\"OFF\\"}" } '
        'provider_json { key: "openai" value: "{\\"no\\": 1}" } }'
    )
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi", "x": 1}], "y": {"a": 1}}]
    assert (body["safety_mode"], body["citation_options"], body["priority"]) == ("OFF", {"mode": "OFF"}, 7)
    assert not {"temperature", "no"} & set(body)


@pytest.mark.parametrize("member", ["model", "stream", "api_key", "authorization"])
def test_protected_members(member):
    text = f'{HI} options {{ provider_json {{ key: "cohere" value: "{{\\"{member}\\": 1}}" }} }}'
    assert refused(text)[0] == "INVALID_REQUEST"


@pytest.mark.parametrize("value", ["0", "-1", "1.5", '\\"9\\"', "true", "2147483648"])
def test_the_token_limit_holds_for_patches_too(value):
    text = f'{HI} options {{ provider_json {{ key: "cohere" value: "{{\\"max_tokens\\": {value}}}" }} }}'
    assert refused(text) == ("INVALID_REQUEST", "params.max_output_tokens")


def test_headers():
    headers = (
        'provider_headers {{ key: "cohere" value {{ headers {{ name: "X-Client-Name" value: "{}" }} '
        'headers {{ name: "x-client-name" value: "b" }} headers {{ name: "Cookie" value: "c" }} }} }}'
    )
    encoded = encode_chat(parse(f"{HI} options {{ {headers.format('a')} }}"), model="m")
    assert encoded.headers == {"x-client-name": "a, b"}
    assert [warning.path for warning in encoded.warnings] == ['options.provider_headers["cohere"]']
    split = headers.format("a\\nb")
    with pytest.raises(CallFailure):
        encode_chat(parse(f"{HI} options {{ {split} }}"), model="m")


# -- what is declared


def test_the_declared_support_is_the_behaviour():
    table = support()
    fields = {
        field.name: field
        for field in chat_pb2.StreamGenerateRequest.DESCRIPTOR.fields_by_name["params"].message_type.fields
    }
    scalars = {name for name, field in fields.items() if field.message_type is None or field.name == "logit_bias"}
    assert scalars == {path.split(".")[1] for path in table if path.startswith("params.") and path.count(".") == 1}
    assert {f"params.{name}" for name in MEMBERS} == {
        path for path, how in table.items() if how == models_pb2.SUPPORT_NATIVE and path.split(".")[1] in scalars
    }
    assert set(BOUNDS) <= set(MEMBERS)
    assert not set(HINTS) & set(MEMBERS)
