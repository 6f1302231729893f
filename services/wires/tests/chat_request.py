"""What the tests of the chat request share: requests as text, bodies as JSON, warnings and refusals as tuples."""

import json
from dataclasses import replace

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_wires.openai_chat.codec import OPENAI, encode_request

DEEPSEEK_LIKE = replace(OPENAI, name="ds", reasoning_field="reasoning_content", prefill_field="prefix")
WARN = "options { unsupported_policy: UNSUPPORTED_POLICY_WARN }"
ERROR = "options { unsupported_policy: UNSUPPORTED_POLICY_ERROR }"
USER = 'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } } }'


def encoded(text, dialect=OPENAI, **kwargs):
    request = text_format.Parse(text, chat_pb2.StreamGenerateRequest())
    return encode_request(request, dialect, model="gpt", **kwargs)


def body(text, dialect=OPENAI, **kwargs):
    return json.loads(encoded(text, dialect, **kwargs).body)


def messages(text, dialect=OPENAI, **kwargs):
    return body(f"prompt {{ {text} }}", dialect, **kwargs)["messages"]


def warnings(text, dialect=OPENAI, **kwargs):
    kinds = response_pb2.Warning.Kind
    return [
        (kinds.Name(warning.kind).removeprefix("KIND_"), warning.path)
        for warning in encoded(text, dialect, **kwargs).warnings
    ]


def refused(text, dialect=OPENAI, **kwargs):
    with pytest.raises(CallFailure) as raised:
        encoded(text, dialect, **kwargs)
    return reason_name(raised.value.error.reason), raised.value.error.param
