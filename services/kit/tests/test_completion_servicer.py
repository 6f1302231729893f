"""Complete and StreamComplete: the streaming path of chat over another port."""

import grpc

from antiphon.llm.v1 import completion_pb2, response_pb2, usage_pb2
from antiphon_contract.errors import Reason, failure

METHOD = "/antiphon.llm.v1.CompletionService/StreamComplete"


def script(events, *more):
    begin = [events.start(), events.part(), events.text("b")]
    return [begin, *(more or ([events.text("c"), events.part_end(), events.stop(), events.usage(2, 3)],))]


def request(**fields):
    prompt = completion_pb2.CompletionPrompt(text="aaaa", suffix="dddd")
    return completion_pb2.StreamCompleteRequest(model="m", prompt=prompt, **fields)


async def test_a_stream_has_the_rules_of_a_chat(events, versatile, dial):
    provider = versatile(script(events))
    async with dial(provider, max_output_tokens=9, state_domain="acc") as caller:
        answer = await caller.collect(caller.completions(request(), metadata=(("antiphon-model-native", "n"),)))
    assert answer.code == grpc.StatusCode.OK
    assert answer.frames[0].first_sequence == 1
    assert answer.kinds[0] == "start"
    assert answer.kinds[-1] == "end"
    assert "".join(event.text_delta for event in answer.events) == "bc"
    end = answer.events[-1].end
    assert (end.event_count, end.usage.output_tokens) == (len(answer.events), 3)
    assert answer.record.response_id == end.response_id
    [job] = provider.turns
    assert (job.model, job.max_output_tokens, job.state_domain, job.request) == ("n", 9, "acc", request())


async def test_the_whole_is_the_fold(events, versatile, dial):
    async with dial(versatile(script(events))) as caller:
        response = (await caller.complete(request())).response
    assert response.candidates[0].message.parts[0].text.text == "bc"
    assert response.candidates[0].end.reason == response_pb2.FINISH_REASON_STOP
    assert response.end.usage.input_tokens == 2


async def test_failures_before_and_after_content(events, versatile, dial):
    down = failure(Reason.ERROR_REASON_PROVIDER_ERROR, "down")
    async with dial(versatile([down])) as caller:
        before = await caller.collect(caller.completions(request()))
        unary = await caller.complete(request())
    async with dial(versatile(script(events, down))) as caller:
        after = await caller.collect(caller.completions(request()))
    assert before.reason == unary.reason == "PROVIDER_ERROR"
    assert not before.frames
    assert after.reason == "STREAM_INTERRUPTED"
    end = after.events[-1].end
    assert end.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
    # 8 bytes of prompt and suffix, 1 byte of answer.
    assert (end.usage.input_tokens, end.usage.output_tokens) == (2, 1)
    assert end.usage.source == usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE


async def test_tokens_are_counted_where_nobody_tells(events, versatile, dial):
    steps = [[events.start(), events.part(), events.part_end(), events.stop()]]
    asked = completion_pb2.CompleteRequest(model="m", prompt={"tokens": {"ids": [1, 2, 3]}})
    async with dial(versatile(steps)) as caller:
        usage = (await caller.complete(asked)).response.end.usage
    assert usage.input_tokens == 3
    assert not usage.HasField("output_tokens")
