"""What a request may look like, how much is let in, and what metadata does."""

import asyncio

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2, content_pb2, options_pb2, response_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure
from antiphon_kit.admission import Admission
from antiphon_kit.server import serve
from antiphon_kit.settings import ServiceSettings

COUNT_TOKENS = "/antiphon.llm.v1.ChatService/CountTokens"
MIB = 1024 * 1024


def good(events):
    return [[events.start(), events.part(), events.text("a"), events.part_end(), events.stop(), events.usage(1, 1)]]


async def test_the_routers_model_counts(events, scripted, dial):
    provider = scripted(good(events))
    async with dial(provider) as caller:
        await caller.stream(antiphon_model_native="native-1")
        request = caller.request()
        request.model = ""
        answer = await caller.stream(request, antiphon_model_native="native-2")
        refused = await caller.stream(antiphon_model_native="n" * 257)
    assert answer.code == grpc.StatusCode.OK
    assert [turn.model for turn in provider.turns] == ["native-1", "native-2"]
    assert provider.turns[0].request.model == "m"
    assert refused.reason == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("key", "value"),
    [("antiphon_attempt_id", "a" * 65), ("antiphon_attempt_id", "a.b"), ("antiphon_request_id", "r" * 129)],
)
async def test_ids_that_cannot_be_used_are_refused(events, scripted, dial, key, value):
    async with dial(scripted(good(events))) as caller:
        answer = await caller.stream(**{key: value})
    assert (answer.reason, answer.error.param) == ("INVALID_REQUEST", key.replace("_", "-"))


async def test_the_operators_output_bound_reaches_the_adapter(events, scripted, dial):
    provider = scripted(good(events))
    async with dial(provider, max_output_tokens=77) as caller:
        await caller.stream()
    assert provider.turns[0].max_output_tokens == 77


async def test_too_large_a_request_gets_a_typed_answer(events, scripted, dial):
    provider = scripted(good(events))
    async with dial(provider, max_request_bytes=MIB) as caller:
        for answer in (
            await caller.stream(caller.request("x" * 20 * MIB)),
            await caller.generate(caller.request("x" * (MIB + 1))),
        ):
            assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
            assert str(MIB) in answer.message
        assert (await caller.stream(caller.request("x" * (MIB - 100)))).code == grpc.StatusCode.OK
    assert len(provider.turns) == 1


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x02\xc3\x28"])
async def test_bytes_that_are_no_request_are_refused(scripted, dial, data):
    async with dial(scripted()) as caller:
        for answer in (await caller.stream(data), await caller.generate(data)):
            assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
            assert "UTF-8" in answer.message


async def test_more_calls_than_allowed_are_refused_with_a_delay(events, scripted, dial):
    opened = asyncio.Event()

    async def wait(turn):
        await opened.wait()

    async with dial(scripted([[events.start(), events.part()], wait, [events.stop()]]), max_concurrency=2) as caller:
        calls = [caller.open(), caller.open()]
        for call in calls:
            await call.read()
        refused = await caller.stream()
        opened.set()
        answers = [await caller.collect(call) for call in calls]
        assert (await caller.stream()).code == grpc.StatusCode.OK
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "GATEWAY_OVERLOADED")
    assert refused.error.retry_delay.ToMilliseconds() == 250
    assert refused.error.retry_other_backend
    assert [answer.code for answer in answers] == [grpc.StatusCode.OK] * 2


def test_request_bytes_in_flight_are_bounded_but_one_call_always_fits():
    admission = Admission(max_concurrency=10, max_bytes_in_flight=100)
    with admission.slot(150), pytest.raises(CallFailure, match="request bytes"):
        admission.enter(1)
    assert (admission.calls, admission.bytes) == (0, 0)
    with admission.slot(60), admission.slot(40):
        assert admission.bytes == 100


