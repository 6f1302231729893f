"""Log and trace of a call name the key that it was made with; the caller is told nothing of it."""

import grpc
import pytest

from antiphon.llm.v1 import chat_pb2, completion_pb2, embedding_pb2, native_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.key_ring import KeyRing, OneKey
from antiphon_kit.provider import NativeHead
from antiphon_kit.secrets import Secret
from antiphon_kit.server import serve
from antiphon_kit.settings import ServiceSettings

COUNT_TOKENS = "/antiphon.llm.v1.ChatService/CountTokens"


class Value:
    def __init__(self, value="sk-of-the-vendor"):
        self.secret = Secret(value)

    async def current(self):
        return self.secret


def ring(value=None):
    return KeyRing(OneKey(value or Value()))


def using(keys):
    async def call(job):
        async with keys.lease(job.model, job):
            pass

    return call


def good(events):
    return [events.start(), events.part(), events.text("a"), events.part_end(), events.stop(), events.usage(1, 1)]


def lines(caplog):
    return [vars(record) for record in caplog.records if record.message == "call"]


async def test_every_kind_of_call_is_told_with_its_key(events, versatile, dial, caplog):
    caplog.set_level("DEBUG")
    value = Value()
    use = using(ring(value))

    async def count(turn):
        await use(turn)
        return chat_pb2.CountTokensResponse(input_tokens=1)

    async def vectors(job):
        await use(job)
        return embedding_pb2.EmbedResponse()

    provider = versatile([use, good(events)], counting=count, respond=vectors, pieces=[use, NativeHead(200, ())])
    completion = completion_pb2.StreamCompleteRequest(model="m", prompt={"text": "a"})
    native = native_pb2.StreamNativeRequest(model="m", request={"method": "POST", "path": "/chat"}, dialect="scripted")
    async with dial(provider) as caller:
        answers = [
            await caller.generate(),
            await caller.stream(),
            await caller.unary(COUNT_TOKENS, caller.request(), chat_pb2.CountTokensResponse),
            await caller.complete(completion),
            await caller.embed(embedding_pb2.EmbedRequest(model="m", inputs=[{"text": "a"}])),
            await caller.native(native),
        ]
    assert {answer.code for answer in answers} == {grpc.StatusCode.OK}
    mark = value.secret.fingerprint
    told = [(line["key_slot"], line["key_version"], line["key_fingerprint"]) for line in lines(caplog)]
    assert told == [("default", 1, mark)] * len(answers)
    assert not any(mark in repr((answer.trailers, answer.headers, answer.frames)) for answer in answers)
    assert "sk-of-the-vendor" not in repr([lines(caplog), provider.turns])


async def test_a_failed_call_names_the_key_that_failed_and_a_replaced_one_the_new(events, scripted, dial, caplog):
    caplog.set_level("INFO")
    value = Value()
    use = using(ring(value))
    failed = CallFailure(call_error(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, "refused", http_status=401))
    async with dial(scripted([use, failed])) as caller:
        await caller.stream()
        value.secret = Secret("sk-the-next")
        await caller.stream()
    assert [line["key_version"] for line in lines(caplog)] == [1, 2]
    assert lines(caplog)[1]["key_fingerprint"] == Secret("sk-the-next").fingerprint


@pytest.mark.parametrize("value", [None, ""])
async def test_a_call_without_a_key_names_none(events, scripted, dial, caplog, value):
    caplog.set_level("DEBUG")
    script = [good(events)] if value is None else [using(ring(Value(value))), good(events)]
    async with dial(scripted(script)) as caller:
        await caller.stream()
    (line,) = lines(caplog)
    assert "key_version" not in line


async def test_the_span_has_it_as_attributes(events, scripted):
    seen = {}

    class Span:
        def requested(self, request, model, *, stream, operation):
            pass

        def attribute(self, name, value):
            seen[name] = value

        def finish(self, end, code):
            seen["finished"] = True

    class Spy:
        def start_call(self, method, invocation_metadata):
            return Span()

        def gauge(self, name, unit, read):
            pass

    value = Value()
    provider = scripted([using(ring(value)), good(events)])
    async with (
        serve(provider, ServiceSettings(), telemetry=Spy()) as service,
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        request = chat_pb2.StreamGenerateRequest(model="m")
        request.prompt.messages.add(role=1).parts.add().text.text = "a"
        async for _ in channel.unary_stream("/antiphon.llm.v1.ChatService/StreamGenerate")(request.SerializeToString()):
            pass
    assert seen == {
        "antiphon.key_slot": "default",
        "antiphon.key_version": 1,
        "antiphon.key_fingerprint": value.secret.fingerprint,
        "finished": True,
    }
