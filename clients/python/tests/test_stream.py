"""Streams: what arrives, what is refused, and that leaving early reaches the server."""

import asyncio

import pytest

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2
from antiphon_client import AsyncClient, errors, events
from antiphon_client.testing import answering, begin, delta, failed_end, failing, finish, frame
from antiphon_contract.errors import Reason, failure

StreamEvent = response_pb2.StreamEvent


async def collect(stream, into):
    async for event in stream:
        into.append(type(event))


async def test_text_is_delivered_delta_by_delta_and_folded(connected):
    async with connected(answering("Hel", "lo")) as (_, client), client.stream("hi") as stream:
        assert [piece async for piece in stream.text()] == ["Hel", "lo"]
        answer = await stream.response()
    assert (answer.text, answer.provider, answer.model) == ("Hello", "scripted", "m-1")
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.finish_reason) == (3, 5, "STOP")
    assert 0 < answer.time_to_first_content_s <= answer.duration_s
    assert answer.message.role == content_pb2.ROLE_ASSISTANT


async def test_a_delta_arrives_while_the_server_is_still_writing(connected):
    goes_on = asyncio.Event()

    async def scene(call):
        yield frame(1, *begin("first"))
        await goes_on.wait()
        yield frame(4, *finish())

    async with connected(scene) as (_, client), client.stream("hi") as stream:
        text = stream.text()
        assert await anext(text) == "first"
        goes_on.set()
        assert [piece async for piece in text] == []


async def test_events_are_typed_and_in_order(connected):
    async with connected(answering("a")) as (_, client), client.stream("hi") as stream:
        kinds = [type(event) async for event in stream]
    assert kinds == [
        events.Started,
        events.PartStarted,
        events.TextDelta,
        events.PartEnded,
        events.CandidateEnded,
        events.Ended,
    ]


async def test_a_part_that_is_whole_at_once_counts_as_text(connected):
    async def scene(call):
        start, opened = begin()
        opened.part_start.part.text.text = "all at once"
        yield frame(1, start, opened)
        yield frame(3, *finish())

    async with connected(scene) as (_, client), client.stream("hi") as stream:
        assert [piece async for piece in stream.text()] == ["all at once"]
        assert (await stream.response()).text == "all at once"


async def test_every_kind_of_event_has_its_type(connected):
    async def scene(call):
        yield frame(0, StreamEvent(attempt=response_pb2.Attempt(number=1)))
        yield frame(0, StreamEvent(keepalive=response_pb2.Keepalive()))
        yield frame(1, *begin("x"), StreamEvent(part_update=response_pb2.PartUpdate(provider_json={"p": "{}"})))
        reasoning = content_pb2.Part(reasoning=content_pb2.ReasoningPart())
        tool = content_pb2.Part(tool_call=content_pb2.ToolCall(id="t"))
        yield frame(
            5,
            StreamEvent(part_start=response_pb2.PartStart(part=reasoning), part_index=1),
            StreamEvent(reasoning_delta="hm", part_index=1),
            StreamEvent(part_start=response_pb2.PartStart(part=tool), part_index=2),
            StreamEvent(tool_input_delta="{}", part_index=2),
            StreamEvent(warning=response_pb2.Warning(path="p")),
            StreamEvent(native_event=response_pb2.NativeEvent(name="n")),
            StreamEvent(usage={"input_tokens": 1}),
        )
        yield frame(12, *finish(event_count=14))

    async with connected(scene) as (_, client), client.stream("hi") as stream:
        kinds = {type(event) async for event in stream}
        answer = await stream.response()
    assert kinds == set(events.Event.__args__) - {events.Restarted, events.UnknownEvent}
    assert answer.text == "x"
    assert [attempt.number for attempt in answer.attempts] == [1]
    assert answer.message.parts[2].tool_call.input == "{}"


async def test_unknown_kinds_and_fields_are_skipped_but_counted(connected):
    # Field 30 of a later contract: in the event beside no kind we know, and in the frame.
    from_the_future = b"\xf2\x01\x03abc"

    async def scene(call):
        yield frame(1, *begin("a"), StreamEvent.FromString(from_the_future))
        later = frame(5, delta("b"))
        yield chat_pb2.StreamGenerateResponse.FromString(later.SerializeToString() + from_the_future)
        yield frame(6, *finish(event_count=8))

    async with connected(scene) as (_, client), client.stream("hi") as stream:
        seen = [event async for event in stream]
        answer = await stream.response()
    assert [type(event) for event in seen].count(events.UnknownEvent) == 1
    assert answer.text == "ab"