async def test_count_tokens(scripted, dial):
    async def counting(turn):
        return chat_pb2.CountTokensResponse(input_tokens=len(turn.request.prompt.messages), estimated=True)

    request = chat_pb2.CountTokensRequest(model="m", prompt=dial_request().prompt)
    async with dial(scripted(counting=counting)) as caller:
        answer = await caller.unary(COUNT_TOKENS, request, chat_pb2.CountTokensResponse, antiphon_request_id="r")
    assert (answer.response.input_tokens, answer.response.estimated) == (1, True)
    assert answer.headers[metadata.REQUEST_ID] == "r"
    assert answer.record.outcome == response_pb2.ResponseEnd.OUTCOME_COMPLETED


async def test_count_tokens_says_when_it_cannot_and_validates(scripted, dial):
    async with dial(scripted()) as caller:
        kind = chat_pb2.CountTokensResponse
        unsupported = await caller.unary(COUNT_TOKENS, dial_request(), kind)
        invalid = await caller.unary(COUNT_TOKENS, chat_pb2.CountTokensRequest(model="m"), kind)
    assert (unsupported.code, unsupported.reason) == (grpc.StatusCode.UNIMPLEMENTED, "OPERATION_UNSUPPORTED")
    assert invalid.error.param == "prompt.messages"


def dial_request():
    part = content_pb2.Part(text=content_pb2.TextPart(text="hi"))
    message = content_pb2.Message(role=content_pb2.ROLE_USER, parts=[part])
    return chat_pb2.GenerateRequest(model="m", prompt=chat_pb2.Prompt(messages=[message]))


async def test_each_finished_call_is_one_line(events, scripted, dial, caplog):
    caplog.set_level("DEBUG")
    async with dial(scripted(good(events))) as caller:
        options = options_pb2.CallOptions(labels={"team": "a"})
        await caller.stream(caller.request(options=options), antiphon_request_id="r1")
        await caller.generate(antiphon_request_id="r2")
    lines = {record.request_id: record for record in caplog.records if record.message == "call"}
    assert len(lines) == len([record for record in caplog.records if record.message == "call"]) == 2
    line = lines["r1"]
    assert (line.method, line.provider, line.model) == ("/antiphon.llm.v1.ChatService/StreamGenerate", "scripted", "m")
    assert (line.outcome, line.code) == ("COMPLETED", "OK")
    assert (line.input_tokens, line.output_tokens, line.usage_source) == (1, 1, "PROVIDER")
    assert line.duration_s >= line.time_to_first_content_s >= 0
    assert line.labels == {"team": "a"}
    assert "hello there" not in repr([vars(record) for record in caplog.records])


async def test_healthy_calls_are_silent_by_default_and_failed_ones_are_not(events, scripted, dial, caplog):
    caplog.set_level("INFO")
    async with dial(scripted(good(events))) as caller:
        await caller.stream(antiphon_request_id="well")
        await caller.stream(chat_pb2.StreamGenerateRequest(), antiphon_request_id="ill")
    assert [record.request_id for record in caplog.records if record.message == "call"] == ["ill"]


async def test_telemetry_sees_each_call_once(events, scripted):
    seen = []

    class Span:
        def __init__(self, method):
            self.method = method

        def requested(self, request, model, *, stream, operation):
            seen.append((self.method, operation, model, stream))

        def finish(self, end, code):
            seen.append((self.method, end.outcome, code))

    class Spy:
        def start_call(self, method, invocation_metadata):
            return Span(method)

    provider = scripted([*good(events)[:1], RuntimeError("late")])
    async with (
        serve(provider, ServiceSettings(), telemetry=Spy()) as service,
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        method = "/antiphon.llm.v1.ChatService/StreamGenerate"
        call = channel.unary_stream(method)(dial_request().SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in call:
                pass
    assert seen == [
        (method, "chat", "m", True),
        (method, response_pb2.ResponseEnd.OUTCOME_FAILED, grpc.StatusCode.UNAVAILABLE),
    ]
