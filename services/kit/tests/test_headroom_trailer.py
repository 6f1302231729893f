"""What a router is told of the vendor's limits: by a trailer, only if little is left, and nobody else is told."""

import time

import pytest

from antiphon.llm.v1 import completion_pb2, embedding_pb2, error_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Reason, failure
from antiphon_contract.headroom import read


def limits(left: int) -> list[error_pb2.RateLimit]:
    return [error_pb2.RateLimit(name="requests", limit=100, remaining=left, reset_after={"seconds": 3600})]


def script(events, left: int, *more):
    start = events.start(model="m-1", rate_limits=limits(left))
    return [[start, events.part(), events.text("a")], *more, [events.part_end(), events.stop()]]


@pytest.mark.parametrize("method", ["stream", "generate", "complete"])
async def test_a_router_is_told_when_little_is_left(events, versatile, dial, method):
    async with dial(versatile(script(events, 10))) as caller:
        request = (completion_pb2.CompleteRequest(model="m", prompt={"text": "hi"}),) if method == "complete" else ()
        answer = await getattr(caller, method)(*request, antiphon_attempt_id="a-1")
        direct = await getattr(caller, method)(*request)
    told = read(dict(answer.trailers)[metadata.HEADROOM])
    assert told is not None
    assert 0.1 <= told.left < 0.2
    assert told.full_in_s > 3000
    assert metadata.HEADROOM not in dict(direct.trailers), "a client has nowhere else to go"


async def test_an_embedding_tells_too(versatile, dial):
    async def vectors(job):
        return embedding_pb2.EmbedResponse(start={"rate_limits": limits(10)})

    request = embedding_pb2.EmbedRequest(model="m", inputs=[{"text": "t"}])
    async with dial(versatile(respond=vectors)) as caller:
        answer = await caller.embed(request, antiphon_attempt_id="a-1")
    assert dict(answer.trailers)[metadata.HEADROOM] == "0.100;3600"


async def test_the_usual_answer_and_a_failure_carry_nothing(events, scripted, dial):
    async with dial(scripted(script(events, 50))) as caller:
        plenty = await caller.stream(antiphon_attempt_id="a-1")
    broken = failure(Reason.ERROR_REASON_PROVIDER_ERROR, "reset")
    async with dial(scripted(script(events, 10, broken))) as caller:
        failed = await caller.stream(antiphon_attempt_id="a-1")
    assert metadata.END in dict(plenty.trailers)
    assert failed.reason == "STREAM_INTERRUPTED"
    for answer in (plenty, failed):
        assert metadata.HEADROOM not in dict(answer.trailers)


async def test_time_passes_from_the_first_byte_on(events, scripted, dial):
    async def late(turn):
        turn.milestones.first_byte = time.monotonic() - 900.0

    async with dial(scripted([late, *script(events, 0)])) as caller:
        told = read(dict((await caller.generate(antiphon_attempt_id="a-1")).trailers)[metadata.HEADROOM])
    assert told is not None
    assert told.left == pytest.approx(0.25, abs=0.02), "a quarter of the hour has passed since"
    async with dial(scripted([late, *script(events, 40)])) as caller:
        answer = await caller.generate(antiphon_attempt_id="a-1")
    assert metadata.HEADROOM not in dict(answer.trailers)
