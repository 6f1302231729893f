"""Usage, citations and models: what is read of them, and what stays unknown."""

import json

import pytest

from antiphon.llm.v1 import models_pb2, usage_pb2
from antiphon_provider_anthropic.codec import Facts, Sources, describe, facts_of
from antiphon_provider_anthropic.codec.citations import read_citation
from antiphon_provider_anthropic.codec.models import support
from antiphon_provider_anthropic.codec.usage import UsageSum, read_usage


def usage(value):
    return read_usage(value, "{}")


# https://platform.claude.com/docs/en/build-with-claude/prompt-caching (2026-11)
def test_totals_include_the_cache():
    found = usage(
        {
            "input_tokens": 3,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 20,
            "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5, "other": 1},
            "output_tokens": 88,
            "output_tokens_details": {"thinking_tokens": 60},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0, "x": 1, "y_requests": "z"},
            "service_tier": "standard",
        }
    )
    assert (found.input_tokens, found.cache_read_input_tokens, found.cache_write_input_tokens) == (123, 100, 20)
    assert (found.output_tokens, found.reasoning_output_tokens) == (88, 60)
    assert dict(found.cache_write_by_ttl) == {"5m": 15, "1h": 5}
    assert dict(found.provider_tool_calls) == {"web_search": 2, "web_fetch": 0}
    assert found.source == usage_pb2.Usage.SOURCE_PROVIDER


def test_what_is_not_told_stays_unknown():
    found = usage({"output_tokens": 5.0, "cache_read_input_tokens": 7, "cache_creation": None})
    assert found.output_tokens == 5
    assert not found.HasField("input_tokens")
    assert not found.HasField("cache_write_input_tokens")
    for nonsense in (-1, 2**31, 1.5, True, "3", None):
        assert not usage({"input_tokens": nonsense, "output_tokens": nonsense}).HasField("input_tokens")
        thinking = usage({"output_tokens_details": {"thinking_tokens": nonsense}})
        assert not thinking.HasField("reasoning_output_tokens")
    assert usage({"input_tokens": 2**31 - 1, "cache_read_input_tokens": 9}).input_tokens == 2**31 - 1


def summed(*objects):
    total = UsageSum()
    return [total.add(json.loads(one), one.encode()) for one in objects]


def test_usage_grows_and_keeps_what_was_told_once():
    first = '{"input_tokens": 3, "output_tokens": 1, "inference_geo": "us", "server_tool_use": null}'
    one, two, three = summed(first, '{"output_tokens": 9}', '{"output_tokens": 9, "input_tokens": null}')
    assert one.native_json == first
    assert (two.input_tokens, two.output_tokens) == (3, 9)
    assert json.loads(two.native_json) == {"input_tokens": 3, "output_tokens": 9, "inference_geo": "us"}
    assert three is None


def test_cumulative_usage_is_kept_verbatim():
    _, two = summed('{"output_tokens": 1}', '{"output_tokens":  9, "input_tokens": 2}')
    assert two.native_json == '{"output_tokens":  9, "input_tokens": 2}'


# -- citations, https://platform.claude.com/docs/en/build-with-claude/citations (2026-11)

SOURCES = Sources(documents=("d0", "d1"), search_results=("s0",))


def cite(**value):
    citation = read_citation(value, json.dumps(value), SOURCES)
    assert json.loads(citation.provider_json["anthropic"]) == value
    return citation


@pytest.mark.parametrize(
    ("kind", "members", "places"),
    [
        ("char_location", {"start_char_index": 0, "end_char_index": 4}, {"start_char": 0, "end_char": 4}),
        ("page_location", {"start_page_number": 1, "end_page_number": 3}, {"start_page": 1, "end_page": 3}),
        ("content_block_location", {"start_block_index": 0, "end_block_index": 1}, {"start_block": 0, "end_block": 1}),
    ],
)
def test_places_in_documents(kind, members, places):
    citation = cite(type=kind, cited_text="x", document_index=1, document_title="T", **members)
    assert citation.cited_text == "x"
    [source] = citation.sources
    assert (source.title, source.document.document_id, source.document.document_index) == ("T", "d1", 1)
    assert {name: getattr(source.document, name) for name in places} == places