async def test_failure_before_content_is_the_bare_typed_error(connected):
    scene = failing(failure(Reason.ERROR_REASON_RATE_LIMITED, "slow down", retry_delay_s=2.5))
    async with connected(scene) as (_, client), client.stream("hi", request_id="r-1") as stream:
        with pytest.raises(errors.RateLimited) as caught:
            await stream.response()
    assert (caught.value.message, caught.value.retry_delay_s) == ("slow down", 2.5)
    assert (caught.value.request_id, caught.value.response) == ("r-1", None)


async def test_failure_after_content_keeps_what_arrived_and_is_not_an_ended_event(connected):
    cut = failure(Reason.ERROR_REASON_STREAM_INTERRUPTED, "the provider hung up")

    async def scene(call):
        yield frame(1, *begin("half an ans"))
        yield frame(4, failed_end(cut))
        raise cut

    seen = []
    async with connected(scene) as (_, client), client.stream("hi") as stream:
        with pytest.raises(errors.StreamInterrupted, match="the provider hung up") as caught:
            await collect(stream, seen)
        with pytest.raises(errors.StreamInterrupted):
            await stream.response()
    assert events.Ended not in seen
    assert caught.value.response.candidates[0].message.parts[0].text.text == "half an ans"
    assert caught.value.usage.output_tokens == 1


