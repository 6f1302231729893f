"""Images, files and documents on their way to the vendor."""

import base64
import json

import pytest
from anthropic_encoding import WARN, body, encoded, messages, refused, warnings

PDF = base64.b64encode(b"%PDF").decode()


def user(*parts, documents=""):
    return f"messages {{ role: ROLE_USER {' '.join(f'parts {{ {part} }}' for part in parts)} }} {documents}"


def blocks(*parts, documents="", **kwargs):
    return messages(user(*parts, documents=documents), **kwargs)[0]["content"]


def warned(*parts, after=""):
    return warnings(f"prompt {{ {user(*parts)} }} {after}")


@pytest.mark.parametrize(
    ("media", "block"),
    [
        ('mime_type: "image/png" data: "%PDF"',
         {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PDF}}),
        ('mime_type: "image/*" uri: "https://a.example/x"',
         {"type": "image", "source": {"type": "url", "url": "https://a.example/x"}}),
        ('mime_type: "image/png" file { provider: "anthropic" file_id: "file_1" }',
         {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        ('mime_type: "application/pdf" data: "%PDF" filename: "a.pdf"',
         {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
          "title": "a.pdf"}),
        ('mime_type: "application/pdf" uri: "http://a.example/x"',
         {"type": "document", "source": {"type": "url", "url": "http://a.example/x"}}),
        ('mime_type: "text/markdown" data: "# a"',
         {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# a"}}),
        ('mime_type: "application/zip" file { provider: "anthropic" file_id: "file_1" }',
         {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
    ],
)  # fmt: skip
def test_media(media, block):
    assert blocks(f"media {{ {media} }}") == [block]


@pytest.mark.parametrize(
    "media",
    ['mime_type: "image/svg+xml" data: "<"', 'mime_type: "image/png" uri: "gs://a/b"',
     'mime_type: "application/pdf" uri: "s3://a/b"', 'mime_type: "audio/wav" data: "x"',
     'mime_type: "text/plain" uri: "https://x"', 'data: "x"',
     'mime_type: "image/png" file { provider: "openai" file_id: "f" }'],
)  # fmt: skip
def test_media_that_are_not_taken(media):
    part = f"media {{ {media} }}"
    path = "prompt.messages[0].parts[0].media"
    assert refused(f"prompt {{ {user(part)} }}") == ("PARAM_UNSUPPORTED", path)
    assert warned(part, after=WARN) == [("PART_DROPPED", path)]


def test_media_without_a_source_and_of_another_account():
    assert refused(f"prompt {{ {user('media {}')} }}")[0] == "INVALID_REQUEST"
    foreign = 'media { mime_type: "image/png" file { provider: "anthropic" file_id: "f" state_domain: "b" } }'
    assert refused(f"prompt {{ {user(foreign)} }}", state_domain="a") == (
        "INVALID_REQUEST",
        "prompt.messages[0].parts[0].media.file",
    )
    assert blocks(foreign, state_domain="b")[0]["source"]["file_id"] == "f"


def test_a_choice_of_resolution_is_left_out_with_a_warning():
    part = 'media { mime_type: "image/png" uri: "https://x" detail: "low" }'
    assert warned(part) == [("PARAM_DROPPED", "prompt.messages[0].parts[0].media.detail")]


# https://platform.claude.com/docs/en/build-with-claude/citations (2026-11)
@pytest.mark.parametrize(
    ("document", "block"),
    [
        ('text: "abc" title: "T" context: "C" enable_citations: true',
         {"source": {"type": "text", "media_type": "text/plain", "data": "abc"}, "title": "T", "context": "C",
          "citations": {"enabled": True}}),
        ('text: ""', {"source": {"type": "text", "media_type": "text/plain", "data": ""}}),
        ('media { mime_type: "application/pdf" data: "%PDF" filename: "f" } enable_citations: false',
         {"source": {"type": "base64", "media_type": "application/pdf", "data": PDF}, "citations": {"enabled": False}}),
        ('media { mime_type: "image/png" uri: "https://x" }',
         {"source": {"type": "content", "content": [{"type": "image", "source": {"type": "url", "url": "https://x"}}]}}),
        ('parts { parts { text { text: "a" } cache {} } parts { media { mime_type: "image/png" uri: "https://x" } } }',
         {"source": {"type": "content", "content": [
             {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
             {"type": "image", "source": {"type": "url", "url": "https://x"}}]}}),
    ],
)  # fmt: skip
def test_documents(document, block):
    assert blocks(f"document {{ {document} }}") == [{"type": "document", **block}]


def test_a_document_of_fields_is_sent_as_json_text():
    part = 'document { data_json: "{\\"a\\":1}" }'
    assert blocks(part)[0]["source"]["data"] == '{"a":1}'
    assert warned(part) == [("EMULATED", "prompt.messages[0].parts[0].document.data_json")]


def test_documents_that_cannot_be_sent():
    path = "prompt.messages[0].parts[0].document"
    assert refused(f"prompt {{ {user('document {}')} }}") == ("INVALID_REQUEST", path)
    audio = 'media { mime_type: "audio/wav" data: "x" }'
    assert warned(f"document {{ {audio} }}", after=WARN) == [("PART_DROPPED", f"{path}.media")]
    inner = f'document {{ parts {{ parts {{ {audio} }} parts {{ text {{ text: "a" }} }} }} }}'
    assert warned(inner, after=WARN) == [("PART_DROPPED", f"{path}.parts.parts[0]")]
    svg = 'document { parts { parts { media { mime_type: "image/svg+xml" data: "x" } } } }'
    assert warned(svg, after=WARN) == [("PART_DROPPED", f"{path}.parts.parts[0].media")]


# https://platform.claude.com/docs/en/build-with-claude/search-results (2026-11)
@pytest.mark.parametrize(
    ("document", "title", "texts"),
    [
        ('text: "abc" title: "T"', "T", ["abc"]),
        ('text: "abc"', "https://a.example", ["abc"]),
        ('parts { parts { text { text: "a" } } parts { text { text: "b" } } }', "https://a.example", ["a", "b"]),
    ],
)
def test_text_that_came_from_somewhere_is_a_search_result(document, title, texts):
    [block] = blocks(f'document {{ source_uri: "https://a.example" enable_citations: true {document} }}')
    assert block == {
        "type": "search_result",
        "source": "https://a.example",
        "title": title,
        "content": [{"type": "text", "text": value} for value in texts],
        "citations": {"enabled": True},
    }


@pytest.mark.parametrize(
    "document",
    ['text: "a" context: "C"', 'text: ""', 'media { mime_type: "application/pdf" data: "x" }',
     'parts { parts { media { mime_type: "image/png" uri: "https://x" } } }'],
)  # fmt: skip
def test_other_documents_do_not_tell_where_they_came_from(document):
    part = f'document {{ source_uri: "https://a.example" {document} }}'
    assert blocks(part)[0]["type"] == "document"
    assert warned(part) == [("PARAM_DROPPED", "prompt.messages[0].parts[0].document.source_uri")]


def test_documents_of_the_request_stand_in_the_last_message_of_the_user():
    documents = 'documents { id: "d" text: "abc" } documents { media { mime_type: "audio/wav" data: "x" } }'
    result = 'tool_result { tool_call_id: "a" }'
    first = 'messages { role: ROLE_USER parts { text { text: "0" } } }'
    last = user(result, 'text { text: "x" }', documents=documents)
    whole = f"prompt {{ {first} {last} }} {WARN}"
    sent = body(whole)["messages"]
    assert sent[0] == {"role": "user", "content": "0"}
    assert [block["type"] for block in sent[1]["content"]] == ["tool_result", "document", "text"]
    last = user(result, documents='documents { text: "abc" }')
    only = body(f"prompt {{ {last} }}")["messages"]
    assert [block["type"] for block in only[0]["content"]] == ["tool_result", "document"]


def test_documents_of_the_request_need_a_user():
    told = 'messages { role: ROLE_ASSISTANT parts { text { text: "x" } } } documents { text: "abc" }'
    assert refused(f"prompt {{ {told} }}") == ("INVALID_REQUEST", "prompt.documents")


def test_the_vendors_count_of_documents_is_remembered():
    parts = (
        'media { mime_type: "application/pdf" data: "x" }',
        'document { id: "a" text: "abc" }',
        'document { id: "s" text: "abc" source_uri: "u" }',
        'media { mime_type: "image/png" uri: "https://x" }',
    )
    whole = user(*parts, documents='documents { id: "z" text: "abc" }')
    found = encoded(f"prompt {{ {whole} }}").sources
    # Those of the request come first: they stand before the first words.
    assert found.documents == ("z", "", "a")
    assert found.search_results == ("s",)


def test_results_of_tools_hold_media_and_documents():
    inner = 'parts { media { mime_type: "image/png" uri: "https://x" } } parts { document { text: "abc" } }'
    reference = json.dumps('{"type":"tool_reference","tool_name":"f"}')
    native = f'parts {{ native {{ provider: "anthropic" native_json: {reference} }} }}'
    [block] = blocks(f'tool_result {{ tool_call_id: "a" {inner} {native} }}')
    assert [one["type"] for one in block["content"]] == ["image", "document", "tool_reference"]
