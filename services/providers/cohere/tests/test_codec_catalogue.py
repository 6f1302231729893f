"""Cohere's list of models, in the contract's words."""

import pytest

from antiphon.llm.v1 import models_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_provider_cohere.codec import read_models

PAGE = (
    b'{"models": [{"name": "command-a", "endpoints": ["chat", "summarize"], "context_length": 256000.0,'
    b'  "features": ["tools", "vision"], "x": 1e400}, {"name": "embed-v4.0", "is_deprecated": true,'
    b' "endpoints": ["embed"], "context_length": "long"}, {"name": "rerank-v4.0", "endpoints": ["rerank"]},'
    b' {"name": "bare", "endpoints": null}], "next_page_token": "t2"}'
)


def test_models():
    (chat, embed, rerank, bare), token = read_models(PAGE)
    assert token == "t2"
    assert (chat.id, chat.provider, chat.native_id) == ("cohere/command-a", "cohere", "command-a")
    assert (list(chat.operations), chat.max_input_tokens) == (["generate"], 256000)
    assert (list(chat.input_modalities), list(chat.output_modalities)) == (["text", "image"], ["text"])
    assert chat.lifecycle == models_pb2.Model.LIFECYCLE_ACTIVE
    assert chat.native_json.startswith('{"name": "command-a"')
    assert chat.native_json.endswith('"x": 1e400}')
    assert chat.support["params.top_k"] == models_pb2.SUPPORT_NATIVE
    assert (list(embed.operations), list(embed.output_modalities)) == (["embed"], ["embedding"])
    assert embed.lifecycle == models_pb2.Model.LIFECYCLE_DEPRECATED
    assert not embed.HasField("max_input_tokens")
    assert not embed.support
    assert list(rerank.operations) == ["rerank"]
    assert (list(rerank.output_modalities), list(bare.operations)) == ([], [])


def test_the_last_page():
    assert read_models(b'{"models": []}') == ([], "")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models": 5}', b'{"models": [5]}', b'{"models": [{}]}'])
def test_a_list_that_is_none(body):
    with pytest.raises(CallFailure) as raised:
        read_models(body)
    assert reason_name(raised.value.error.reason) == "UPSTREAM_PROTOCOL"