async def test_a_failed_end_is_an_error_even_with_status_ok(connected):
    async def scene(call):
        yield frame(1, *begin("x"))
        yield frame(4, failed_end(failure(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut")))

    async with connected(scene) as (_, client), client.stream("hi") as stream:
        with pytest.raises(errors.StreamInterrupted, match="cut"):
            await stream.response()


async def test_a_whole_answer_stands_even_if_the_status_then_fails(connected):
    async def scene(call):
        yield frame(1, *begin("whole"), *finish())
        raise failure(Reason.ERROR_REASON_GATEWAY_INTERNAL, "died while hanging up")

    async with connected(scene) as (_, client), client.stream("hi") as stream:
        assert (await stream.response()).text == "whole"


async def test_a_stream_without_end_is_not_an_answer(connected):
    async def scene(call):
        yield frame(1, *begin("looks whole"))

    async with connected(scene) as (_, client), client.stream("hi") as stream:
        with pytest.raises(errors.StreamInterrupted, match="terminal record") as caught:
            await stream.response()
    assert caught.value.response.candidates[0].message.parts[0].text.text == "looks whole"


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([frame(1, *begin("a")), frame(5, *finish())], "expected sequence 4, got 5"),
        ([frame(1, *begin("a"), *finish(event_count=9))], "counts 9 events, 6 came"),
        ([frame(1, *begin("a")[1:], *finish())], "not `start`"),
        ([frame(0, *begin("a")), frame(1, *begin(), *finish())], "without a sequence number"),
        ([frame(1, *begin("a"), StreamEvent(keepalive=response_pb2.Keepalive()))], "in a numbered frame"),
        ([frame(1, *begin("a"), *finish()), frame(7, delta("late"))], "after `end`"),
    ],
)
async def test_a_stream_that_breaks_the_grammar_is_refused_and_cancelled(connected, frames, complaint):
    async def scene(call):
        for each in frames:
            yield each
        await call.done.wait()

    async with connected(scene) as (router, client), client.stream("hi") as stream:
        with pytest.raises(errors.StreamMalformed, match=complaint):
            await stream.response()
        call = await router.calls.get()
        await call.done.wait()
        assert call.cancelled


async def test_restart_says_which_text_to_take_back_and_the_fold_forgets_it(connected):
    async def scene(call):
        assert call.metadata["antiphon-after-content"] == "restart"
        yield frame(1, *begin("wrong "), delta("turn"))
        yield frame(0, StreamEvent(attempt=response_pb2.Attempt(number=1)))
        yield frame(0, StreamEvent(restart=response_pb2.Restart(voided_attempt=1, next_attempt=2, voided_events=4)))
        yield frame(1, *begin("right"), *finish(event_count=6))

    shown = ""
    async with connected(scene) as (_, client), client.stream("hi", after_content="restart") as stream:
        async for event in stream:
            match event:
                case events.TextDelta(text=text):
                    shown += text
                case events.Restarted(voided_text=text):
                    assert shown == text == "wrong turn"
                    shown = ""
        answer = await stream.response()
    assert shown == answer.text == "right"
    assert (answer.restarts, len(answer.attempts)) == (1, 1)


@pytest.mark.parametrize(
    ("header", "granted"), [("restart", "restart"), ("hold", "hold"), ("new", "fail"), ("", "fail")]
)
async def test_what_was_granted_is_what_the_header_says(connected, header, granted):
    async def scene(call):
        if header:
            call.headers.append(("antiphon-after-content", header))
        yield frame(1, *begin("x"), *finish(event_count=6))

    async with connected(scene) as (_, client), client.stream("hi", after_content="restart") as stream:
        assert await stream.granted() == granted


async def test_plain_text_is_not_offered_where_it_may_be_taken_back(connected):
    async with (
        connected(answering("a")) as (_, client),
        client.stream("hi", after_content="restart") as stream,
    ):
        with pytest.raises(ValueError, match="taken back"):
            await anext(stream.text())


async def test_leaving_early_cancels_upstream(connected):
    async def scene(call):
        yield frame(1, *begin("first"))
        await call.done.wait()

    async with connected(scene) as (router, client):
        async with client.stream("hi") as stream:
            async for piece in stream.text():
                assert piece == "first"
                break
        call = await router.calls.get()
        await call.done.wait()
        assert call.cancelled


async def test_cancelling_the_reading_task_is_a_plain_cancel_and_reaches_upstream(connected):
    async def scene(call):
        yield frame(1, *begin("first"))
        await call.done.wait()

    async with connected(scene) as (router, client):
        first = asyncio.Event()

        async def read() -> None:
            async with client.stream("hi") as stream:
                async for _ in stream.text():
                    first.set()

        reading = asyncio.create_task(read())
        await first.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        call = await router.calls.get()
        await call.done.wait()
        assert call.cancelled


async def test_cancel_from_elsewhere_is_a_typed_error(connected):
    async def scene(call):
        yield frame(1, *begin("first"))
        await call.done.wait()

    async with connected(scene) as (_, client), client.stream("hi") as stream:
        assert await anext(stream.text()) == "first"
        stream.cancel()
        with pytest.raises(errors.Cancelled) as caught:
            await stream.response()
    assert caught.value.request_id == stream.request_id


async def test_deadline_is_typed_and_keeps_the_partial_answer(connected):
    async def scene(call):
        yield frame(1, *begin("first"))
        await call.done.wait()

    async with connected(scene) as (_, client), client.stream("hi", timeout_s=0.3) as stream:
        with pytest.raises(errors.DeadlineExceeded) as caught:
            await stream.response()
    assert caught.value.response is not None


async def test_a_router_that_dies_in_the_middle_is_an_interrupted_stream(connected):
    async def scene(call):
        yield frame(1, *begin("first"))
        await call.done.wait()

    async with connected(scene) as (router, client), client.stream("hi") as stream:
        assert await anext(stream.text()) == "first"
        await router.stop()
        with pytest.raises(errors.StreamInterrupted) as caught:
            await stream.response()
    assert caught.value.response is not None


async def test_nobody_listening_is_router_unreachable(connected):
    async with connected(answering("a")) as (router, _):
        address = router.address
    async with AsyncClient(address) as client, client.stream("hi") as stream:
        with pytest.raises(errors.RouterUnreachable, match=f"no connection to {address}"):
            await stream.response()


async def test_raw_requests_and_frames(connected):
    request = chat_pb2.StreamGenerateRequest(model="m-9")
    request.prompt.messages.add(role=content_pb2.ROLE_USER).parts.add().text.text = "hi"
    async with connected(answering("a")) as (router, client), client.stream_raw(request) as stream:
        frames = [each async for each in stream.frames()]
        assert [each.first_sequence for each in frames] == [1, 3, 4]
        assert (await stream.response()).text == "a"
    call = await router.calls.get()
    assert (call.request, call.metadata["antiphon-model"]) == (request, "m-9")
