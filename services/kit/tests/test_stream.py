"""The streaming path as a caller sees it: grammar, hold-back, coalescing, back-pressure, cancel, what never leaks."""

import asyncio

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2, content_pb2, options_pb2, response_pb2, usage_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, failure
from antiphon_contract.fold import Fold
from antiphon_kit import stream

End = response_pb2.ResponseEnd
Usage = usage_pb2.Usage


async def forever(turn):
    await asyncio.Event().wait()


def gate():
    opened = asyncio.Event()

    async def wait(turn):
        await opened.wait()

    return opened, wait


def whole(events, *words):
    return [
        [events.start(model="m-1")],
        [events.part(), events.text(words[0])],
        *([events.text(word)] for word in words[1:]),
        [events.part_end(), events.stop(), events.usage(7, 3)],
    ]


async def test_a_good_stream_keeps_the_grammar(events, scripted, dial):
    async with dial(scripted(whole(events, "a", "b", "c"))) as caller:
        answer = await caller.stream()
    assert answer.code == grpc.StatusCode.OK
    assert answer.kinds == [
        "start", "part_start", "text_delta", "text_delta", "text_delta", "part_end", "candidate_end", "usage", "end",
    ]  # fmt: skip
    fold = Fold()
    for frame in answer.frames:
        fold.feed(frame)
    end = fold.end
    assert end.outcome == End.OUTCOME_COMPLETED
    assert end.event_count == fold.sequence == 9
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.source) == (7, 3, Usage.SOURCE_PROVIDER)
    assert end.finish_reasons == [response_pb2.FINISH_REASON_STOP]
    assert (end.provider, end.model) == ("scripted", "m-1")
    assert end.timing.HasField("time_to_first_content")
    assert end.timing.HasField("total_duration")
    assert answer.record == end


async def test_start_is_completed_by_the_kit(events, scripted, dial):
    async with dial(scripted([[events.start(), events.part(), events.stop()]]), state_domain="openai-a") as caller:
        answer = await caller.stream(antiphon_attempt_id="a_1-b", antiphon_model_native="native")
        other = await caller.stream()
    start = answer.events[0].start
    instance, _, attempt = start.response_id.partition(".")
    assert attempt == "a_1-b"
    assert other.events[0].start.response_id.startswith(f"{instance}.")
    assert other.events[0].start.response_id != start.response_id
    assert (start.provider, start.model, start.state_domain) == ("scripted", "native", "openai-a")
    assert start.create_time.seconds > 1_600_000_000
    assert answer.record.response_id == start.response_id


async def test_nothing_is_sent_before_content_and_start_goes_with_it(events, scripted, dial):
    opened, wait = gate()
    script = [[events.start()], [events.usage(7, 0)], wait, *whole(events, "a")[1:]]
    provider = scripted(script)
    async with dial(provider) as caller:
        call = caller.open(antiphon_request_id="req-1")
        headers = asyncio.ensure_future(call.initial_metadata())
        done, _ = await asyncio.wait({headers}, timeout=0.15)
        assert not done, "headers were sent before content"
        opened.set()
        answer = await caller.collect(call)
    assert [event.WhichOneof("kind") for event in answer.frames[0].events][:3] == ["start", "usage", "part_start"]
    assert answer.headers[metadata.REQUEST_ID] == "req-1"
    assert answer.headers[metadata.CONTRACT] == metadata.CONTRACT_VERSION


async def test_headers_cost_a_write_and_go_only_to_a_caller_that_wants_an_echo(events, scripted, dial):
    async with dial(scripted(whole(events, "a"))) as caller:
        plain = await caller.stream()
        routed = await caller.stream(antiphon_request_id="r", antiphon_attempt_id="a")
    for answer in (plain, routed):
        assert metadata.REQUEST_ID not in answer.headers
        assert dict(answer.trailers)[metadata.CONTRACT] == metadata.CONTRACT_VERSION


