"""How the tests of the codec ask for the encoding of a request in text format."""

import json

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_provider_anthropic.codec import Facts, encode_count, encode_request

WARN = "options { unsupported_policy: UNSUPPORTED_POLICY_WARN }"
USER = 'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } } }'


def encoded(text, facts=None, *, count=False, **kwargs):
    request = text if isinstance(text, chat_pb2.StreamGenerateRequest) else None
    request = request or text_format.Parse(text, chat_pb2.StreamGenerateRequest())
    make = encode_count if count else encode_request
    return make(request, model="claude", facts=facts or Facts(), **kwargs)


def body(text, facts=None, **kwargs):
    return json.loads(encoded(text, facts, **kwargs).body)


def messages(text, **kwargs):
    return body(f"prompt {{ {text} }}", **kwargs)["messages"]


def warnings(text, facts=None, **kwargs):
    kinds = response_pb2.Warning.Kind
    return [
        (kinds.Name(warning.kind).removeprefix("KIND_"), warning.path)
        for warning in encoded(text, facts, **kwargs).warnings
    ]


def refused(text, **kwargs):
    with pytest.raises(CallFailure) as raised:
        encoded(text, **kwargs)
    return reason_name(raised.value.error.reason), raised.value.error.param
