"""What is said to the model on its way to the vendor: text, media, documents."""

from dataclasses import replace

import pytest
from chat_request import ERROR, WARN, body, messages, refused, warnings

from antiphon_wires.openai_chat.codec import COMPATIBLE, OPENAI

PNG = 'data: "\\x89PNG"'


def user(part, dialect=OPENAI, **kwargs):
    [message] = messages(f"messages {{ role: ROLE_USER parts {{ {part} }} }}", dialect, **kwargs)
    return message["content"]


def test_roles_and_names():
    text = """
    messages { role: ROLE_SYSTEM parts { text { text: "s" } } }
    messages { role: ROLE_DEVELOPER name: "dev" parts { text { text: "d" } } }
    messages { role: ROLE_USER name: "ann" parts { text { text: "u" } } parts { text { text: "v" } } }
    """
    assert messages(text) == [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d", "name": "dev"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "u"}, {"type": "text", "text": "v"}],
            "name": "ann",
        },
    ]
    assert [message["role"] for message in messages(text, COMPATIBLE)] == ["system", "system", "user"]
    assert refused("prompt { messages { role: 9 } }") == ("INVALID_REQUEST", "prompt.messages[0].role")


def test_empty_text_is_text_and_nothing_is_empty():
    assert user('text { text: "" }') == ""
    assert user('native { provider: "other" }') == ""
    assert refused("prompt { messages { role: ROLE_USER parts {} } }") == (
        "INVALID_REQUEST",
        "prompt.messages[0].parts[0]",
    )


@pytest.mark.parametrize(
    ("media", "native"),
    [
        (
            f'mime_type: "image/png" detail: "low" {PNG}',
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw==", "detail": "low"}},
        ),
        (
            'mime_type: "image/*" uri: "https://x.test/a.png"',
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ),
        (
            'mime_type: "audio/wav" data: "ab"',
            {"type": "input_audio", "input_audio": {"data": "YWI=", "format": "wav"}},
        ),
        (
            'mime_type: "audio/mpeg" data: "ab"',
            {"type": "input_audio", "input_audio": {"data": "YWI=", "format": "mp3"}},
        ),
        (
            'mime_type: "application/pdf" filename: "a.pdf" data: "ab"',
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,YWI="}},
        ),
        (
            'mime_type: "text/plain" data: "ab"',
            {"type": "file", "file": {"filename": "file", "file_data": "data:text/plain;base64,YWI="}},
        ),
        (
            'mime_type: "application/pdf" file { provider: "openai" file_id: "file-1" state_domain: "a" }',
            {"type": "file", "file": {"file_id": "file-1"}},
        ),
    ],
)
def test_media(media, native):
    assert user(f"media {{ {media} }}", state_domain="a") == [native]


@pytest.mark.parametrize(
    "media",
    [
        'mime_type: "image/png" uri: "gs://b/a.png"',
        'mime_type: "image/png" file { provider: "openai" file_id: "x" }',
        'mime_type: "audio/flac" data: "ab"',
        'mime_type: "audio/wav" uri: "https://x.test/a.wav"',
        'mime_type: "video/mp4" data: "ab"',
        'data: "ab"',
        'mime_type: "application/pdf" uri: "https://x.test/a.pdf"',
        'mime_type: "application/pdf" file { provider: "anthropic" file_id: "x" }',
    ],
)
def test_media_this_wire_has_not(media):
    text = f"prompt {{ messages {{ role: ROLE_USER parts {{ media {{ {media} }} }} }} }}"
    assert refused(text) == ("PARAM_UNSUPPORTED", "prompt.messages[0].parts[0].media")
    assert warnings(text + WARN) == [("PART_DROPPED", "prompt.messages[0].parts[0].media")]


@pytest.mark.parametrize("kind", ["image", "audio", "file"])
def test_media_a_dialect_has_not(kind):
    mime = {"image": "image/png", "audio": "audio/wav", "file": "application/pdf"}[kind]
    text = f'prompt {{ messages {{ role: ROLE_USER parts {{ media {{ mime_type: "{mime}" data: "x" }} }} }} }}'
    reason, _ = refused(text, replace(OPENAI, lacks=frozenset({kind})))
    assert reason == "PARAM_UNSUPPORTED"


def test_media_that_cannot_be():
    path = "prompt.messages[0].parts[0].media"
    text = 'prompt { messages { role: ROLE_USER parts { media { mime_type: "image/png" } } } }'
    assert refused(text) == ("INVALID_REQUEST", path)
    other = 'mime_type: "application/pdf" file { provider: "openai" file_id: "x" state_domain: "b" }'
    text = f"prompt {{ messages {{ role: ROLE_USER parts {{ media {{ {other} }} }} }} }}"
    assert refused(text, state_domain="a") == ("INVALID_REQUEST", f"{path}.file")