async def test_one_batch_is_one_frame_at_low_load(events, scripted, dial):
    first, second = asyncio.Event(), asyncio.Event()

    async def after(event):
        await event.wait()

    script = [
        [events.start(), events.part(), events.text("a")],
        lambda turn: after(first),
        [events.text("b"), events.text("c")],
        lambda turn: after(second),
        [events.part_end(), events.stop()],
    ]
    async with dial(scripted(script)) as caller:
        call = caller.open()
        assert [len((await call.read()).events)] == [3]
        first.set()
        frame = await call.read()
        assert (frame.first_sequence, len(frame.events)) == (4, 2)
        second.set()
        answer = await caller.collect(call)
    assert [(frame.first_sequence, len(frame.events)) for frame in answer.frames] == [(6, 3)]


async def test_events_pile_up_into_frames_when_the_upstream_is_fast(events, scripted, dial):
    script = [[events.start(), events.part()], *([events.text("word ")] for _ in range(5000)), [events.stop()]]
    async with dial(scripted(script)) as caller:
        answer = await caller.stream()
    assert answer.events[-1].end.event_count == 5004
    assert len(answer.frames) < 500


async def test_coalescing_delay_is_honoured(events, scripted, dial):
    async def short(turn):
        await asyncio.sleep(0.02)

    script = [
        [events.start(), events.part()],
        short,
        [events.text("a")],
        short,
        [events.text("b")],
        short,
        [events.stop()],
    ]
    request = chat_pb2.StreamGenerateRequest()
    async with dial(scripted(script)) as caller:
        request = caller.request()
        request.stream.max_coalesce_delay.FromMilliseconds(900)
        answer = await caller.stream(request)
        plain = await caller.stream()
    assert len(answer.frames) == 1
    assert len(plain.frames) > 1


async def test_a_caller_that_does_not_read_stops_the_reader(events, scripted, dial):
    pulled = 0

    async def count(turn):
        nonlocal pulled
        pulled += 1
        await asyncio.sleep(0)

    big = events.text("x" * 50_000)
    script = [[events.start(), events.part()], *([big], count) * 1500, [events.stop()]]
    async with dial(scripted(script)) as caller:
        call = caller.open()
        first = await call.read()
        for _ in range(100):
            before = pulled
            await asyncio.sleep(0.02)
            if pulled == before:
                break
        # 75 MB were there to be read; what is on its way fits the buffer, one frame and gRPC's windows.
        assert pulled < 300
        answer = await caller.collect(call)
    assert answer.code == grpc.StatusCode.OK
    answer.frames.insert(0, first)
    assert sum(len(event.text_delta) for event in answer.events) == 1500 * 50_000
    assert max(frame.ByteSize() for frame in answer.frames) <= stream.MAX_WAITING_BYTES + 60_000


async def test_what_waits_for_content_never_blocks_the_reader(events, scripted, dial):
    notice = response_pb2.StreamEvent(warning=response_pb2.Warning(message="w" * 400))
    script = [[events.start()], *[[notice] * 10] * 100, [events.part(), events.stop()]]
    async with dial(scripted(script)) as caller:
        answer = await asyncio.wait_for(caller.stream(), 5)
    assert answer.kinds.count("warning") == 1000
    assert answer.frames[0].events[-1].WhichOneof("kind") in ("candidate_end", "end")


async def test_cancel_while_the_reader_waits_for_room_closes_the_generator(events, scripted, dial):
    script = [[events.start(), events.part()], *([events.text("x" * 50_000)] for _ in range(400)), [events.stop()]]
    provider = scripted(script)
    async with dial(provider) as caller:
        call = caller.open()
        await call.read()
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.wait_for(provider.released.wait(), 0.5)
    assert provider.closed == ["GeneratorExit"]


async def test_keepalives_fill_silence_without_numbers(events, scripted, dial):
    opened, wait = gate()
    script = [[events.start()], wait, *whole(events, "a")[1:]]
    async with dial(scripted(script), keepalive_s=0.05) as caller:
        call = caller.open()
        frames = [await call.read(), await call.read()]
        opened.set()
        answer = await caller.collect(call)
    for frame in frames:
        assert frame.first_sequence == 0
        assert [event.WhichOneof("kind") for event in frame.events] == ["keepalive"]
        assert frame.SerializeToString()[0] == 0x12
    assert answer.frames[0].first_sequence == 1