def test_documents_that_are_not_ours_and_positions_that_are_none():
    [source] = cite(type="char_location", document_index=7, start_char_index="0").sources
    assert (source.document.document_id, source.document.document_index) == ("", 7)
    assert not source.document.HasField("start_char")
    [source] = cite(type="char_location", document_index=2).sources
    assert source.document.document_id == ""
    [source] = cite(type="char_location", document_index=None).sources
    assert not source.document.HasField("document_index")


def test_search_results_and_the_web():
    found = {"type": "search_result_location", "source": "https://a.example", "title": "T", "start_block_index": 2}
    [source] = cite(**found, search_result_index=0).sources
    assert (source.document.document_id, source.document.start_block, source.title) == ("s0", 2, "T")
    [source] = cite(**found, search_result_index=9).sources
    assert (source.uri.uri, source.title) == ("https://a.example", "T")
    [source] = cite(type="web_search_result_location", url="https://b.example", title=None).sources
    assert (source.uri.uri, source.title) == ("https://b.example", "")


def test_a_location_of_next_year():
    assert not cite(type="moon_location").sources


# -- models, as anthropic 2.14 types them


def yes(*names):
    return {name: {"supported": True} for name in names}


LISTED = {
    "id": "claude-opus-5-5",
    "type": "model",
    "display_name": "Claude Opus 5.5",
    "created_at": "2026-09-01T00:00:00Z",
    "lifecycle": "deprecated",
    "retires_at": "2027-09-01T00:00:00Z",
    "max_input_tokens": 1_000_000,
    "max_tokens": 128_000,
    "capabilities": {
        **yes("image_input", "pdf_input"),
        "thinking": {"supported": True, "types": {**yes("adaptive", "disabled"), "enabled": {"supported": False}}},
        "effort": {"supported": True, **yes("low", "high", "max")},
        "server_tools": {"supported": True, **yes("web_search"), "code_execution": {"supported": False}},
    },
}


def test_a_listed_model():
    native_json = json.dumps(LISTED)
    model = describe(native_json)
    assert (model.id, model.provider, model.native_id) == ("anthropic/claude-opus-5-5", "anthropic", "claude-opus-5-5")
    assert model.lifecycle == models_pb2.Model.LIFECYCLE_DEPRECATED
    assert model.create_time.ToJsonString() == "2026-09-01T00:00:00Z"
    assert model.retire_time.ToJsonString() == "2027-09-01T00:00:00Z"
    assert (model.max_input_tokens, model.max_output_tokens) == (1_000_000, 128_000)
    assert list(model.operations) == ["generate", "count_tokens"]
    assert list(model.input_modalities) == ["text", "image", "file"]
    assert list(model.reasoning_efforts) == ["low", "high", "max"]
    assert "web_search" in model.provider_tools
    assert "code_execution" not in model.provider_tools
    assert model.support["params.temperature"] == models_pb2.SUPPORT_IGNORED
    assert model.support["params.reasoning.budget_tokens"] == models_pb2.SUPPORT_IGNORED
    assert model.native_json == native_json
    assert facts_of(LISTED) == Facts(128_000, frozenset({"adaptive", "disabled"}), ("low", "high", "max"))


def test_a_model_of_which_little_is_told():
    model = describe('{"id": "x", "created_at": "1970-01-01T00:00:00Z", "retires_at": "soon", "max_tokens": 0}')
    assert model.lifecycle == models_pb2.Model.LIFECYCLE_ACTIVE
    assert not model.HasField("create_time")
    assert not model.HasField("retire_time")
    assert not model.HasField("max_input_tokens")
    assert model.max_output_tokens == 64_000
    assert list(model.input_modalities) == ["text"]
    assert list(model.reasoning_efforts) == []
    assert facts_of({"id": "claude-opus-4-5"}).thinking == {"enabled", "disabled"}


@pytest.mark.parametrize("nonsense", ["{}", "[]", "5", '{"id": 5}'])
def test_what_is_no_model(nonsense):
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        describe(nonsense)


def test_support_follows_what_a_model_takes():
    known = support(Facts(thinking=frozenset({"enabled"}), efforts=()))
    assert known["params.reasoning.budget_tokens"] == models_pb2.SUPPORT_NATIVE
    assert known["params.reasoning.effort"] == models_pb2.SUPPORT_IGNORED
    assert support(Facts())["params.reasoning.effort"] == models_pb2.SUPPORT_NATIVE