@pytest.mark.parametrize(
    ("ttl", "mark", "warned"),
    [
        ("", {"mode": "explicit"}, []),
        ("30m", {"mode": "explicit", "ttl": "30m"}, []),
        ("5m", {"mode": "explicit", "ttl": "30m"}, ["PARAM_CLAMPED"]),
        ("1h", {"mode": "explicit", "ttl": "12h"}, ["PARAM_CLAMPED"]),
        ("2d", {"mode": "explicit", "ttl": "12h"}, ["PARAM_CLAMPED"]),
    ],
)
def test_cache_breakpoints(ttl, mark, warned):
    text = f'messages {{ role: ROLE_USER parts {{ text {{ text: "a" }} cache {{ ttl: "{ttl}" }} }} }}'
    assert messages(text)[0]["content"] == [{"type": "text", "text": "a", "prompt_cache_breakpoint": mark}]
    assert [kind for kind, _ in warnings(f"prompt {{ {text} }}")] == warned


def test_cache_breakpoints_of_others():
    text = 'prompt { messages { role: ROLE_USER parts { text { text: "a" } cache { ttl: "soon" } } } }'
    path = "prompt.messages[0].parts[0].cache"
    assert refused(text) == ("INVALID_REQUEST", f"{path}.ttl")
    assert warnings(text, COMPATIBLE) == [("PARAM_DROPPED", path)]


def test_documents_stand_before_the_last_words_of_the_user():
    text = """
    messages { role: ROLE_USER parts { text { text: "one" } } }
    messages { role: ROLE_ASSISTANT parts { text { text: "two" } } }
    messages { role: ROLE_USER parts { tool_result { tool_call_id: "t" } } parts { text { text: "three" } } }
    documents { id: "d1" title: "A \\"b\\"" context: "c" text: "body" }
    documents { data_json: "{}" source_uri: "https://x.test" enable_citations: true }
    documents { parts { parts { text { text: "x" } } parts { text { text: "y" } } } }
    """
    sent = messages(text)
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user"]
    assert [part["text"] for part in sent[-1]["content"]] == [
        '<document id="d1" title="A \\"b\\"">\nc\nbody\n</document>',
        '<document source="https://x.test">\n{}\n</document>',
        "<document>\nx\ny\n</document>",
        "three",
    ]
    assert warnings(f"prompt {{ {text} }}") == [
        ("EMULATED", "prompt.documents[0]"),
        ("PARAM_DROPPED", "prompt.documents[1].enable_citations"),
    ]
    assert refused(f"prompt {{ {text} }} {ERROR}") == ("PARAM_UNSUPPORTED", "prompt.documents[0]")


def test_documents_without_words_to_stand_before():
    only = 'messages { role: ROLE_USER parts { tool_result { tool_call_id: "t" } } } documents { text: "x" }'
    assert [message["role"] for message in messages(only)] == ["tool", "user"]
    nobody = 'prompt { messages { role: ROLE_SYSTEM parts { text { text: "s" } } } documents { text: "x" } }'
    assert refused(nobody) == ("INVALID_REQUEST", "prompt.documents")


def test_documents_in_parts_and_of_media():
    assert user('document { text: "x" }') == "<document>\nx\n</document>"
    media = 'media { mime_type: "application/pdf" data: "ab" }'
    assert user(f"document {{ {media} }}")[0]["type"] == "file"
    text = f'messages {{ role: ROLE_USER parts {{ text {{ text: "a" }} }} }} documents {{ {media} }}'
    assert messages(text)[0]["content"][0]["type"] == "file"
    assert refused(f"prompt {{ {text} }}", COMPATIBLE) == ("PARAM_UNSUPPORTED", "prompt.documents[0].media")
    inner = "prompt { messages { role: ROLE_USER parts { document { parts { parts { refusal {} } } } } } }"
    assert refused(inner) == ("PARAM_UNSUPPORTED", "prompt.messages[0].parts[0].document.parts.parts[0]")
    assert body(inner + WARN)["messages"][0]["content"] == "<document>\n\n</document>"


def test_dropped_document_under_warn():
    media = 'media { mime_type: "video/mp4" data: "ab" }'
    text = (
        f'prompt {{ messages {{ role: ROLE_USER parts {{ text {{ text: "a" }} }} }} documents {{ {media} }} }} {WARN}'
    )
    assert body(text)["messages"] == [{"role": "user", "content": "a"}]