async def test_no_keepalive_while_events_flow(events, scripted, dial):
    async def pause(turn):
        await asyncio.sleep(0.03)

    script = [[events.start(), events.part()], *([events.text("a")], pause) * 8, [events.stop()]]
    async with dial(scripted(script), keepalive_s=0.2) as caller:
        answer = await caller.stream()
    assert "keepalive" not in answer.kinds


async def test_usage_is_estimated_where_the_provider_gave_none(events, scripted, dial):
    script = [[events.start(), events.part(), events.text("äöü" * 4), events.stop()]]
    async with dial(scripted(script)) as caller:
        answer = await caller.stream(caller.request("x" * 41))
    usage = answer.record.usage
    assert usage.source == Usage.SOURCE_GATEWAY_ESTIMATE
    assert (usage.input_tokens, usage.output_tokens) == (11, 6)


async def test_an_image_alone_estimates_to_unknown_not_to_zero(events, scripted, dial):
    script = [[events.start(), events.part(), events.stop()]]
    request = chat_pb2.StreamGenerateRequest(model="m")
    message = request.prompt.messages.add(role=content_pb2.ROLE_USER)
    message.parts.add().media.data = b"png"
    async with dial(scripted(script)) as caller:
        answer = await caller.stream(request)
    assert answer.record.usage.source == Usage.SOURCE_GATEWAY_ESTIMATE
    assert not answer.record.usage.HasField("input_tokens")
    assert not answer.record.usage.HasField("output_tokens")


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (response_pb2.FINISH_REASON_TOOL_CALLS, End.OUTCOME_COMPLETED),
        (response_pb2.FINISH_REASON_REFUSAL, End.OUTCOME_COMPLETED),
        (response_pb2.FINISH_REASON_MAX_OUTPUT_TOKENS, End.OUTCOME_INCOMPLETE),
        (response_pb2.FINISH_REASON_CONTENT_FILTER, End.OUTCOME_INCOMPLETE),
    ],
)
async def test_outcome_follows_the_finish_reasons(events, scripted, dial, reason, outcome):
    async with dial(scripted([[events.start(), events.part(), events.stop(reason)]])) as caller:
        answer = await caller.stream()
    assert answer.record.outcome == outcome
    assert answer.code == grpc.StatusCode.OK


async def test_unary_is_the_fold_of_the_stream(events, scripted, dial):
    script = whole(events, "a", "b", "c")
    async with dial(scripted(script)) as caller:
        streamed = await caller.stream()
        unary = await caller.generate(antiphon_request_id="r")
    fold = Fold()
    for frame in streamed.frames:
        fold.feed(frame)
    expected, got = fold.response(), unary.response
    assert got.candidates == expected.candidates
    assert got.candidates[0].message.parts[0].text.text == "abc"
    assert got.end == unary.record
    assert got.end.usage == expected.end.usage
    assert got.end.event_count == 0
    assert got.native == b""
    assert unary.headers[metadata.CONTRACT] == dict(unary.trailers)[metadata.CONTRACT] == metadata.CONTRACT_VERSION
    assert unary.headers[metadata.REQUEST_ID] == "r"


async def test_unary_returns_native_bytes_only_if_asked(events, scripted, dial):
    native = events.text("a")
    native.native = b'{"a":1}'
    last = events.stop()
    last.native = b'{"b":2}'
    async with dial(scripted([[events.start(), events.part(), native, last]])) as caller:
        options = options_pb2.CallOptions(native_mode=options_pb2.CallOptions.NATIVE_MODE_ATTACH)
        asked = await caller.generate(caller.request(options=options))
        plain = await caller.generate()
    assert asked.response.native == b'{"a":1}\n{"b":2}'
    assert plain.response.native == b""


async def test_a_unary_failure_keeps_its_cause_because_nothing_was_delivered(events, scripted, dial):
    script = [[events.start(), events.part(), events.text("a")], failure(Reason.ERROR_REASON_PROVIDER_ERROR, "reset")]
    async with dial(scripted(script)) as caller:
        answer = await caller.generate()
    assert (answer.reason, answer.error.retry_other_backend) == ("PROVIDER_ERROR", True)
    assert answer.record.usage.source == Usage.SOURCE_GATEWAY_ESTIMATE
