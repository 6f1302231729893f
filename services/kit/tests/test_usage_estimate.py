"""Every text that becomes input tokens counts, and nothing else does."""

import pytest

from antiphon.llm.v1 import chat_pb2, completion_pb2, content_pb2, embedding_pb2, params_pb2, rerank_pb2, usage_pb2
from antiphon_kit.provider import Turn
from antiphon_kit.recorder import Recorder
from antiphon_kit.usage_estimate import estimate

TEXT = "x" * 40
Part = content_pb2.Part

PARTS = {
    "text": Part(text=content_pb2.TextPart(text=TEXT)),
    "reasoning": Part(reasoning=content_pb2.ReasoningPart(text=TEXT)),
    "tool call": Part(tool_call=content_pb2.ToolCall(input=TEXT)),
    "tool result": Part(
        tool_result=content_pb2.ToolResult(parts=[Part(text=content_pb2.TextPart(text=TEXT[:20]))], data_json=TEXT[20:])
    ),
    "document": Part(document=content_pb2.Document(text=TEXT)),
    "document of parts": Part(
        document=content_pb2.Document(parts=content_pb2.PartList(parts=[Part(text=content_pb2.TextPart(text=TEXT))]))
    ),
    "compaction": Part(compaction=content_pb2.CompactionPart(summary=TEXT)),
    "native": Part(native=content_pb2.NativePart(native_json=TEXT)),
}


@pytest.mark.parametrize("name", PARTS)
def test_each_kind_of_part_counts(name):
    prompt = chat_pb2.Prompt(messages=[content_pb2.Message(parts=[PARTS[name]])])
    assert estimate(prompt, 0).input_tokens == 10


def test_tools_and_documents_count():
    function = params_pb2.FunctionTool(name=TEXT[:10], description=TEXT[:10], input_schema_json=TEXT[:20])
    prompt = chat_pb2.Prompt(
        tools=[params_pb2.Tool(function=function), params_pb2.Tool(custom=params_pb2.CustomTool(description=TEXT))],
        documents=[content_pb2.Document(title=TEXT)],
    )
    assert estimate(prompt, 0).input_tokens == 30


def test_tokens_round_up_and_unknown_stays_unset():
    usage = estimate(chat_pb2.Prompt(), 5)
    assert usage.output_tokens == 2
    assert not usage.HasField("input_tokens")
    assert usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE


def test_an_adapters_own_estimate_keeps_its_source(events):
    turn = Turn(request=chat_pb2.StreamGenerateRequest(), model="m")
    recorder = Recorder(turn, "p", "i.a")
    usage = events.usage(3, 4)
    usage.usage.source = usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
    recorder.observe([events.start(), events.part(), usage, events.stop()])
    end = recorder.end(None, event_count=0, total_s=1.0)
    assert end.usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE


def test_timing_is_measured_from_sending(events):
    turn = Turn(request=chat_pb2.StreamGenerateRequest(), model="m")
    recorder = Recorder(turn, "p", "i.a")
    milestones = turn.milestones
    milestones.mark_sent()
    milestones.connected = milestones.sent + 0.25
    milestones.first_byte = milestones.sent + 0.5
    recorder.observe([events.start(), events.part(), events.stop()])
    timing = recorder.end(None, event_count=0, total_s=1.5).timing
    assert timing.connect_duration.ToMilliseconds() == 250
    assert timing.time_to_first_byte.ToMilliseconds() == 500
    assert timing.total_duration.ToMilliseconds() == 1500
    assert timing.HasField("time_to_first_content")
    assert not timing.HasField("queue_duration")


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        (completion_pb2.CompletionPrompt(text=TEXT, suffix=TEXT), 20),
        (completion_pb2.CompletionPrompt(tokens={"ids": [1, 2, 3]}, suffix=TEXT), 13),
        (embedding_pb2.EmbedRequest(inputs=[{"text": TEXT}, {"tokens": {"ids": [7]}}]), 11),
        (embedding_pb2.EmbedRequest(inputs=[{"parts": {"parts": [PARTS["text"]]}}]), 10),
        # The query is read with each document.
        (rerank_pb2.RerankInput(query=TEXT, documents=[{"text": TEXT}, {"text": TEXT}]), 40),
    ],
)
def test_inputs_of_the_services_beside_chat_count(given, tokens):
    usage = estimate(given, 0)
    assert (usage.input_tokens, usage.source) == (tokens, usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE)
    assert not usage.HasField("output_tokens")


def test_nothing_to_count_is_unknown():
    assert not estimate(completion_pb2.CompletionPrompt(), 0).HasField("input_tokens")
